"""XGBoost as a library: scikit-learn's conventions around the training job's own code."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from wildsage.algorithms.base import Estimator
from wildsage.algorithms.xgboost import library, spec
from wildsage.algorithms.xgboost.boosting import Run
from wildsage.algorithms.xgboost.data import Table
from wildsage.algorithms.xgboost.metrics import predicted_labels
from wildsage.algorithms.xgboost.parameters import make_plan
from wildsage.algorithms.xgboost.predicting import Predictor
from wildsage.formats.matrix import SparseMatrix


def _silent(number: int, figures: dict[str, float]) -> None:
    """Evaluations go into `evaluations_`; a job prints them instead."""


class XGBoost(Estimator):
    """Gradient-boosted trees.

    Every hyperparameter of the SageMaker algorithm goes into `parameters` under its own name, and
    is checked as a job's is: `XGBoost(num_round=50, objective="binary:logistic",
    parameters={"max_depth": 4})`. NaN is a missing value.
    """

    def __init__(
        self,
        num_round: int = 100,
        objective: str = "reg:squarederror",
        num_class: int | None = None,
        early_stopping_rounds: int | None = None,
        eval_metric: str | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> None:
        self.num_round = num_round
        self.objective = objective
        self.num_class = num_class
        self.early_stopping_rounds = early_stopping_rounds
        self.eval_metric = eval_metric
        self.parameters = parameters

    @property
    def kind(self) -> str:  # type: ignore[override]
        return "classifier" if self.objective.startswith(("binary:", "multi:")) else "regressor"

    def hyperparameters(self) -> dict[str, str]:
        """What a training job would be given."""
        named = {name: value for name, value in self.get_params().items() if name != "parameters"}
        given = {name: value for name, value in named.items() if value is not None}
        return {name: str(value) for name, value in (given | (self.parameters or {})).items()}

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        validation: tuple[Any, Any] | None = None,
    ) -> Self:
        """Boost; `validation` is (X, y), evaluated after every round."""
        values = spec.SPEC.validate(self.hyperparameters())
        weights = None if sample_weight is None else np.asarray(sample_weight, np.float32)
        plan = make_plan(values, weighted=weights is not None)
        self.evaluations_: list[dict[str, float]] = []
        run = Run(plan, report=self._record if validation is not None else _silent)
        train = library.matrix(_table(X, y, weights), plan.objective)
        held_out = None
        if validation is not None:
            held_out = library.matrix(_table(*validation), plan.objective)
        self.booster_ = run.train(train, held_out)
        self._predictor = Predictor(self.booster_)
        return self

    def _record(self, number: int, figures: dict[str, float]) -> None:
        self.evaluations_.append(figures)

    def predict(self, X: Any) -> np.ndarray:
        """Classes where the objective has them, else values."""
        outcome = self.decision(X)
        if self.kind == "classifier":
            return predicted_labels(outcome, self.objective)
        return outcome

    def predict_proba(self, X: Any) -> np.ndarray:
        """(n, classes); for binary:logistic and multi:softprob."""
        outcome = self.decision(X)
        if outcome.ndim > 1:
            return outcome
        if self.objective != "binary:logistic":
            raise ValueError(f"{self.objective} does not predict probabilities")
        return np.column_stack((1 - outcome, outcome))

    def decision(self, X: Any) -> np.ndarray:
        """What the library predicts, and an endpoint answers."""
        self.require_fit()
        return self._predictor.predict(_features(X))


def _table(X: Any, y: Any, weights: np.ndarray | None = None) -> Table:
    features, labels = _features(X), np.asarray(y, np.float32).ravel()
    if len(labels) != len(features):
        raise ValueError(f"X has {len(features)} rows and y has {len(labels)}")
    return Table(features, labels, weights)


def _features(X: Any) -> np.ndarray | SparseMatrix:
    """float32 rows; unlike other algorithms, this one bears NaN."""
    if isinstance(X, SparseMatrix):
        return X
    if hasattr(X, "tocsr"):
        return SparseMatrix.from_scipy(X)
    rows = np.ascontiguousarray(X, np.float32)
    if rows.ndim != 2:
        raise ValueError(f"Expected a table of rows and columns, got {rows.ndim} dimension(s)")
    return rows
