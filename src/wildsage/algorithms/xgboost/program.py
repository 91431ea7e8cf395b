"""XGBoost as a program under the contract: read the channels, boost, save; load and answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wildsage.algorithms.base import TrainingJob
from wildsage.algorithms.xgboost import data, dialect, distributed, library
from wildsage.algorithms.xgboost.boosting import Run
from wildsage.algorithms.xgboost.crossval import cross_validate
from wildsage.algorithms.xgboost.data import Table
from wildsage.algorithms.xgboost.distributed import Share
from wildsage.algorithms.xgboost.log import info, warn
from wildsage.algorithms.xgboost.names import LIBSVM_ATTRIBUTE, MODEL_FILE, MULTI_CLASS
from wildsage.algorithms.xgboost.parameters import DEFAULT_OBJECTIVE, Plan, make_plan
from wildsage.algorithms.xgboost.serving import XGBoostHandler
from wildsage.contract.channels import ChannelConfig
from wildsage.contract.env import read_json
from wildsage.contract.failure import ClientError
from wildsage.contract.paths import Paths

_DIVIDE = (
    "See https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost.html"
    "#Instance-XGBoost-distributed-training-divide-data."
)
_LOGISTIC = ("binary:logistic", "binary:logitraw", "reg:logistic")
_NON_NEGATIVE = ("count:poisson", "reg:tweedie", "reg:gamma", "survival:aft")


def train(job: TrainingJob) -> None:
    """Train on this host's share of the data and, on the first host, write the model."""
    library.prepare()
    channels = {name: channel.config for name, channel in job.channels.items()}
    tables, share = _read_share(channels, job)
    shares = distributed.exchange(job.cluster, share)
    if not any(each.has_data for each in shares):
        raise ClientError(f"No data in training channel path {_shown(job, 'train')}")
    with distributed.gang(job.cluster, shares) as master:
        if share.has_data:
            _boost(job, tables, master, sum(each.has_data for each in shares) > 1)


def handler(paths: Paths) -> XGBoostHandler:
    """The model of an endpoint."""
    library.prepare()
    return XGBoostHandler.load(paths.model)


def load(model_dir: Path) -> XGBoostHandler:
    """The model of an unpacked artifact."""
    return XGBoostHandler.load(model_dir)


# --- reading -------------------------------------------------------------------------------------


def _read_share(
    channels: dict[str, ChannelConfig], job: TrainingJob
) -> tuple[tuple[Table | None, Table | None], Share]:
    host = job.cluster.current_host
    try:
        train, validation = _read(channels, job)
    except ClientError as error:
        return (None, None), Share(host, error=str(error))
    if train is None or ("validation" in channels and validation is None):
        if job.cluster.size == 1 and train is not None:
            text = f"No data in validation channel path {_shown(job, 'validation')}"
            return (None, None), Share(host, error=text)
        if job.cluster.size > 1:
            _warn_of_no_data(host, "training" if train is None else "validation")
        return (None, None), Share(host)
    return (train, validation), Share(host, len(train), train.columns)


def _read(
    channels: dict[str, ChannelConfig], job: TrainingJob
) -> tuple[Table | None, Table | None]:
    values = job.hyperparameters
    kind = dialect.data_format(channels["train"].content_type)
    weighted = values.get("csv_weights", 0) == 1
    validation = channels.get("validation")
    if validation is not None:
        data.warn_of_redundancy(channels["train"], validation)
    train = data.read_channel(channels["train"], kind, csv_weights=weighted)
    if train is not None:
        _check_labels(train.labels, values)
    if validation is None:
        return train, None
    kind = dialect.data_format(validation.content_type or channels["train"].content_type)
    held_out = data.read_channel(validation, kind, csv_weights=weighted)
    if held_out is not None:
        _check_labels(held_out.labels, values)
    return train, held_out


def _check_labels(labels: np.ndarray, values: dict[str, Any]) -> None:
    """The library's own refusals, before a gang begins: one host's failure would only hang up."""
    objective = values.get("objective", DEFAULT_OBJECTIVE)
    if objective in _LOGISTIC and (labels.min() < 0 or labels.max() > 1):
        raise ClientError("label must be in [0,1] for logistic regression")
    if objective in MULTI_CLASS:
        whole = np.array_equal(labels, np.floor(labels))
        if not whole or labels.min() < 0 or labels.max() >= values["num_class"]:
            raise ClientError("SoftmaxMultiClassObj: label must be in [0, num_class).")
    if objective in _NON_NEGATIVE and labels.min() < 0:
        name = {"count:poisson": "PoissonRegression", "reg:tweedie": "TweedieRegression"}
        shown = name.get(objective, objective)
        raise ClientError(f"Check failed: label_correct {shown}: label must be nonnegative")


def _warn_of_no_data(host: str, kind: str) -> None:
    warn(
        f"Host {host} does not have {kind} data. Will broadcast to cluster and this host {host} "
        f"will not be used in distributed training. Please divide the {kind} data across "
        f"instances properly. {_DIVIDE}"
    )


def _shown(job: TrainingJob, channel: str) -> str:
    """A channel's folder as users know it, under /opt/ml."""
    return str(Path("/opt/ml") / job.paths.channel(channel).relative_to(job.paths.base))


# --- boosting ------------------------------------------------------------------------------------


def _boost(
    job: TrainingJob, tables: tuple[Table | None, Table | None], master: bool, several: bool
) -> None:
    train, validation = tables
    assert train is not None
    plan = make_plan(job.hyperparameters, weighted=train.weights is not None)
    run = Run(
        plan,
        stopping=job.stopping,
        checkpoints=_checkpoint_folder(job.paths),
        is_master=master,
        is_distributed=several,
    )
    info("Distributed node training." if several else "Single node training.")
    boosters = _run(run, train, validation, job)
    kept = not run.was_stopped or job.hyperparameters.get("save_model_on_termination") != "false"
    if master and kept:
        _save(boosters, job, plan)


def _run(run: Run, train: Table, validation: Table | None, job: TrainingJob) -> list[Any]:
    info(f"Train matrix has {len(train)} rows and {train.columns} columns")
    if validation is not None:
        info(f"Validation matrix has {len(validation)} rows")
    objective = run.plan.objective
    with library.translated_errors():
        if run.plan.folds is not None:
            whole = library.matrix(data.combine(train, validation), objective)
            return cross_validate(run, whole, job.paths.output_data, seed=job.seed)
        matrix = library.matrix(train, objective)
        held_out = None if validation is None else library.matrix(validation, objective)
        del train, validation
        return [run.train(matrix, held_out)]


def _save(boosters: list[Any], job: TrainingJob, plan: Plan) -> None:
    """`xgboost-model`, or one numbered file for each fold."""
    kind = dialect.data_format(job.channels["train"].config.content_type)
    for number, booster in enumerate(boosters):
        if kind == dialect.LIBSVM:
            booster.set_attr(**{LIBSVM_ATTRIBUTE: "0"})
        name = MODEL_FILE if plan.folds is None else f"{MODEL_FILE}-{number}"
        library.save(booster, job.model_file(name))


def _checkpoint_folder(paths: Paths) -> Path | None:
    """Where checkpoints go: the folder the job's configuration names, or the usual one if there."""
    named = read_json(paths.config / "checkpointconfig.json", {}).get("LocalPath")
    if named:
        inside = Path(named)
        known = inside.is_relative_to("/opt/ml")
        return paths.base / inside.relative_to("/opt/ml") if known else inside
    return paths.checkpoints if paths.checkpoints.is_dir() else None
