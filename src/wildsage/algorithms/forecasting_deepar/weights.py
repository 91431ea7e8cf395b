"""A trained model as NumPy arrays and settings, and its two files.

`model_algo-1` is a NumPy archive, `model_algo-1.json` says how to read it. Neither needs PyTorch,
so that an endpoint starts at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wildsage.algorithms.forecasting_deepar.frequency import Frequency
from wildsage.algorithms.forecasting_deepar.series import RecordError, Series
from wildsage.algorithms.forecasting_deepar.windows import Layout

FILE, SETTINGS_FILE = "model_algo-1", "model_algo-1.json"
FORMAT = 1


@dataclass(slots=True)
class Weights:
    """Everything that a forecast needs.

    Gates stand in the order input, forget, candidate, output. `arrays` has for each layer N
    `weights_N` (4 units, inputs + units) and `bias_N` (4 units, 1); then `statics` (4 units,
    1 + embeddings), `embedding_N` (cardinality, dimension), `head` (n, units), `direct` (n, inputs)
    and `head_bias` (n, 1).
    """

    layout: Layout
    likelihood: str
    zoneout: float
    cardinality: list[int]
    size_mean: float
    size_scale: float
    layers: int
    arrays: dict[str, np.ndarray]

    @property
    def units(self) -> int:
        return int(self.arrays["head"].shape[1])

    @property
    def embeddings(self) -> list[np.ndarray]:
        return [self.arrays[f"embedding_{n}"] for n in range(len(self.cardinality))]

    def check(self, series: Series) -> None:
        """Refuse a series with other categories or feature time series than in training."""
        found, wanted = len(series.cat), len(self.cardinality)
        if found != wanted:
            raise RecordError(
                f"the model was trained with {wanted} categorical features, the field 'cat' has "
                f"{found}"
            )
        for position, (value, limit) in enumerate(zip(series.cat, self.cardinality, strict=True)):
            if value >= limit:
                raise RecordError(
                    f"the field 'cat' contains the value {value} at position {position}, which "
                    f"must be less than the cardinality {limit}"
                )
        found, wanted = len(series.dynamic), len(self.layout.dynamic_mean)
        if found != wanted:
            raise RecordError(
                f"the model was trained with {wanted} feature time series, the field "
                f"'dynamic_feat' has {found}"
            )

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / FILE, "wb") as file:
            np.savez(file, **self.arrays)  # type: ignore[arg-type]
        (folder / SETTINGS_FILE).write_text(json.dumps(self._settings(), indent=1) + "\n", "utf-8")

    def _settings(self) -> dict[str, Any]:
        layout = self.layout
        return {
            "format": FORMAT,
            "time_freq": str(layout.frequency),
            "context_length": layout.context,
            "prediction_length": layout.prediction,
            "lags": layout.lags.tolist(),
            "time_features": [*layout.frequency.feature_names, "age"],
            "dynamic_feat_mean": layout.dynamic_mean.tolist(),
            "dynamic_feat_scale": layout.dynamic_scale.tolist(),
            "usual_scale": layout.usual_scale,
            "scaled": layout.scaled,
            "likelihood": self.likelihood,
            "layers": self.layers,
            "units": self.units,
            "zoneout": self.zoneout,
            "cardinality": self.cardinality,
            "log_scale_mean": self.size_mean,
            "log_scale_deviation": self.size_scale,
        }

    @classmethod
    def load(cls, folder: Path) -> Weights:
        settings = json.loads((folder / SETTINGS_FILE).read_text("utf-8"))
        layout = Layout(
            Frequency.parse(settings["time_freq"]),
            settings["context_length"],
            settings["prediction_length"],
            np.array(settings["lags"], np.int64),
            np.array(settings["dynamic_feat_mean"], np.float32),
            np.array(settings["dynamic_feat_scale"], np.float32),
            settings["usual_scale"],
            settings["scaled"],
        )
        with np.load(folder / FILE) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return cls(
            layout=layout,
            likelihood=settings["likelihood"],
            zoneout=settings["zoneout"],
            cardinality=settings["cardinality"],
            size_mean=settings["log_scale_mean"],
            size_scale=settings["log_scale_deviation"],
            layers=settings["layers"],
            arrays=arrays,
        )
