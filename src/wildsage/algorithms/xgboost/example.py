"""A small regression: the product of two features and a third."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wildsage.algorithms.example import Example, tabular
from wildsage.algorithms.xgboost.estimator import XGBoost
from wildsage.formats import libsvm
from wildsage.formats.matrix import SparseMatrix

_CSV, _RECORDIO, _LIBSVM = "text/csv", "application/x-recordio-protobuf", "text/libsvm"


def example() -> Example:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(240, 4)).astype(np.float32)
    labels = rows[:, 0] * rows[:, 1] + rows[:, 2]
    made = tabular(
        {"num_round": "4", "objective": "reg:squarederror", "eval_metric": "rmse,mae"},
        {"train": (rows, labels), "validation": (rows[:60], labels[:60])},
        rows[:5],
        ("score",),
        formats=(_CSV, _RECORDIO),
        request_formats=(_CSV, _RECORDIO),
        estimator=XGBoost,
        variations=_VARIATIONS,
        is_tabular=False,  # NaN is a missing value here
    )
    lines = libsvm.encode(SparseMatrix.from_dense(rows[:5]))
    requests = {**made.requests, _LIBSVM: lines, "text/x-libsvm": lines}
    channels = {
        name: {**formats, _LIBSVM: libsvm.encode(SparseMatrix.from_dense(part), target)}
        for (name, formats), part, target in zip(
            made.channels.items(), (rows, rows[:60]), (labels, labels[:60]), strict=True
        )
    }
    return replace(made, channels=channels, requests=requests)


_VARIATIONS = {
    "updater": {"updater": "grow_histmaker,prune"},
    "monotone_constraints": {"monotone_constraints": "(1, 0)", "tree_method": "hist"},
    "interaction_constraints": {"interaction_constraints": "[[1, 2]]", "tree_method": "hist"},
    "eval_metric": {"eval_metric": "mae,r2"},
}
