"""The library: scikit-learn's conventions, sparse and dense rows, learning step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from algorithms.factorization_machines.helpers_machines import interacting
from wildsage.algorithms.factorization_machines import FactorizationMachines

TABLE, LABELS = interacting()
NAMES = np.where(LABELS > 0.5, "yes", "no")


def machine(kind: str = "binary_classifier", **changes: Any) -> FactorizationMachines:
    given: dict[str, Any] = {
        "epochs": 30,
        "mini_batch_size": 20,
        "factors_lr": 0.05,
        "linear_lr": 0.05,
    }
    return FactorizationMachines(4, kind, **{**given, "factors_init_sigma": 0.1, **changes})


def test_any_two_classes() -> None:
    made = machine().fit(TABLE, NAMES)
    assert made.classes_.tolist() == ["no", "yes"]
    assert made.score(TABLE, NAMES) > 0.97
    chances = made.predict_proba(TABLE)
    assert chances.sum(axis=1) == pytest.approx(1)
    assert ((chances[:, 1] >= 0.5) == (made.predict(TABLE) == "yes")).all()


def test_sparse_rows_and_the_same_seed() -> None:
    one = machine("regressor").fit(csr_matrix(TABLE), LABELS)
    other = machine("regressor").fit(TABLE, LABELS)
    assert (one.factors_ == other.factors_).all()
    assert one.score(csr_matrix(TABLE), LABELS) > 0.98
    assert (machine("regressor", random_state=1).fit(TABLE, LABELS).factors_ != one.factors_).any()


def test_step_by_step() -> None:
    made = machine()
    for _ in range(30):
        made.partial_fit(TABLE, NAMES, classes=["no", "yes"])
    assert made.score(TABLE, NAMES) > 0.97
    assert len(made.history_) == 30
    losses = [figures["binary_classification_cross_entropy"] for figures in made.history_]
    assert losses[-1] < losses[0] / 2


def test_pipelines_and_clones() -> None:
    columns = np.column_stack([TABLE[:, :6].argmax(1), TABLE[:, 6:12].argmax(1)])
    pipeline = make_pipeline(OneHotEncoder(), machine())
    assert clone(pipeline).fit(columns, NAMES).score(columns, NAMES) > 0.6


def test_wrong_input() -> None:
    with pytest.raises(ValueError, match="Two classes are needed, found 1"):
        machine().fit(TABLE, np.ones(len(TABLE)))
    with pytest.raises(ValueError, match="X has 400 rows, y has 3"):
        machine("regressor").fit(TABLE, LABELS[:3])
    with pytest.raises(ValueError, match="NaN or infinity"):
        machine("regressor").fit(csr_matrix(np.where(TABLE > 0, np.inf, 0)), LABELS)
    with pytest.raises(ValueError, match="'no_such' is not valid for the '_optimizer'"):
        machine(optimizer="no_such").fit(TABLE, NAMES)
    with pytest.raises(ValueError, match="is expecting 18 features"):
        machine().fit(TABLE, NAMES).predict(TABLE[:, :5])
    with pytest.raises(ValueError, match="not fitted yet"):
        machine().predict(TABLE)
