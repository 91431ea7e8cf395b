"""A fitted model: an index, the labels of its rows, and what is done to rows and neighbours.

Three files, of which the last may be edited: `model_algo-1` is faiss's index, `model_algo-1.labels`
the labels as raw float32, `model_algo-1.json` tells k, predictor type, dimension reduction and
whether rows are made of length one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from wildsage.algorithms.knn.library import faiss
from wildsage.algorithms.knn.reduction import Reduction, normalized
from wildsage.algorithms.knn.searching import Searcher
from wildsage.algorithms.knn.voting import majority
from wildsage.contract.failure import ClientError

VERSION = "1.0"
# faiss finds nothing at a distance that float32 does not hold, and ends the process in training.
LONGEST_SQUARED = 1e37


@dataclass(frozen=True)
class Preparation:
    """What happens to rows before they are indexed or looked up."""

    feature_dim: int
    reduction: Reduction | None = None
    normalize: bool = False

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        if self.reduction is not None:
            rows = self.reduction(rows)
        if self.normalize:
            return normalized(rows)
        longest = np.einsum("ij,ij->i", rows, rows).max(initial=0)
        if not longest <= LONGEST_SQUARED:
            raise ClientError(
                "The values are too large: squared distances exceed the range of 32-bit floating "
                "point numbers. Please scale the features."
            )
        return rows


@dataclass
class NeighborModel:
    """`labels` is (rows, labels per row), float32."""

    index: Any
    labels: np.ndarray
    preparation: Preparation
    k: int
    predictor_type: str
    searcher: Searcher = field(init=False)

    def __post_init__(self) -> None:
        self.searcher = Searcher(self.index)

    @property
    def feature_dim(self) -> int:
        return self.preparation.feature_dim

    def neighbors(self, rows: np.ndarray, k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Distances, ascending, and the numbers of the rows that are so near.

        L2: Euclidean. COSINE: one minus the cosine. INNER_PRODUCT: the inner product's negative.
        """
        found = self.searcher.search(self.preparation(rows), self.k if k is None else k)
        values, numbers = found
        if self.searcher.is_distance:
            return np.sqrt(np.maximum(values, 0)), numbers
        apart: np.ndarray = 1 - values if self.preparation.normalize else -values
        return apart, numbers

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """The predicted label of each row, or the vector of them."""
        return self.decide(self.neighbors(rows)[1])

    def decide(self, numbers: np.ndarray) -> np.ndarray:
        """What the neighbours with these numbers say: (n, labels), or (n,) for single labels."""
        said: np.ndarray
        if self.predictor_type == "regressor":
            said = self.labels[numbers].mean(axis=1, dtype=np.float64).astype(np.float32)
        else:
            columns = [values[majority(codes[numbers])] for values, codes in self.coded_labels]
            said = np.stack(columns, axis=1)
        return said[:, 0] if self.labels.shape[1] == 1 else said

    @cached_property
    def coded_labels(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each column the distinct labels, and each row's place among them."""
        found = (np.unique(column, return_inverse=True) for column in self.labels.T)
        return [(values, codes.astype(np.int32)) for values, codes in found]

    # --- files -----------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write `path`, and `.labels` and `.json` beside it."""
        faiss().write_index(self.index, str(path))
        with open(f"{path}.labels", "wb") as file:
            self.labels.astype("<f4").tofile(file)
        Path(f"{path}.json").write_text(json.dumps(self.metadata(), indent=2) + "\n", "utf-8")

    def metadata(self) -> dict[str, Any]:
        reduction = self.preparation.reduction
        return {
            "k": self.k,
            "predictor_type": self.predictor_type,
            "feature_dim": self.feature_dim,
            "dimension_reduction": None if reduction is None else reduction.as_json(),
            "normalize": self.preparation.normalize,
            "version": VERSION,
        }

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the three files; ValueError where they do not belong together."""
        document = json.loads(Path(f"{path}.json").read_text("utf-8"))
        index = faiss().read_index(str(path))
        labels = np.fromfile(f"{path}.labels", "<f4")
        if not index.ntotal or len(labels) % index.ntotal or not len(labels):
            raise ValueError(f"{len(labels)} labels do not suit an index of {index.ntotal} rows")
        return cls.assemble(index, labels.reshape(index.ntotal, -1), document)

    @classmethod
    def assemble(cls, index: Any, labels: np.ndarray, document: dict[str, Any]) -> Self:
        """From an index, its labels, and what `metadata` tells."""
        described = document.get("dimension_reduction")
        reduction = Reduction.from_json(described) if described else None
        width = reduction.input_dim if reduction else int(document.get("feature_dim", index.d))
        preparation = Preparation(width, reduction, bool(document.get("normalize")))
        return cls(index, labels, preparation, _k(document), _predictor_type(document))


def _k(document: dict[str, Any]) -> int:
    k = document["k"]
    if not isinstance(k, int) or k < 1:
        raise ValueError(f"k must be a positive integer, not {k!r}")
    return k


def _predictor_type(document: dict[str, Any]) -> str:
    kind = document["predictor_type"]
    if kind not in ("classifier", "regressor"):
        raise ValueError(f"predictor_type must be classifier or regressor, not {kind!r}")
    return str(kind)
