"""What AWS does that its models do not say, in one place. All else follows from the models."""

from __future__ import annotations

# Signing names that differ from botocore's service name, or that several services share (their
# order is the order in which paths are tried). Any other signing name is a service's own.
SERVICES_OF_SIGNING_NAME: dict[str, tuple[str, ...]] = {
    "apigateway": ("apigateway", "apigatewayv2"),
    "elasticmapreduce": ("emr",),
    "ses": ("ses", "sesv2"),
    "forecast": ("forecast", "forecastquery"),
    "kinesisanalytics": ("kinesisanalyticsv2", "kinesisanalytics"),
    "kinesisvideo": ("kinesisvideo", "kinesis-video-media", "kinesis-video-archived-media"),
    "monitoring": ("cloudwatch",),
    "mturk-requester": ("mturk",),
    "personalize": ("personalize", "personalize-runtime", "personalize-events"),
    "s3express": ("s3",),
    "sagemaker": (
        "sagemaker",
        "sagemaker-runtime",
        "sagemaker-featurestore-runtime",
        "sagemaker-metrics",
        "sagemaker-a2i-runtime",
        "sagemaker-edge",
    ),
    "states": ("stepfunctions",),
}

# The code of a constraint that is not met, where it is not its protocol's usual one.
VALIDATION_CODES = {"logs": "InvalidParameterException"}
VALIDATION_CODES_OF_PROTOCOL = {"query": "ValidationError"}

# Services that answer what breaks their model with codes of their own, which their handlers know.
UNCHECKED = {"s3"}

# S3's models name no root elements for its answers, and no namespace.
S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
S3_ROOTS = {
    "AbortMultipartUpload": "AbortMultipartUploadResult",
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CreateSession": "CreateSessionResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLocation": "LocationConstraint",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAcl": "AccessControlPolicy",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "GetObjectTagging": "Tagging",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListDirectoryBuckets": "ListAllMyDirectoryBucketsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListParts": "ListPartsResult",
}

# Answers whose one member is the root element itself.
UNWRAPPED = {("s3", "GetBucketLocation"): "LocationConstraint"}
