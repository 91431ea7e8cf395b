"""Reading what an instance is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wildsage.contract.env import TrainingEnvironment, host_order
from wildsage.contract.failure import InternalServerError
from wildsage.contract.paths import Paths


def write(folder: Path, **documents: object) -> Paths:
    paths = Paths(folder)
    paths.config.mkdir(parents=True)
    for name, document in documents.items():
        text = document if isinstance(document, str) else json.dumps(document)
        (paths.config / f"{name}.json").write_text(text)
    return paths


def test_everything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINING_JOB_NAME", "my-job")
    paths = write(
        tmp_path,
        hyperparameters={"k": "3", "epochs": 2},
        resourceconfig={"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]},
        inputdataconfig={
            "train": {
                "ContentType": "text/csv",
                "TrainingInputMode": "Pipe",
                "S3DistributionType": "ShardedByS3Key",
                "RecordWrapperType": "RecordIO",
            },
            "test": {"TrainingInputMode": "File"},
        },
    )
    environment = TrainingEnvironment.load(paths)
    assert environment.hyperparameters == {"k": "3", "epochs": "2"}
    assert environment.hosts == ("algo-1", "algo-2") and not environment.is_first_host
    train, test = environment.channels["train"], environment.channels["test"]
    assert (train.content_type, train.is_pipe, train.is_wrapped) == ("text/csv", True, True)
    assert (test.content_type, test.is_pipe, test.distribution) == (None, False, "FullyReplicated")
    assert environment.job_name == "my-job"


def test_absent_files_mean_a_single_host_without_data(tmp_path: Path) -> None:
    environment = TrainingEnvironment.load(Paths(tmp_path))
    assert (environment.hosts, environment.channels) == (("algo-1",), {})
    assert environment.is_first_host


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_broken_files_are_the_platforms_fault(tmp_path: Path, content: str) -> None:
    with pytest.raises(InternalServerError, match=r"hyperparameters\.json is invalid"):
        TrainingEnvironment.load(write(tmp_path, hyperparameters=content))


def test_hosts_are_ordered_by_number() -> None:
    names = [f"algo-{n}" for n in (10, 2, 1)]
    assert sorted(names, key=host_order) == ["algo-1", "algo-2", "algo-10"]
