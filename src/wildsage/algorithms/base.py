"""What an algorithm is written against: estimators, batches, channels and the training job.

`Estimator` is the library side (scikit-learn's conventions without scikit-learn). `Channel` turns
the files or the pipe of an input into checked batches of rows. `TrainingJob` is what a program's
`train` gets, `Model` what its `load` returns; `Program` is the module that has both.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from wildsage.algorithms import reading
from wildsage.algorithms import spec as declarations
from wildsage.algorithms.reading import Reader
from wildsage.algorithms.reporting import AlgorithmLog
from wildsage.algorithms.requests import InferenceRequest
from wildsage.algorithms.rows import Batch, Features, as_features, as_matrix, stack
from wildsage.contract.channels import ChannelConfig
from wildsage.contract.cluster import Cluster
from wildsage.contract.env import TrainingEnvironment
from wildsage.contract.paths import Paths

__all__ = [
    "Batch",
    "Channel",
    "Estimator",
    "Features",
    "InferenceRequest",
    "Model",
    "Program",
    "TrainingJob",
    "as_features",
    "as_matrix",
    "stack",
]


class Estimator:
    """A model with parameters: what `__init__` takes is kept under the same names and nothing else.

    What `fit` learns ends in an underscore. `get_params`, `set_params` and `sklearn.base.clone`
    follow.
    """

    kind = ""  # scikit-learn's estimator type: clusterer, classifier, regressor, ...

    @classmethod
    def parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.parameter_names()}

    def set_params(self, **parameters: Any) -> Self:
        unknown = sorted(set(parameters) - set(self.parameter_names()))
        if unknown:
            raise ValueError(f"Invalid parameter {unknown[0]!r} for estimator {self!r}")
        for name, value in parameters.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value is not defaults[name].default and value != defaults[name].default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_is_fitted__(self) -> bool:
        return any(name.endswith("_") and not name.startswith("_") for name in vars(self))

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's pipelines ask; they alone import it."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=self.kind or None,
            target_tags=TargetTags(required=self.kind in ("classifier", "regressor")),
            transformer_tags=TransformerTags() if hasattr(self, "transform") else None,
            input_tags=InputTags(sparse=True),
        )

    def require_fit(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise ValueError(
                f"This {type(self).__name__} instance is not fitted yet; call fit first."
            )


@dataclass
class Channel:
    """One input of a training job, as batches of rows.

    The width of rows is checked against `feature_dim`; `stopping` ends a pass early when the job is
    asked to stop. Nothing is kept in memory between batches.
    """

    config: ChannelConfig
    feature_dim: int | None = None
    default_content_type: str = declarations.RECORDIO
    default_label_size: int = 1
    stopping: Callable[[], bool] = lambda: False

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def content_type(self) -> str:
        return self.config.content_type or self.default_content_type

    @property
    def parameters(self) -> dict[str, str]:
        """The content type's parameters, as in `text/csv; label_size=0`."""
        return reading.content_parameters(self.content_type)

    @property
    def label_size(self) -> int:
        return reading.label_size(self.content_type, self.default_label_size)

    @property
    def is_pipe(self) -> bool:
        return self.config.is_pipe

    def batches(self, rows: int | None = None, *, epoch: int = 0) -> Iterator[Batch]:
        """One pass over the channel: batches of `rows` rows (the last may be smaller), or any.

        A pipe can be read once per epoch, in order of epochs, and `epoch` says which.
        """
        pieces = self._pieces(epoch)
        return pieces if rows is None else reading.cut(pieces, rows)

    def matrix(self, *, epoch: int = 0) -> Batch:
        """All rows at once."""
        return stack(list(self._pieces(epoch)))

    def lines(self, *, epoch: int = 0) -> Iterator[bytes]:
        """The channel's lines without their ends: for formats that are not tables of numbers."""
        for stream in reading.streams(self.config, epoch):
            for line in stream:
                if self.stopping():
                    return
                yield line.rstrip(b"\r\n")

    def _pieces(self, epoch: int) -> Iterator[Batch]:
        reader = Reader(self.name, self.content_type, self.feature_dim, self.label_size)
        empty = True
        for batch in reading.read_batches(self.config, reader, epoch):
            if not len(batch):
                continue
            reading.check_batch(batch, reader)
            empty = False
            yield batch
            if self.stopping():
                return
        if empty:
            raise reading.empty_channel(self.name)


def require_labels(batch: Batch, channel: str) -> np.ndarray:
    """The batch's labels, one a row; AWS's error where there are none or several."""
    labels = batch.labels
    if labels is None or labels.ndim != 1:
        raise reading.label_error(channel, 0 if labels is None else int(labels.shape[1]))
    return labels


@dataclass
class TrainingJob:
    """What `train` works with: typed hyperparameters, channels, peers, folders and the log."""

    hyperparameters: dict[str, Any]
    channels: dict[str, Channel]
    cluster: Cluster = field(default_factory=Cluster)
    paths: Paths = field(default_factory=Paths)
    log: AlgorithmLog = field(default_factory=AlgorithmLog)
    seed: int = 0
    stopping: Callable[[], bool] = lambda: False

    @classmethod
    def create(
        cls,
        spec: declarations.AlgorithmSpec,
        environment: TrainingEnvironment,
        hyperparameters: dict[str, Any],
        *,
        stopping: Callable[[], bool] = lambda: False,
        cluster: Cluster | None = None,
        log: AlgorithmLog | None = None,
    ) -> TrainingJob:
        """From an instance's configuration and hyperparameters that are already validated."""
        width = hyperparameters.get("feature_dim")
        channels = {
            name: Channel(
                config,
                width if isinstance(width, int) else None,
                _default_content_type(spec, name),
                stopping=stopping,
            )
            for name, config in environment.channels.items()
        }
        return cls(
            hyperparameters,
            channels,
            cluster or Cluster.of(environment),
            environment.paths,
            log or AlgorithmLog(environment.current_host, spec.log_name or spec.name),
            _seed(hyperparameters),
            stopping,
        )

    @property
    def is_first_host(self) -> bool:
        """Whether this instance writes the model."""
        return self.cluster.rank == 0

    @property
    def test(self) -> Channel | None:
        return self.channels.get("test")

    def model_file(self, name: str = "model_algo-1") -> Path:
        """Where an artifact goes."""
        self.paths.model.mkdir(parents=True, exist_ok=True)
        return self.paths.model / name


def _default_content_type(spec: declarations.AlgorithmSpec, channel: str) -> str:
    declared = spec.channel(channel)
    return declared.default_content_type if declared else declarations.RECORDIO


def _seed(hyperparameters: Mapping[str, Any]) -> int:
    """`_seed` or `seed` where given, else 0: the same data give the same model."""
    for name in ("_seed", "seed"):
        value = hyperparameters.get(name)
        if value is not None and str(value).isdigit():
            return int(value)
    return 0


class Model(Protocol):
    """A loaded model. `predict` returns for each name one value (or vector) per record.

    Optional: `feature_dim` (an int: requests of another width are refused), `decode(body, request)`
    and `encode(columns, request)` where the formats of `requests` do not fit.
    """

    def predict(
        self, batch: Batch, request: InferenceRequest
    ) -> Mapping[str, np.ndarray | list[Any]]: ...


class Program(Protocol):
    """An algorithm's `program` module."""

    def train(self, job: TrainingJob) -> None: ...

    def load(self, model_dir: Path) -> Model: ...
