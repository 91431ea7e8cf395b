"""A trained factorization machine: how it is written, read and asked. NumPy alone.

The artifact `model_algo-1` is a NumPy `.npz`, which is a zip file: the arrays `w0` (1,), `w1`
(features,) and `v` (features, factors), and the text `manifest.json` beside them.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.factorization_machines.metrics import CLASSIFIER
from wildsage.algorithms.rows import Features
from wildsage.formats.matrix import SparseMatrix

Array = NDArray[Any]
FORMAT = "wildsage-factorization-machines-1"
ENTRIES_AT_ONCE = 1 << 18


@dataclass(slots=True)
class FactorizationModel:
    """score(x) = bias + linear . x + 1/2 sum over f of ((v_f . x)^2 - v_f^2 . x^2)"""

    predictor_type: str
    bias: float
    linear: Array
    factors: Array

    @property
    def feature_dim(self) -> int:
        return len(self.linear)

    def scores(self, features: Features) -> Array:
        """One number per row, before the logistic function."""
        if isinstance(features, SparseMatrix):
            return self._sparse_scores(features)
        norms = np.square(self.factors).sum(axis=1)
        flat = features @ self.linear - np.square(features) @ norms / 2
        return self._finished(flat, features @ self.factors)

    def _sparse_scores(self, features: SparseMatrix) -> Array:
        """Some rows at a time: the factors of all their entries lie in memory."""
        most = max(1, ENTRIES_AT_ONCE // self.factors.shape[1])
        found, begin = np.empty(len(features), np.float32), 0
        while begin < len(features):
            end = np.searchsorted(features.indptr, features.indptr[begin] + most, side="right")
            end = max(begin + 1, int(end) - 1)
            found[begin:end] = self._scores_of(features[begin:end])
            begin = end
        return found

    def _scores_of(self, rows: SparseMatrix) -> Array:
        parts = self.factors[rows.indices] * rows.data[:, None]
        flat = self.linear[rows.indices] * rows.data - np.square(parts).sum(axis=1) / 2
        filled = np.flatnonzero(np.diff(rows.indptr))
        sums = np.zeros((len(rows), parts.shape[1]), np.float32)
        totals = np.zeros(len(rows), np.float32)
        if len(filled):
            sums[filled] = np.add.reduceat(parts, rows.indptr[filled], axis=0)
            totals[filled] = np.add.reduceat(flat, rows.indptr[filled])
        return self._finished(totals, sums)

    def _finished(self, flat: Array, sums: Array) -> Array:
        return np.asarray(flat + np.square(sums).sum(axis=1) / 2 + np.float32(self.bias))

    def answers(self, features: Features) -> dict[str, Array]:
        """`score` and, for a classifier, `predicted_label`, one per row."""
        scores = self.scores(features)
        if self.predictor_type != CLASSIFIER:
            return {"score": scores}
        return {"score": sigmoid(scores), "predicted_label": (scores >= 0).astype(np.int64)}

    def save(self, path: Path) -> None:
        manifest = {
            "format": FORMAT,
            "predictor_type": self.predictor_type,
            "feature_dim": self.feature_dim,
            "num_factors": int(self.factors.shape[1]),
        }
        with open(path, "wb") as file:
            np.savez(file, w0=np.array([self.bias]), w1=self.linear, v=self.factors)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("manifest.json", json.dumps(manifest, indent=2))

    @classmethod
    def load(cls, path: Path) -> FactorizationModel:
        with np.load(path) as archive:
            manifest: dict[str, Any] = json.loads(archive["manifest.json"])
            if manifest.get("format") != FORMAT:
                raise ValueError(f"{path.name} is not a factorization-machines model")
            bias = float(archive["w0"][0])
            return cls(manifest["predictor_type"], bias, archive["w1"], archive["v"])


def sigmoid(scores: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(scores / 2)))
