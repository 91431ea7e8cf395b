"""Training job, model and endpoint through SDK v3's resource classes.

wildsage exec -- python examples/sdk_v3.py
"""

import io
import json
import time

import boto3
import numpy as np
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.resources import Endpoint, EndpointConfig, Model, TrainingJob
from sagemaker.core.shapes import (
    AlgorithmSpecification,
    Channel,
    ContainerDefinition,
    DataSource,
    OutputDataConfig,
    ProductionVariant,
    ResourceConfig,
    S3DataSource,
    StoppingCondition,
)
from sklearn.datasets import load_wine

session = Session()
bucket = session.default_bucket()
role = get_execution_role()
name = "wine-" + time.strftime("%Y%m%d-%H%M%S")
image = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"

features, labels = load_wine(return_X_y=True)
rows = io.StringIO()
np.savetxt(rows, np.column_stack([labels, features]), delimiter=",", fmt="%.4f")
boto3.client("s3").put_object(Bucket=bucket, Key=f"{name}/wine.csv", Body=rows.getvalue().encode())

job = TrainingJob.create(
    training_job_name=name,
    role_arn=role,
    algorithm_specification=AlgorithmSpecification(
        training_image=image, training_input_mode="File"
    ),
    hyper_parameters={
        "predictor_type": "multiclass_classifier",
        "num_classes": "3",
        "mini_batch_size": "32",
    },
    input_data_config=[
        Channel(
            channel_name="train",
            content_type="text/csv",
            data_source=DataSource(
                s3_data_source=S3DataSource(
                    s3_data_type="S3Prefix", s3_uri=f"s3://{bucket}/{name}/"
                )
            ),
        )
    ],
    output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/output"),
    resource_config=ResourceConfig(
        instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=5
    ),
    stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
)
job.wait(poll=1)

model = Model.create(
    model_name=name,
    primary_container=ContainerDefinition(
        image=image, model_data_url=job.model_artifacts.s3_model_artifacts
    ),
    execution_role_arn=role,
)
config = EndpointConfig.create(
    endpoint_config_name=name,
    production_variants=[
        ProductionVariant(
            variant_name="AllTraffic",
            model_name=name,
            initial_instance_count=1,
            instance_type="ml.m5.large",
        )
    ],
)
endpoint = Endpoint.create(endpoint_name=name, endpoint_config_name=name)
endpoint.wait_for_status("InService", poll=1)

body = "\n".join(",".join(map(str, row)) for row in features)
answer = endpoint.invoke(body=body, content_type="text/csv", accept="application/json")
predictions = json.loads(answer.body.read())["predictions"]
accuracy = float(np.mean(np.array([p["predicted_label"] for p in predictions]) == labels))
print(f"accuracy on 178 wines: {accuracy:.3f}")

endpoint.delete()
config.delete()
model.delete()
assert accuracy > 0.95
