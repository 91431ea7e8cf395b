"""From rows as they come to a model: sample, reduce, index."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from wildsage.algorithms.knn.indexing import IndexSettings, build, padded_width
from wildsage.algorithms.knn.model import NeighborModel, Preparation
from wildsage.algorithms.knn.reduction import Reduction
from wildsage.algorithms.knn.sampling import Sample
from wildsage.contract.cluster import Cluster
from wildsage.contract.failure import ClientError

_SEEDS = 1 << 31


@dataclass(frozen=True)
class Settings:
    """The hyperparameters by their names."""

    k: int
    predictor_type: str = "classifier"
    sample_size: int = sys.maxsize
    dimension_reduction_type: str | None = None
    dimension_reduction_target: int | None = None
    index_type: str = "faiss.Flat"
    index_metric: str = "L2"
    faiss_index_ivf_nlists: int | Literal["auto"] = "auto"
    faiss_index_pq_m: int | None = None
    nprobe: int | Literal["auto"] = "auto"
    seed: int = 0

    @classmethod
    def of(cls, hyperparameters: Mapping[str, Any], seed: int) -> Settings:
        """From hyperparameters of a training job."""
        names = set(cls.__dataclass_fields__) - {"nprobe", "seed", "faiss_index_pq_m"}
        pieces = hyperparameters["faiss_index_pq_m"]
        return cls(
            **{name: hyperparameters[name] for name in names},
            faiss_index_pq_m=None if pieces is None else int(pieces),
            nprobe=hyperparameters["_faiss_index_nprobe"],
            seed=seed % _SEEDS,
        )

    @property
    def index(self) -> IndexSettings:
        return IndexSettings(
            self.index_type,
            self.index_metric,
            self.faiss_index_ivf_nlists,
            self.faiss_index_pq_m,
            self.nprobe,
            self.k,
            self.seed,
        )

    def preparation(self, width: int) -> Preparation:
        """What rows of this width go through before they are indexed."""
        reduction, target = None, self.dimension_reduction_target
        if self.dimension_reduction_type is not None:
            if target is None or not 0 < target < width:
                raise ClientError(
                    f"The value '{target}' is not valid for the 'dimension_reduction_target' "
                    f"hyperparameter which must be less than feature_dim '{width}'"
                )
            if self.index.is_quantized:
                target = padded_width(target, self.faiss_index_pq_m)
            reduction = Reduction(self.dimension_reduction_type, self.seed, target, width)
        return Preparation(width, reduction, self.index_metric == "COSINE")


class Fitting:
    """Takes rows batch by batch; `finish` makes the model, on the first host."""

    def __init__(self, settings: Settings, *, host_seed: int = 0) -> None:
        self.settings = settings
        self.preparation: Preparation | None = None
        self.label_size = 0
        self.seen = 0
        self.sample = Sample(settings.sample_size, settings.seed + host_seed, self._prepare)

    def _prepare(self, rows: np.ndarray) -> np.ndarray:
        assert self.preparation is not None
        return self.preparation(rows)

    def add(self, rows: np.ndarray, labels: np.ndarray, numbers: np.ndarray | None = None) -> None:
        """Rows, their labels ((n,) or (n, m)) and, unless they are counted here, their numbers."""
        if numbers is None:
            numbers = np.arange(self.seen, self.seen + len(rows))
        self.seen += len(rows)
        labels = labels.reshape(len(rows), -1).astype(np.float32, copy=False)
        if self.preparation is None:
            self.preparation = self.settings.preparation(rows.shape[1])
            self.label_size = labels.shape[1]
        self.sample.offer(rows, labels, numbers)

    def finish(
        self, cluster: Cluster | None = None, info: Callable[[str], None] = lambda line: None
    ) -> NeighborModel | None:
        """The model on the first host, None on the others. The sample is used up."""
        self.sample.settle()
        cluster = cluster or Cluster()
        self.sample.merge(cluster)
        if cluster.rank != 0:
            return None
        features, labels = self.sample.features, self.sample.labels
        assert features is not None and labels is not None and self.preparation is not None
        if self.settings.k > len(features):
            raise ClientError(
                f"The value '{self.settings.k}' is not valid for the 'k' hyperparameter which must "
                f"not be greater than the number of sampled training records '{len(features)}'"
            )
        index = build(features, self.settings.index, info)
        return NeighborModel(
            index,
            labels.whole(),
            self.preparation,
            self.settings.k,
            self.settings.predictor_type,
        )
