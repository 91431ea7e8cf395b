"""The other built-in algorithms through the SageMaker SDK v2, exactly as on AWS.

    wildsage exec -- python examples/builtin_algorithms.py [NAME ...]

Each function is one algorithm on data that scikit-learn carries or that is made here, and returns
a figure of quality that the script asserts.
"""

import json
import re
import sys

import numpy as np
import sagemaker
from sagemaker import image_uris
from sagemaker.amazon.amazon_estimator import RecordSet
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import JSONSerializer
from sklearn import datasets
from sklearn.metrics import r2_score, roc_auc_score

session = sagemaker.Session()
role = sagemaker.get_execution_role()
FLEET = {"role": role, "instance_count": 1, "instance_type": "ml.c5.xlarge"}


def column(answers, name):
    """One field of the records that an endpoint answers with."""
    return np.array([list(a.label[name].float32_tensor.values) for a in answers])


def ask(estimator, rows, **options):
    """Deploy, predict, delete."""
    predictor = estimator.deploy(1, "ml.m5.large", **options)
    try:
        return predictor.predict(rows)
    finally:
        predictor.delete_endpoint()


def upload(text, key, content_type):
    uri = session.upload_string_as_file_body(text, session.default_bucket(), f"examples/{key}")
    return TrainingInput(uri, content_type=content_type)


def record_set(lines, key, feature_dim):
    """Lines of text as the estimator classes of the SDK take them."""
    body = "\n".join(lines)
    uri = session.upload_string_as_file_body(body, session.default_bucket(), f"examples/{key}")
    return RecordSet(uri, num_records=len(lines), feature_dim=feature_dim, s3_data_type="S3Prefix")


def digits():
    pixels, numbers = datasets.load_digits(return_X_y=True)
    return pixels.astype("float32"), numbers.astype("float32")


def pca():
    """Digits in ten dimensions: the share of variance that is kept."""
    pixels, _ = digits()
    estimator = sagemaker.PCA(**FLEET, num_components=10)
    estimator.fit(estimator.record_set(pixels), mini_batch_size=500)
    projected = column(ask(estimator, pixels[:500]), "projection")
    return projected.var(axis=0).sum() / pixels[:500].var(axis=0).sum(), 0.65


def knn():
    """Digits by their neighbours: accuracy on the last five hundred."""
    pixels, numbers = digits()
    estimator = sagemaker.KNN(**FLEET, k=5, sample_size=1200, predictor_type="classifier")
    estimator.fit(estimator.record_set(pixels[:1297], labels=numbers[:1297]))
    predicted = column(ask(estimator, pixels[1297:]), "predicted_label").ravel()
    return np.mean(predicted == numbers[1297:]), 0.93


def randomcutforest():
    """Anomalies among normal measurements: area under the curve."""
    random = np.random.default_rng(0)
    normal, odd = random.normal(size=(2000, 4)), random.normal(5, 1, size=(40, 4))
    rows = np.vstack([normal, odd]).astype("float32")
    estimator = sagemaker.RandomCutForest(**FLEET, num_samples_per_tree=200, num_trees=50)
    estimator.fit(estimator.record_set(rows))
    scores = column(ask(estimator, rows), "score").ravel()
    return roc_auc_score(np.arange(len(rows)) >= 2000, scores), 0.98


def factorization_machines():
    """Tumours, standardised: area under the curve."""
    rows, labels = datasets.load_breast_cancer(return_X_y=True)
    rows = ((rows - rows.mean(axis=0)) / rows.std(axis=0)).astype("float32")
    estimator = sagemaker.FactorizationMachines(
        **FLEET,
        num_factors=4,
        predictor_type="binary_classifier",
        epochs=20,
        factors_lr=0.01,
        linear_lr=0.01,
    )
    records = estimator.record_set(rows[:400], labels=labels[:400].astype("float32"))
    estimator.fit(records, mini_batch_size=50)
    scores = column(ask(estimator, rows[400:]), "score").ravel()
    return roc_auc_score(labels[400:], scores), 0.95


def ipinsights():
    """Users who stay in their network, and intruders: area under the curve."""
    random = np.random.default_rng(0)
    home = random.integers(1, 200, size=(50, 2))

    def visits(users, networks):
        hosts = random.integers(1, 255, size=(len(users), 2))
        return [
            f"user_{u},{a}.{b}.{c}.{d}"
            for u, (a, b), (c, d) in zip(users, networks, hosts, strict=True)
        ]

    users = random.integers(0, 50, 20_000)
    estimator = sagemaker.IPInsights(
        **FLEET, num_entity_vectors=1000, vector_dim=16, epochs=10, learning_rate=0.01
    )
    estimator.fit(record_set(visits(users, home[users]), "ips.csv", feature_dim=2))
    users, others = random.integers(0, 50, 500), random.integers(0, 50, 500)
    lines = visits(users, home[users]) + visits(users, home[others])
    answers = ask(estimator, [line.split(",") for line in lines])
    scores = [p["dot_product"] for p in answers["predictions"]]
    return roc_auc_score([1] * 500 + [0] * 500, scores), 0.9


