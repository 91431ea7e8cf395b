"""XGBoost's declaration: its images, hyperparameters, channels and metrics."""

from __future__ import annotations

from wildsage.algorithms.spec import CSV as TEXT_CSV
from wildsage.algorithms.spec import JSON, JSONLINES, RECORDIO, Channel, Metric
from wildsage.algorithms.xgboost.dialect import CONTENT_TYPES, DEFAULT_CONTENT_TYPE, XGBoostSpec
from wildsage.algorithms.xgboost.hyperparameters import ALIASES, HYPERPARAMETERS
from wildsage.algorithms.xgboost.names import MAXIMIZED, MINIMIZED
from wildsage.algorithms.xgboost.rules import RULES

_RELEASES = ("0.90-1", "0.90-2", "1.0-1", "1.2-1", "1.2-2", "1.3-1", "1.5-1", "1.7-1", "3.0-5")


def _metric(split: str, name: str, maximize: bool) -> Metric:
    regex = rf".*\[[0-9]+\].*#011{split}-{name}:(\S+)"
    return Metric(f"{split}:{name}", regex, maximize=maximize, tunable=split == "validation")


def _metrics() -> tuple[Metric, ...]:
    directions = [(name, True) for name in MAXIMIZED] + [(name, False) for name in MINIMIZED]
    return tuple(_metric(split, *d) for split in ("validation", "train") for d in directions)


def _data_channel(name: str, *, required: bool) -> Channel:
    return Channel(
        name,
        content_types=CONTENT_TYPES,
        required=required,
        default_content_type=DEFAULT_CONTENT_TYPE,
    )


SPEC = XGBoostSpec(
    name="xgboost",
    title="XGBoost",
    image_names=("sagemaker-xgboost", "xgboost"),
    tags=(*_RELEASES, *(f"{tag}-cpu-py3" for tag in _RELEASES), "1", "latest"),
    hyperparameters=HYPERPARAMETERS,
    hyperparameter_aliases=ALIASES,
    channels=(
        _data_channel("train", required=True),
        _data_channel("validation", required=False),
        Channel(
            "code",
            content_types=("text/python",),
            modes=("File",),
            distribution=("FullyReplicated",),
            default_content_type="text/python",
        ),
    ),
    metrics=_metrics(),
    content_types=(TEXT_CSV, "text/libsvm", "text/x-libsvm", RECORDIO),
    accepts=(TEXT_CSV, JSON, JSONLINES, RECORDIO),
    rules=RULES,
    announces_configuration=False,
    first_lines=("Docker entrypoint called with argument(s): {command}",),
    distributed=True,
    paper="https://arxiv.org/abs/1603.02754",
)
