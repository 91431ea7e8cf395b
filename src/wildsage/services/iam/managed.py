"""AWS's managed policies that SageMaker users meet.

Their documents say what AWS's say about the services that a SageMaker user touches. They are kept
as rows (see bootstrap): GetPolicyVersion, attachments and simulations treat them like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wildsage import arns


@dataclass(frozen=True, slots=True)
class ManagedPolicy:
    name: str
    description: str
    statements: tuple[dict[str, Any], ...]
    path: str = "/"

    @property
    def arn(self) -> str:
        return arns.build_global("iam", "aws", f"policy{self.path}{self.name}")

    @property
    def document(self) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": list(self.statements)}


def _allow(*actions: str, on: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}


_SAGEMAKER = "arn:aws:sagemaker:*:*:"
_OWN_BUCKETS = [
    "arn:aws:s3:::*SageMaker*",
    "arn:aws:s3:::*Sagemaker*",
    "arn:aws:s3:::*sagemaker*",
    "arn:aws:s3:::*aws-glue*",
]
_OWN_FUNCTIONS = [
    "arn:aws:lambda:*:*:function:*SageMaker*",
    "arn:aws:lambda:*:*:function:*sagemaker*",
    "arn:aws:lambda:*:*:function:*Sagemaker*",
    "arn:aws:lambda:*:*:function:*LabelingFunction*",
]

_SAGEMAKER_FULL_ACCESS = (
    {
        "Sid": "AllowAllNonAdminSageMakerActions",
        "Effect": "Allow",
        "Action": ["sagemaker:*", "sagemaker-geospatial:*"],
        "NotResource": [
            f"{_SAGEMAKER}domain/*",
            f"{_SAGEMAKER}user-profile/*",
            f"{_SAGEMAKER}app/*",
            f"{_SAGEMAKER}space/*",
            f"{_SAGEMAKER}partner-app/*",
            f"{_SAGEMAKER}flow-definition/*",
        ],
    },
    _allow(
        "sagemaker:CreatePresignedDomainUrl",
        "sagemaker:DescribeDomain",
        "sagemaker:ListDomains",
        "sagemaker:DescribeUserProfile",
        "sagemaker:ListUserProfiles",
        "sagemaker:DescribeSpace",
        "sagemaker:ListSpaces",
        "sagemaker:DescribeApp",
        "sagemaker:ListApps",
        Sid="AllowStudioActions",
    ),
    _allow(
        "sagemaker:*",
        on=[f"{_SAGEMAKER}flow-definition/*"],
        Sid="AllowFlowDefinitionActions",
        Condition={
            "StringEqualsIfExists": {
                "sagemaker:WorkteamType": ["private-crowd", "vendor-crowd"],
            }
        },
    ),
    _allow(
        "application-autoscaling:DeleteScalingPolicy",
        "application-autoscaling:DeleteScheduledAction",
        "application-autoscaling:DeregisterScalableTarget",
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DescribeScalingActivities",
        "application-autoscaling:DescribeScalingPolicies",
        "application-autoscaling:DescribeScheduledActions",
        "application-autoscaling:PutScalingPolicy",
        "application-autoscaling:PutScheduledAction",
        "application-autoscaling:RegisterScalableTarget",
        "aws-marketplace:ViewSubscriptions",
        "cloudformation:GetTemplateSummary",
        "cloudwatch:DeleteAlarms",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetMetricData",
        "cloudwatch:GetMetricStatistics",
        "cloudwatch:ListMetrics",
        "cloudwatch:PutMetricAlarm",
        "cloudwatch:PutMetricData",
        "codecommit:BatchGetRepositories",
        "codecommit:CreateRepository",
        "codecommit:GetRepository",
        "codecommit:List*",
        "cognito-idp:AdminAddUserToGroup",
        "cognito-idp:AdminCreateUser",
        "cognito-idp:AdminDeleteUser",
        "cognito-idp:AdminDisableUser",
        "cognito-idp:AdminEnableUser",
        "cognito-idp:AdminRemoveUserFromGroup",
        "cognito-idp:CreateGroup",
        "cognito-idp:CreateUserPool",
        "cognito-idp:CreateUserPoolClient",
        "cognito-idp:CreateUserPoolDomain",
        "cognito-idp:DescribeUserPool",
        "cognito-idp:DescribeUserPoolClient",
        "cognito-idp:List*",
        "cognito-idp:UpdateUserPool",
        "cognito-idp:UpdateUserPoolClient",
        "ec2:CreateNetworkInterface",
        "ec2:CreateNetworkInterfacePermission",
        "ec2:CreateVpcEndpoint",
        "ec2:DeleteNetworkInterface",
        "ec2:DeleteNetworkInterfacePermission",
        "ec2:DescribeDhcpOptions",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeRouteTables",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcEndpoints",
        "ec2:DescribeVpcs",
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CreateRepository",
        "ecr:Describe*",
        "ecr:GetAuthorizationToken",
        "ecr:GetDownloadUrlForLayer",
        "ecr:StartImageScan",
        "elastic-inference:Connect",
        "elasticfilesystem:DescribeFileSystems",
        "elasticfilesystem:DescribeMountTargets",
        "fsx:DescribeFileSystems",
        "glue:CreateJob",
        "glue:DeleteJob",
        "glue:GetJob*",
        "glue:GetTable*",
        "glue:GetWorkflowRun",
        "glue:ResetJobBookmark",
        "glue:StartJobRun",
        "glue:StartWorkflowRun",
        "glue:UpdateJob",
        "groundtruthlabeling:*",
        "iam:ListRoles",
        "kms:DescribeKey",
        "kms:ListAliases",
        "lambda:ListFunctions",
        "logs:CreateLogDelivery",
        "logs:CreateLogGroup",
        "logs:CreateLogStream",
        "logs:DeleteLogDelivery",
        "logs:Describe*",
        "logs:GetLogDelivery",
        "logs:GetLogEvents",
        "logs:ListLogDeliveries",
        "logs:PutLogEvents",
        "logs:PutResourcePolicy",
        "logs:UpdateLogDelivery",
        "robomaker:CreateSimulationApplication",
        "robomaker:DescribeSimulationApplication",
        "robomaker:DeleteSimulationApplication",
        "robomaker:CreateSimulationJob",
        "robomaker:DescribeSimulationJob",
        "robomaker:CancelSimulationJob",
        "secretsmanager:ListSecrets",
        "servicecatalog:Describe*",
        "servicecatalog:List*",
        "servicecatalog:ScanProvisionedProducts",
        "servicecatalog:SearchProducts",
        "servicecatalog:SearchProvisionedProducts",
        "sns:ListTopics",
        "tag:GetResources",
        Sid="AllowAWSServiceActions",
    ),
    _allow(
        "ecr:SetRepositoryPolicy",
        "ecr:CompleteLayerUpload",
        "ecr:BatchDeleteImage",
        "ecr:UploadLayerPart",
        "ecr:DeleteRepositoryPolicy",
        "ecr:InitiateLayerUpload",
        "ecr:DeleteRepository",
        "ecr:PutImage",
        on=["arn:aws:ecr:*:*:repository/*sagemaker*"],
        Sid="AllowECRActions",
    ),
    _allow(
        "codecommit:GitPull",
        "codecommit:GitPush",
        on=[
            "arn:aws:codecommit:*:*:*sagemaker*",
            "arn:aws:codecommit:*:*:*SageMaker*",
            "arn:aws:codecommit:*:*:*Sagemaker*",
        ],
        Sid="AllowCodeCommitActions",
    ),
    _allow(
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
        "secretsmanager:CreateSecret",
        on=["arn:aws:secretsmanager:*:*:secret:AmazonSageMaker-*"],
        Sid="AllowSecretManagerActions",
    ),
    _allow(
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        on=_OWN_BUCKETS,
        Sid="AllowS3ObjectActions",
    ),
    _allow(
        "s3:GetObject",
        on="arn:aws:s3:::*",
        Sid="AllowS3GetObjectWithSageMakerExistingObjectTag",
        Condition={"StringEqualsIgnoreCase": {"s3:ExistingObjectTag/SageMaker": "true"}},
    ),
    _allow(
        "s3:CreateBucket",
        "s3:GetBucketLocation",
        "s3:ListBucket",
        "s3:ListAllMyBuckets",
        "s3:GetBucketCors",
        "s3:PutBucketCors",
        Sid="AllowS3BucketActions",
    ),
    _allow("s3:GetBucketAcl", "s3:PutObjectAcl", on=_OWN_BUCKETS[:3], Sid="AllowS3BucketACL"),
    _allow("lambda:InvokeFunction", on=_OWN_FUNCTIONS, Sid="AllowLambdaInvokeFunction"),
    _allow(
        "iam:CreateServiceLinkedRole",
        on=(
            "arn:aws:iam::*:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
            "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
        ),
        Sid="AllowCreateServiceLinkedRoleForSageMakerApplicationAutoscaling",
        Condition={
            "StringLike": {"iam:AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com"}
        },
    ),
    _allow(
        "sns:Subscribe",
        "sns:CreateTopic",
        "sns:Publish",
        on=["arn:aws:sns:*:*:*SageMaker*", "arn:aws:sns:*:*:*sagemaker*"],
        Sid="AllowSNSActions",
    ),
    _allow(
        "iam:PassRole",
        on="arn:aws:iam::*:role/*AmazonSageMaker*",
        Sid="AllowPassRoleForSageMakerRoles",
        Condition={
            "StringEquals": {
                "iam:PassedToService": [
                    "glue.amazonaws.com",
                    "robomaker.amazonaws.com",
                    "states.amazonaws.com",
                ]
            }
        },
    ),
    _allow(
        "iam:PassRole",
        on="arn:aws:iam::*:role/*",
        Sid="AllowPassRoleToSageMaker",
        Condition={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    ),
    _allow(
        "athena:ListDataCatalogs",
        "athena:ListDatabases",
        "athena:ListTableMetadata",
        "athena:GetQueryExecution",
        "athena:GetQueryResults",
        "athena:StartQueryExecution",
        "athena:StopQueryExecution",
        Sid="AllowAthenaActions",
    ),
)

MANAGED_POLICIES = (
    ManagedPolicy(
        "AdministratorAccess",
        "Provides full access to AWS services and resources.",
        (_allow("*"),),
    ),
    ManagedPolicy(
        "AmazonSageMakerFullAccess",
        "Provides full access to Amazon SageMaker via the AWS Management Console and SDK. Also "
        "provides select access to related services (e.g., S3, ECR, CloudWatch Logs).",
        _SAGEMAKER_FULL_ACCESS,
    ),
    ManagedPolicy(
        "AmazonSageMakerReadOnly",
        "Provides read only access to Amazon SageMaker via the AWS Management Console and SDK.",
        (
            _allow(
                "sagemaker:Describe*",
                "sagemaker:List*",
                "sagemaker:BatchGetMetrics",
                "sagemaker:GetDeviceRegistration",
                "sagemaker:GetDeviceFleetReport",
                "sagemaker:GetSearchSuggestions",
                "sagemaker:BatchGetRecord",
                "sagemaker:GetRecord",
                "sagemaker:Search",
                "sagemaker:QueryLineage",
                "sagemaker:GetLineageGroupPolicy",
                "sagemaker:BatchDescribeModelPackage",
                "sagemaker:GetModelPackageGroupPolicy",
            ),
            _allow(
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingActivities",
                "application-autoscaling:DescribeScalingPolicies",
                "application-autoscaling:DescribeScheduledActions",
                "aws-marketplace:ViewSubscriptions",
                "cloudwatch:DescribeAlarms",
                "cognito-idp:DescribeUserPool",
                "cognito-idp:DescribeUserPoolClient",
                "cognito-idp:ListGroups",
                "cognito-idp:ListIdentityProviders",
                "cognito-idp:ListUserPoolClients",
                "cognito-idp:ListUserPools",
                "cognito-idp:ListUsers",
                "cognito-idp:ListUsersInGroup",
                "ecr:Describe*",
            ),
        ),
    ),
    ManagedPolicy(
        "AmazonS3FullAccess",
        "Provides full access to all buckets via the AWS Management Console.",
        (_allow("s3:*", "s3-object-lambda:*"),),
    ),
    ManagedPolicy(
        "AmazonS3ReadOnlyAccess",
        "Provides read only access to all buckets via the AWS Management Console.",
        (
            _allow(
                "s3:Get*",
                "s3:List*",
                "s3:Describe*",
                "s3-object-lambda:Get*",
                "s3-object-lambda:List*",
            ),
        ),
    ),
    ManagedPolicy(
        "CloudWatchLogsFullAccess",
        "Provides full access to CloudWatch Logs",
        (_allow("logs:*", "cloudwatch:GenerateQuery"),),
    ),
    ManagedPolicy(
        "CloudWatchLogsReadOnlyAccess",
        "Provides read only access to CloudWatch Logs",
        (
            _allow(
                "logs:Describe*",
                "logs:Get*",
                "logs:List*",
                "logs:StartQuery",
                "logs:StopQuery",
                "logs:TestMetricFilter",
                "logs:FilterLogEvents",
                "logs:StartLiveTail",
                "logs:StopLiveTail",
                "cloudwatch:GenerateQuery",
            ),
        ),
    ),
    ManagedPolicy(
        "AmazonEC2ContainerRegistryFullAccess",
        "Provides administrative access to Amazon ECR resources.",
        (_allow("ecr:*", "cloudtrail:LookupEvents"),),
    ),
    ManagedPolicy(
        "AmazonEC2ContainerRegistryReadOnly",
        "Provides read-only access to Amazon EC2 Container Registry repositories.",
        (
            _allow(
                "ecr:GetAuthorizationToken",
                "ecr:BatchCheckLayerAvailability",
                "ecr:GetDownloadUrlForLayer",
                "ecr:GetRepositoryPolicy",
                "ecr:DescribeRepositories",
                "ecr:ListImages",
                "ecr:DescribeImages",
                "ecr:BatchGetImage",
                "ecr:GetLifecyclePolicy",
                "ecr:GetLifecyclePolicyPreview",
                "ecr:ListTagsForResource",
                "ecr:DescribeImageScanFindings",
            ),
        ),
    ),
    ManagedPolicy(
        "IAMFullAccess",
        "Provides full access to IAM via the AWS Management Console.",
        (
            _allow(
                "iam:*",
                "organizations:DescribeAccount",
                "organizations:DescribeOrganization",
                "organizations:DescribeOrganizationalUnit",
                "organizations:DescribePolicy",
                "organizations:ListChildren",
                "organizations:ListParents",
                "organizations:ListPoliciesForTarget",
                "organizations:ListRoots",
                "organizations:ListPolicies",
                "organizations:ListTargetsForPolicy",
            ),
        ),
    ),
    ManagedPolicy(
        "IAMReadOnlyAccess",
        "Provides read only access to IAM via the AWS Management Console.",
        (
            _allow(
                "iam:GenerateCredentialReport",
                "iam:GenerateServiceLastAccessedDetails",
                "iam:Get*",
                "iam:List*",
                "iam:SimulateCustomPolicy",
                "iam:SimulatePrincipalPolicy",
            ),
        ),
    ),
)
