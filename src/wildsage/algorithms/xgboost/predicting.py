"""Boosters that answer: loading a model folder, and prediction straight through the C interface.

`Booster.inplace_predict` spends most of a single row's time on describing arrays; `Predictor` gives
the library's documented C functions (XGBoosterPredictFromDense, XGBoosterPredictFromCSR) the
description itself.
"""

from __future__ import annotations

import ctypes
import io
import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wildsage.algorithms.xgboost import library
from wildsage.algorithms.xgboost.log import info, warn
from wildsage.formats.matrix import SparseMatrix

_CONFIG = json.dumps(
    {
        "type": 0,
        "training": False,
        "iteration_begin": 0,
        "iteration_end": 0,
        "strict_shape": False,
        "cache_id": 0,
        "missing": float("nan"),
    }
).encode()
_VOTED = ("multi:softmax", "binary:hinge")
# What a pickled booster of the images before 1.3 is made of; nothing else is let in.
_PICKLED = frozenset(
    (
        ("xgboost.core", "Booster"),
        ("builtins", "bytearray"),
        ("collections", "defaultdict"),
        ("builtins", "dict"),
    )
)


class Predictor:
    """One booster. Dense rows are float32 with NaN for what is missing."""

    def __init__(self, booster: Any) -> None:
        booster.set_param({"nthread": 1})
        learner = json.loads(booster.save_config())["learner"]
        self.booster = booster
        self.objective: str = learner["objective"]["name"]
        self.num_class: int = int(learner["learner_model_param"].get("num_class", 0))
        self.num_features: int = booster.num_features()
        self._has_trees: bool = learner["gradient_booster"]["name"] != "gblinear"
        self._library = _shared_library()

    def predict(self, features: np.ndarray | SparseMatrix) -> np.ndarray:
        """(n,) or (n, classes) predictions."""
        if not self._has_trees:
            xgboost = library.load()
            return np.asarray(self.booster.predict(xgboost.DMatrix(library.as_input(features))))
        if isinstance(features, SparseMatrix):
            return self._sparse(features)
        rows = np.ascontiguousarray(features, np.float32)
        return self._call(self._library.XGBoosterPredictFromDense, _describe(rows))

    def _sparse(self, rows: SparseMatrix) -> np.ndarray:
        arrays = (
            np.ascontiguousarray(rows.indptr, np.int64),
            np.ascontiguousarray(rows.indices, np.int32),
            np.ascontiguousarray(rows.data, np.float32),
        )
        described = [_describe(array) for array in arrays]
        columns = ctypes.c_uint64(rows.shape[1])
        return self._call(self._library.XGBoosterPredictFromCSR, *described, columns)

    def _call(self, function: Any, *arguments: Any) -> np.ndarray:
        shape = ctypes.POINTER(ctypes.c_uint64)()
        dimensions = ctypes.c_uint64()
        result = ctypes.POINTER(ctypes.c_float)()
        status = function(
            self.booster.handle,
            *arguments,
            _CONFIG,
            None,
            ctypes.byref(shape),
            ctypes.byref(dimensions),
            ctypes.byref(result),
        )
        if status:
            message = self._library.XGBGetLastError().decode("utf-8", "replace")
            raise ValueError(message.partition("\nStack trace:")[0])
        lengths = shape[: dimensions.value]
        size = 4 * int(np.prod(lengths)) if len(lengths) != 1 else 4 * lengths[0]
        # The library keeps the result only until its next call: copy it.
        values = np.frombuffer(ctypes.string_at(result, size), np.float32)
        return values if len(lengths) == 1 else values.reshape(lengths)


def _describe(array: np.ndarray) -> bytes:
    """The array interface (version 3) of a contiguous array."""
    pointer = array.__array_interface__["data"][0]
    shape = ",".join(map(str, array.shape))
    kind = array.dtype.str
    return (
        f'{{"data":[{pointer},true],"shape":[{shape}],"strides":null,"typestr":"{kind}",'
        '"version":3}'
    ).encode()


def _shared_library() -> ctypes.CDLL:
    from xgboost.libpath import find_lib_path

    shared = ctypes.CDLL(find_lib_path()[0])
    shared.XGBGetLastError.restype = ctypes.c_char_p
    return shared


@dataclass
class Ensemble:
    """The models of one folder: usually one, several after a cross validation."""

    predictors: Sequence[Predictor]

    @property
    def first(self) -> Predictor:
        return self.predictors[0]

    def predict(self, features: np.ndarray | SparseMatrix) -> np.ndarray:
        """The mean of all models' predictions; their vote where they predict classes."""
        if len(self.predictors) == 1:
            return self.first.predict(features)
        results = np.stack([predictor.predict(features) for predictor in self.predictors])
        if self.first.objective not in _VOTED:
            return np.asarray(results.mean(axis=0))
        values = np.unique(results)
        counts = np.stack([(results == value).sum(axis=0) for value in values])
        return np.asarray(values[counts.argmax(axis=0)])


def load_ensemble(folder: Path, *, every: bool = True) -> Ensemble:
    """The models in a folder; the first by name only, unless `every` one is asked for."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    for path in files:
        if path.name.startswith("."):
            warn(
                f"Ignoring dotfile '{path}' found in model directory"
                " - please exclude dotfiles from model archives"
            )
    models = [path for path in files if not path.name.startswith(".")]
    if not models:
        raise FileNotFoundError(f"no model found in {folder}")
    return Ensemble([Predictor(load_booster(path)) for path in (models if every else models[:1])])


def load_booster(path: Path) -> Any:
    """A booster of any format: UBJSON or JSON, or pickled by the images before 1.3."""
    info(f"Loading the model from {path}")
    xgboost = library.load()
    content = path.read_bytes()
    try:
        return xgboost.Booster(model_file=bytearray(content))
    except xgboost.core.XGBoostError as error:
        try:
            return _Unpickler(io.BytesIO(content)).load()
        except Exception as pickle_error:
            text = str(error).partition("\nStack trace:")[0]
            raise RuntimeError(
                f"Model {path} cannot be loaded:\nPickle load error={pickle_error}"
                f"\nXGB load model error={text}"
            ) from error


class _Unpickler(pickle.Unpickler):
    """Reads a pickled booster and refuses whatever else a pickle could bring along."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PICKLED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"a model does not need {module}.{name}")
