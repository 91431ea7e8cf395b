"""`LinearLearner`: the algorithm as a library, in scikit-learn's conventions.

    LinearLearner("binary_classifier").fit(X, y).predict(X)

Parameters are the hyperparameters of the SageMaker algorithm under their own names. Classes may be
any labels; `num_classes` and `feature_dim` are read off the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.base import Estimator, as_features
from wildsage.algorithms.linear_learner.model import LinearModel
from wildsage.algorithms.linear_learner.scaling import Features
from wildsage.algorithms.linear_learner.sources import MemorySource
from wildsage.algorithms.linear_learner.spec import SPEC
from wildsage.algorithms.linear_learner.training import EpochReport, Trainer, finished_model
from wildsage.algorithms.spec import as_text
from wildsage.contract.failure import ClientError

Array = NDArray[Any]


@dataclass(eq=False, repr=False)
class LinearLearner(Estimator):
    """A linear classifier or regressor; many are trained, the best is kept.

    Learned: `coef_`, `intercept_`, `classes_`, `threshold_` (on the margin), `n_features_in_`,
    `n_iter_` (epochs), `best_hyperparameters_`, `history_`.
    """

    predictor_type: str = "binary_classifier"
    _: KW_ONLY
    mini_batch_size: int = 1000
    epochs: int = 15
    num_models: int | str = "auto"
    num_calibration_samples: int | str = 10_000_000
    optimizer: str = "auto"
    loss: str = "auto"
    learning_rate: float | str = "auto"
    wd: float | str = "auto"
    l1: float | str = "auto"
    momentum: float | str = "auto"
    beta_1: float | str = "auto"
    beta_2: float | str = "auto"
    bias_lr_mult: float | str = "auto"
    bias_wd_mult: float | str = "auto"
    use_bias: bool = True
    use_lr_scheduler: bool = True
    lr_scheduler_step: int | str = "auto"
    lr_scheduler_factor: float | str = "auto"
    lr_scheduler_minimum_lr: float | str = "auto"
    init_method: str = "uniform"
    init_scale: float = 0.07
    init_sigma: float = 0.01
    init_bias: float = 0.0
    normalize_data: bool | str = True
    normalize_label: bool | str = "auto"
    unbias_data: bool | str = "auto"
    unbias_label: bool | str = "auto"
    num_point_for_scaler: int = 10_000
    positive_example_weight_mult: float | str = 1.0
    balance_multiclass_weights: bool = False
    binary_classifier_model_selection_criteria: str = "accuracy"
    target_recall: float = 0.8
    target_precision: float = 0.8
    f_beta: float = 1.0
    accuracy_top_k: int = 3
    margin: float = 1.0
    quantile: float = 0.5
    loss_insensitivity: float = 0.01
    huber_delta: float = 1.0
    early_stopping_patience: int = 3
    early_stopping_tolerance: float = 0.001
    random_state: int = 0

    @property
    def kind(self) -> str:  # type: ignore[override]
        return "regressor" if self.predictor_type == "regressor" else "classifier"

    @property
    def _estimator_type(self) -> str:
        return self.kind

    # --- learning --------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, validation: tuple[Any, Any] | None = None) -> Self:
        """Train on rows `X` with labels `y`; models are judged on `validation`, a pair, if
        given."""
        features = as_features(X)
        classes = self._classes_of(y)
        labels = self._encode(y, classes)
        if len(labels) != features.shape[0]:
            raise ValueError(f"X has {features.shape[0]} rows, y has {len(labels)}")
        hyperparameters = self.hyperparameters(0 if classes is None else len(classes))
        judged = None
        if validation is not None:
            rows = as_features(validation[0])
            judged = MemorySource([(rows, self._encode(validation[1], classes))])
        source = MemorySource([(features, labels)])
        seed = int(self.random_state)
        trainer = Trainer.start(source, judged, hyperparameters, seed=seed)
        self.history_: list[EpochReport] = list(trainer.epochs())
        choice = trainer.choose()
        if classes is not None:
            self.classes_: Array = classes
        self.model_: LinearModel = finished_model(trainer, choice)
        self.coef_ = self.model_.weight.T
        self.intercept_ = self.model_.bias
        self.threshold_ = self.model_.threshold
        self.n_features_in_ = int(features.shape[1])
        self.n_iter_ = trainer.next_epoch
        self.best_hyperparameters_ = trainer.plan.candidates.describe(choice.model, hyperparameters)
        return self

    def hyperparameters(self, classes: int = 0) -> dict[str, Any]:
        """The typed hyperparameters, checked as those of a training job are."""
        given = {n: v for n, v in self.get_params().items() if n != "random_state"}
        raw = {name: as_text(value) for name, value in given.items()}
        if self.predictor_type == "multiclass_classifier":
            raw["num_classes"] = str(max(3, classes))
        try:
            return SPEC.validate(raw)
        except ClientError as error:
            raise ValueError(str(error)) from error

    def _classes_of(self, y: Any) -> Array | None:
        if self.kind == "regressor":
            return None
        classes = np.unique(np.asarray(y))
        if self.predictor_type == "binary_classifier" and len(classes) != 2:
            raise ValueError(f"Two classes are needed, found {len(classes)}")
        return classes

    def _encode(self, y: Any, classes: Array | None) -> Array:
        """Labels as the algorithm takes them: numbers, classes counted from 0."""
        labels = np.asarray(y)
        if labels.ndim != 1:
            raise ValueError(f"y should be one label per row, got shape {labels.shape}")
        if classes is None:
            return np.asarray(labels, np.float32)
        if not np.isin(labels, classes).all():
            raise ValueError("a label is not among the classes of the training data")
        return np.searchsorted(classes, labels).astype(np.float32)

    # --- answering -------------------------------------------------------------------------------

    def decision_function(self, X: Any) -> Array:
        """Distances from the calibrated threshold (binary: positive means the second class), or the
        margins of all classes."""
        margins = self._margins(X)
        if self.predictor_type == "binary_classifier":
            return np.asarray(margins[:, 0] - self.threshold_)
        return margins[:, : len(self.classes_)]

    def predict(self, X: Any) -> Array:
        if self.predictor_type == "regressor":
            return np.asarray(self._margins(X)[:, 0])
        decision = self.decision_function(X)
        if self.predictor_type == "binary_classifier":
            return np.asarray(self.classes_[(decision >= 0).astype(np.intp)])
        return np.asarray(self.classes_[decision.argmax(axis=1)])

    def predict_proba(self, X: Any) -> Array:
        """Probabilities per class. The calibrated threshold need not be at one half."""
        if self.loss == "hinge_loss" or self.kind == "regressor":
            raise AttributeError("probabilities come with the logistic and softmax losses only")
        margins = self._margins(X)
        scores = self.model_.probabilities(margins)
        if self.predictor_type == "binary_classifier":
            return np.hstack([1 - scores, scores])
        return scores[:, : len(self.classes_)]

    def score(self, X: Any, y: Any) -> float:
        """Accuracy, or R squared."""
        predicted = self.predict(X)
        if self.kind == "classifier":
            return float(np.mean(predicted == np.asarray(y)))
        truth = np.asarray(y, np.float64)
        return float(1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())

    def metrics(self, X: Any, y: Any) -> Mapping[str, float]:
        """The figures of the training job's final log block, for these rows."""
        self.require_fit()
        classes = None if self.kind == "regressor" else self.classes_
        source = MemorySource([(self._rows(X), self._encode(y, classes))])
        outputs = self.model_.weight.shape[1]
        return self.model_.metrics(source, self.hyperparameters(outputs))

    def _margins(self, X: Any) -> Array:
        rows = self._rows(X)
        return self.model_.margins(rows)

    def _rows(self, X: Any) -> Features:
        self.require_fit()
        features = as_features(X)
        if features.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {features.shape[1]} features, but LinearLearner is expecting "
                f"{self.n_features_in_} features as input"
            )
        return features
