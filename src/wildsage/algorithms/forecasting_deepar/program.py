"""forecasting-deepar as a program: `train` writes the files of `Weights`, `load` serves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wildsage import clock
from wildsage.algorithms.base import Channel, TrainingJob
from wildsage.algorithms.forecasting_deepar import preparation
from wildsage.algorithms.forecasting_deepar.evaluation import evaluate
from wildsage.algorithms.forecasting_deepar.forecasting import Forecaster
from wildsage.algorithms.forecasting_deepar.frequency import Frequency
from wildsage.algorithms.forecasting_deepar.preparation import IGNORE
from wildsage.algorithms.forecasting_deepar.reading import read_channel
from wildsage.algorithms.forecasting_deepar.reports import EpochReport, tell_statistics
from wildsage.algorithms.forecasting_deepar.series import Panel, RecordError, Series
from wildsage.algorithms.forecasting_deepar.serving import DeepARModel
from wildsage.algorithms.forecasting_deepar.weights import FILE, Weights
from wildsage.contract.failure import ClientError


def train(job: TrainingJob) -> None:
    """Read, train, save on the first host, and evaluate on all."""
    series = read_channel(job.channels["train"], _frequency(job))
    test = read_channel(job.test, _frequency(job)) if job.test else []
    training = _prepare(job, series)
    if job.test:
        test = [_for_model(each, job, training.weights()) for each in test]
        tell_statistics(job.log, "Test", Panel.of(test))
    values = job.hyperparameters
    report = EpochReport(job.log, values["epochs"], values["mini_batch_size"])
    best = training.run(report.batch, report.epoch, job.stopping)
    job.log.info(f"Final loss: {best.loss} (occurred at epoch {best.number})")
    job.log.quality_metric("train", "final_loss", best.loss)
    weights = training.weights()
    if job.is_first_host:
        start = clock.now()
        job.log.info(f"Serializing to {job.model_file(FILE)}")
        weights.save(job.paths.model)
        job.log.metrics_json({"model.serialize.time": (clock.now() - start) * 1000}, start)
        job.log.info("Successfully serialized the model for prediction.")
    if job.test:
        _evaluate(job, weights, job.test, test)


def load(model_dir: Path) -> DeepARModel:
    return DeepARModel(Weights.load(model_dir))


def _frequency(job: TrainingJob) -> Frequency:
    return Frequency.parse(job.hyperparameters["time_freq"])


def _is_sharded(job: TrainingJob, channel: Channel) -> bool:
    """Whether hosts have different series."""
    return job.cluster.size > 1 and channel.config.distribution == "ShardedByS3Key"


# --- training ------------------------------------------------------------------------------------


def _prepare(job: TrainingJob, series: list[Series]) -> Any:
    """Check the series and tell of them; the training that is to be run."""
    values, cluster = job.hyperparameters, job.cluster
    sharded = _is_sharded(job, job.channels["train"])
    patience = values["early_stopping_patience"]
    if patience is not None:
        job.log.info(f"Using early stopping with patience {patience}")
    shape = preparation.shape_of(
        series, values["cardinality"], values["num_dynamic_feat"], cluster, sharded
    )
    _tell_fields(job, series, shape)
    panel = Panel.of(series, len(shape.cardinality), shape.dynamics)
    tell_statistics(job.log, "Training", panel)
    prediction, likelihood = values["prediction_length"], values["likelihood"]
    preparation.check_enough(panel, prediction, cluster, sharded)
    preparation.check_values(panel, likelihood)
    layout = preparation.layout_of(
        panel,
        _frequency(job),
        values["context_length"],
        prediction,
        likelihood,
        cluster=cluster,
        sharded=sharded,
    )
    # PyTorch takes seconds to import: bad data have been refused by now.
    training = _import_training()
    settings = training.Settings(
        seed=job.seed,
        **{name: values[name] for name in training.Settings.__slots__ if name in values},
    )
    try:
        made = training.Training(
            settings, panel, layout, shape.cardinality, cluster=cluster, sharded=sharded
        )
    except RuntimeError as error:  # what PyTorch raises where embeddings do not fit
        if "allocate memory" not in str(error):
            raise
        raise MemoryError(str(error)) from error
    _tell_plan(job, made.plan)
    job.log.info(f"Number of GPUs being used: {int(made.device.type == 'cuda')}")
    return made


def _import_training() -> Any:
    try:
        from wildsage.algorithms.forecasting_deepar import training
    except ImportError as error:
        raise ClientError(
            "Training forecasting-deepar needs PyTorch: pip install wildsage[neural]",
            caused_by=error,
        ) from error
    return training


def _tell_fields(job: TrainingJob, series: list[Series], shape: preparation.Shape) -> None:
    """The lines on `cat` and `dynamic_feat` of the original's log."""
    names = [path.name for path in job.channels["train"].config.files()]
    file = job.paths.channel("train") / names[0] if names else job.paths.channel("train")
    values = job.hyperparameters
    for parameter, field, used in (
        ("cardinality", "cat", shape.cardinality),
        ("num_dynamic_feat", "dynamic_feat", shape.dynamics),
    ):
        given = values[parameter]
        if used:
            job.log.info(f"[{parameter}={given}] `{field}` field was found; its value is {used}.")
        elif given != IGNORE:
            job.log.info(
                f"[{parameter}={given}] `{field}` field was NOT found in the file `{file}` and "
                "will NOT be used for training."
            )


def _tell_plan(job: TrainingJob, plan: Any) -> None:
    if plan.passes > 1:
        job.log.info(
            f"Small number of time series. Doing {plan.passes} passes over dataset "
            f"with prob {plan.share} per epoch."
        )


# --- evaluation ----------------------------------------------------------------------------------


def _for_model(series: Series, job: TrainingJob, weights: Weights) -> Series:
    """A series of the test channel with what the model takes."""
    cat = () if job.hyperparameters["cardinality"] == IGNORE else series.cat
    dynamic = series.dynamic
    if job.hyperparameters["num_dynamic_feat"] == IGNORE:
        dynamic = np.empty((0, len(series)), np.float32)
    made = Series(series.start, series.target, cat, dynamic)
    try:
        weights.check(made)
    except RecordError as error:
        raise ClientError(
            f"The time series of channel 'test' do not fit those of channel 'train': {error}."
        ) from error
    return made


def _evaluate(job: TrainingJob, weights: Weights, channel: Channel, series: list[Series]) -> None:
    values, start = job.hyperparameters, clock.now()
    samples = values["num_eval_samples"]
    job.log.info(f"Evaluating model accuracy on testset using {samples} samples")
    mine = series if _is_sharded(job, channel) else series[job.cluster.rank :: job.cluster.size]
    sums = evaluate(Forecaster(weights, job.seed), mine, samples, values["test_quantiles"])
    sums.reduce(job.cluster)
    job.log.metrics_json({"model.score.time": (clock.now() - start) * 1000}, start)
    if not sums.count:
        job.log.warning(
            "No metrics can be computed: all time series of the test channel are too short, or the "
            f"last {values['prediction_length']} values of all of them are missing."
        )
        return
    metrics = sums.metrics()
    for name, value in metrics.items():
        job.log.info(f"#test_score ({job.log.host}, {name}): {value}")
    for name in ("RMSE", "mean_wQuantileLoss"):
        job.log.quality_metric("test", name, metrics[name])