def topics(estimator, name):
    """How well topics of digits' pixels tell the digits apart: purity of the largest topic."""
    pixels, numbers = digits()
    estimator.fit(estimator.record_set(pixels), mini_batch_size=len(pixels))
    largest = column(ask(estimator, pixels), name).argmax(axis=1)
    groups = [numbers[largest == t].astype(int) for t in set(largest)]
    return sum(np.bincount(group).max() for group in groups) / len(numbers)


def lda():
    return topics(sagemaker.LDA(**FLEET, num_topics=20), "topic_mixture"), 0.5


def ntm():
    """Words are pixels, documents are digits: purity of the largest topic."""
    pixels, numbers = digits()
    estimator = sagemaker.NTM(**FLEET, num_topics=20, epochs=50)
    estimator.fit(estimator.record_set(pixels), mini_batch_size=128)
    largest = column(ask(estimator, pixels), "topic_weights").argmax(axis=1)
    groups = [numbers[largest == t].astype(int) for t in set(largest)]
    return sum(np.bincount(group).max() for group in groups) / len(numbers), 0.3


def sentences():
    """The sentences of scikit-learn's descriptions of its data sets, and whose they are."""
    names = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")
    for name in names:
        text = getattr(datasets, f"load_{name}")().DESCR.lower()
        for sentence in re.split(r"[.\n]{1,2}\s", text):
            words = re.findall(r"[a-z]+", sentence)
            if len(words) > 3:
                yield name, " ".join(words)


def blazingtext():
    """Which data set a sentence describes: accuracy on the training text."""
    lines = [f"__label__{name} {words}" for name, words in sentences()]
    estimator = Estimator(
        image_uris.retrieve("blazingtext", session.boto_region_name),
        **FLEET,
        hyperparameters={"mode": "supervised", "epochs": 50, "min_count": 1, "learning_rate": 0.5},
    )
    estimator.fit({"train": upload("\n".join(lines), "descr.txt", "text/plain")})
    asked = {"instances": [words for _, words in sentences()]}
    answers = ask(estimator, asked, serializer=JSONSerializer(), deserializer=JSONDeserializer())
    right = [
        f"__label__{n}" == a["label"][0] for (n, _), a in zip(sentences(), answers, strict=True)
    ]
    return np.mean(right), 0.8


def object2vec():
    """Pairs of numbers from the same half or not: accuracy."""
    random = np.random.default_rng(0)
    left, right = random.integers(1, 100, size=(2, 3000))
    same = (left < 50) == (right < 50)
    lines = [
        json.dumps({"label": int(s), "in0": [int(a)], "in1": [int(b)]})
        for s, a, b in zip(same, left, right, strict=True)
    ]
    estimator = sagemaker.Object2Vec(
        **FLEET,
        epochs=10,
        enc0_max_seq_len=1,
        enc0_vocab_size=101,
        enc_dim=16,
        enc0_network="pooled_embedding",
        enc0_token_embedding_dim=16,
        mlp_dim=16,
        mlp_activation="relu",
        learning_rate=0.01,
        mini_batch_size=64,
        num_classes=2,
    )
    estimator.fit(record_set(lines, "pairs.jsonl", feature_dim=2))
    asked = {"instances": [{"in0": [int(a)], "in1": [int(b)]} for a, b in zip(left, right)]}  # noqa: B905
    answers = ask(estimator, asked, serializer=JSONSerializer(), deserializer=JSONDeserializer())
    predicted = [np.argmax(p["scores"]) for p in answers["predictions"]]
    return np.mean(predicted == same), 0.9


def forecasting_deepar():
    """Twenty daily rhythms: how much of the next day's variance the forecast explains."""
    random = np.random.default_rng(0)
    hours = np.arange(24 * 15)
    waves = [
        10 + 5 * np.sin(2 * np.pi * (hours + shift) / 24) + random.normal(0, 0.3, len(hours))
        for shift in range(20)
    ]
    start = "2024-01-01 00:00:00"
    lines = [json.dumps({"start": start, "target": list(w[:-24])}) for w in waves]
    estimator = Estimator(
        image_uris.retrieve("forecasting-deepar", session.boto_region_name),
        **FLEET,
        hyperparameters={
            "time_freq": "H",
            "context_length": 48,
            "prediction_length": 24,
            "epochs": 15,
            "num_cells": 20,
            "num_layers": 1,
            "learning_rate": 0.01,
        },
    )
    train = upload("\n".join(lines), "waves/train.json", "json")
    estimator.fit({"train": train})
    asked = {
        "instances": [{"start": start, "target": list(w[:-24])} for w in waves],
        "configuration": {"num_samples": 50, "output_types": ["mean"]},
    }
    answers = ask(estimator, asked, serializer=JSONSerializer(), deserializer=JSONDeserializer())
    forecast = np.array([p["mean"] for p in answers["predictions"]])
    return r2_score(np.array([w[-24:] for w in waves]).ravel(), forecast.ravel()), 0.8


ALGORITHMS = {
    f.__name__.replace("_", "-"): f
    for f in (
        pca,
        knn,
        randomcutforest,
        factorization_machines,
        ipinsights,
        lda,
        ntm,
        blazingtext,
        object2vec,
        forecasting_deepar,
    )
}

if __name__ == "__main__":
    for name in sys.argv[1:] or ALGORITHMS:
        figure, least = ALGORITHMS[name]()
        print(f"\n{name}: {figure:.3f} (at least {least})", flush=True)
        assert figure >= least, name
