"""The lines of a linear-learner job's log, in the order and wording of the real one."""

from __future__ import annotations

from wildsage.algorithms.base import TrainingJob
from wildsage.algorithms.linear_learner.metrics import Figures
from wildsage.algorithms.linear_learner.spec import written_as_loss
from wildsage.algorithms.linear_learner.training import EpochReport, Trainer


def log_start(job: TrainingJob, trainer: Trainer) -> None:
    scaler = trainer.plan.scaler
    shown = {
        "stdev_weight": (1 / scaler.inverse)[:8].round(6).tolist(),
        "stdev_label": scaler.label_scale,
        "mean_label": scaler.label_mean,
        "mean_weight": scaler.mean[:8].round(6).tolist(),
    }
    job.log.info(f"Scaling model computed with parameters: {shown}")


def log_epoch(job: TrainingJob, trainer: Trainer, report: EpochReport) -> None:
    """The quality lines show model 0, the one with the given hyperparameters, as AWS's do."""
    log, epoch = job.log, report.epoch
    name = trainer.plan.loss.objective
    for split, losses in (("train", report.train_losses), ("validation", report.validation_losses)):
        if losses is None:
            continue
        for model, loss in enumerate(losses):
            log.metrics_json({f"{split}_{name}": float(loss)}, epoch=epoch, model=model)
        log.quality_metric(split, name, losses[0], "loss", epoch=epoch)
    log.early_stopping(epoch, report.criterion, report.value)
    if report.improved:
        log.info(f"Epoch {epoch}: Loss improved. Updating best model")
    log.progress(100 * (epoch + 1) // int(job.hyperparameters["epochs"]))
    batches = -(-report.records // int(job.hyperparameters["mini_batch_size"]))
    seen = {
        "Number of Records Since Last Reset": report.records,
        "Number of Batches Since Last Reset": batches,
        "Total Records Seen": report.records * (epoch + 1),
        "Total Batches Seen": batches * (epoch + 1),
        "Reset Count": epoch + 1,
    }
    log.metrics_json(seen, Meta="training_data_iter", epoch=epoch)
    log.throughput(report.records, report.seconds)


def log_figures(job: TrainingJob, split: str, figures: Figures) -> None:
    for name, value in figures.items():
        job.log.test_score(name, value, split)
    for name, value in figures.items():
        job.log.quality_metric(split, name, value, "loss" if written_as_loss(name) else "score")
