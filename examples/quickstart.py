"""Train, deploy and ask three built-in algorithms with the SageMaker SDK v2, exactly as on AWS.

    wildsage exec -- python examples/quickstart.py

Not a line here is about wildsage: the same file runs against AWS.
"""

import numpy as np
import sagemaker
from sagemaker import KMeans, LinearLearner, image_uris
from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import CSVSerializer
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.metrics import normalized_mutual_info_score
from sklearn.model_selection import train_test_split

session = sagemaker.Session()
bucket = session.default_bucket()
role = sagemaker.get_execution_role()
print(f"bucket {bucket}, role {role}")


def cluster_digits():
    """KMeans on 1,797 pictures of handwritten digits."""
    pixels, digits = load_digits(return_X_y=True)
    pixels = pixels.astype("float32")
    kmeans = KMeans(role=role, instance_count=1, instance_type="ml.c5.xlarge", k=10)
    kmeans.fit(kmeans.record_set(pixels))
    predictor = kmeans.deploy(initial_instance_count=1, instance_type="ml.m5.large")
    try:
        answers = predictor.predict(pixels)
        clusters = [int(a.label["closest_cluster"].float32_tensor.values[0]) for a in answers]
    finally:
        predictor.delete_endpoint()
    agreement = normalized_mutual_info_score(digits, clusters)
    print(f"KMeans: mutual information of clusters and digits {agreement:.3f}")
    return agreement


def classify_tumours():
    """LinearLearner on 569 tumours with 30 measurements each."""
    features, labels = load_breast_cancer(return_X_y=True)
    train_x, test_x, train_y, test_y = split(features, labels)
    learner = LinearLearner(
        role=role,
        instance_count=1,
        instance_type="ml.c5.xlarge",
        predictor_type="binary_classifier",
        epochs=15,
    )
    learner.fit(learner.record_set(train_x, labels=train_y), mini_batch_size=100)
    predictor = learner.deploy(initial_instance_count=1, instance_type="ml.m5.large")
    try:
        answers = predictor.predict(test_x)
        predicted = [a.label["predicted_label"].float32_tensor.values[0] for a in answers]
    finally:
        predictor.delete_endpoint()
    accuracy = float(np.mean(np.array(predicted) == test_y))
    print(f"LinearLearner: accuracy {accuracy:.3f}")
    return accuracy


def boost_trees():
    """XGBoost through the generic Estimator, with CSV files in S3."""
    features, labels = load_breast_cancer(return_X_y=True)
    train_x, test_x, train_y, test_y = split(features, labels)
    np.savetxt("/tmp/wildsage-train.csv", np.column_stack([train_y, train_x]), delimiter=",")
    train_uri = session.upload_data("/tmp/wildsage-train.csv", bucket, "quickstart/train")
    xgboost = Estimator(
        image_uri=image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1"),
        role=role,
        instance_count=1,
        instance_type="ml.m5.xlarge",
        output_path=f"s3://{bucket}/quickstart/output",
        hyperparameters={"objective": "binary:logistic", "num_round": 50, "max_depth": 4},
    )
    xgboost.fit({"train": TrainingInput(train_uri, content_type="text/csv")})
    predictor = xgboost.deploy(
        initial_instance_count=1,
        instance_type="ml.m5.large",
        serializer=CSVSerializer(),
        deserializer=CSVDeserializer(),
    )
    try:
        scores = np.array(predictor.predict(test_x), dtype=float).ravel()
    finally:
        predictor.delete_endpoint()
    accuracy = float(np.mean((scores > 0.5) == test_y))
    print(f"XGBoost: accuracy {accuracy:.3f}")
    return accuracy


def split(features, labels):
    return train_test_split(
        features.astype("float32"), labels.astype("float32"), test_size=0.25, random_state=0
    )


if __name__ == "__main__":
    assert cluster_digits() > 0.6
    assert classify_tumours() > 0.93
    assert boost_trees() > 0.93
