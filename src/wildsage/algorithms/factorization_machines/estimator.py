"""`FactorizationMachines`: the algorithm as a library, in scikit-learn's conventions.

    FactorizationMachines(num_factors=16, predictor_type="regressor").fit(X, y).predict(X)

Parameters are the hyperparameters of the SageMaker algorithm under their own names, with their
defaults. Rows may be dense or sparse (SciPy's matrices). Classes may be any two labels.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.base import Batch, Estimator, Features, as_features
from wildsage.algorithms.factorization_machines.metrics import CLASSIFIER
from wildsage.algorithms.factorization_machines.model import FactorizationModel, sigmoid
from wildsage.algorithms.factorization_machines.spec import SPEC
from wildsage.algorithms.spec import as_text
from wildsage.contract.failure import ClientError
from wildsage.formats.matrix import SparseMatrix

Array = NDArray[Any]
_HIDDEN = {"optimizer": "_optimizer"}


@dataclass(eq=False, repr=False)
class FactorizationMachines(Estimator):
    """A factorization machine: a linear model with all pairwise interactions, of low rank.

    Learned: `bias_`, `linear_` (features,), `factors_` (features, factors), `classes_` of a
    classifier, `n_features_in_`, `history_` (metrics of each epoch).
    """

    num_factors: int = 64
    predictor_type: str = CLASSIFIER
    _: KW_ONLY
    epochs: int = 1
    mini_batch_size: int = 1000
    bias_init_method: str = "normal"
    bias_init_scale: float | None = None
    bias_init_sigma: float = 0.01
    bias_init_value: float | None = None
    bias_lr: float = 0.1
    bias_wd: float = 0.01
    linear_init_method: str = "normal"
    linear_init_scale: float | None = None
    linear_init_sigma: float = 0.01
    linear_init_value: float | None = None
    linear_lr: float = 0.001
    linear_wd: float = 0.001
    factors_init_method: str = "normal"
    factors_init_scale: float | None = None
    factors_init_sigma: float = 0.001
    factors_init_value: float | None = None
    factors_lr: float = 0.0001
    factors_wd: float = 0.00001
    clip_gradient: float | None = None
    eps: float | None = None
    rescale_grad: float | None = None
    use_bias: bool = True
    use_linear: bool = True
    optimizer: str = "adam"
    random_state: int = 0

    @property
    def kind(self) -> str:  # type: ignore[override]
        return "classifier" if self.predictor_type == CLASSIFIER else "regressor"

    @property
    def _estimator_type(self) -> str:
        return self.kind

    # --- learning --------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any) -> Self:
        """Train on rows `X` with labels `y`, `epochs` times over, in random order."""
        features, labels = self._begin(X, y)
        trainer, assembler = self._training
        rows = Batch(features, labels)
        self.history_: list[dict[str, float]] = []
        for _ in range(self.epochs):
            self._learn(assembler.from_memory(rows))
        return self._remember(trainer)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Go on learning from more rows; the first time, `classes` names both if `y` does not."""
        from wildsage.algorithms.factorization_machines.batches import suited

        if getattr(self, "_training", None) is None:
            features, labels = self._begin(X, y, classes)
            self.history_ = []
        else:
            features = suited(self._rows(X))
            labels = self._encode(y)
            _same_length(features, labels)
        trainer, assembler = self._training
        self._learn(assembler.from_memory(Batch(features, labels)))
        return self._remember(trainer)

    def _begin(self, X: Any, y: Any, classes: Any = None) -> tuple[Features, Array]:
        """Everything that training needs; numba is imported here."""
        from wildsage.algorithms.factorization_machines.batches import Assembler, suited
        from wildsage.algorithms.factorization_machines.training import Trainer

        features = _checked(as_features(X))
        if self.predictor_type == CLASSIFIER:
            self.classes_: Array = np.unique(np.asarray(y if classes is None else classes))
            if len(self.classes_) != 2:
                raise ValueError(f"Two classes are needed, found {len(self.classes_)}")
        labels = self._encode(y)
        _same_length(features, labels)
        width = int(features.shape[1])
        trainer = Trainer(self.hyperparameters(width), self.random_state)
        assembler = Assembler(self.mini_batch_size, trainer.rng)
        self._training: Any = (trainer, assembler)
        self.n_features_in_ = width
        return suited(features), labels

    def _learn(self, runs: Any) -> None:
        from wildsage.algorithms.factorization_machines.metrics import figures_of

        trainer, _ = self._training
        try:
            total = sum(figures.sum(axis=0) for figures in trainer.learn(runs))
        except ClientError as error:
            raise ValueError(str(error)) from error
        self.history_.append(figures_of(self.predictor_type, np.asarray(total)))

    def _remember(self, trainer: Any) -> Self:
        self.model_: FactorizationModel = trainer.model()
        self.bias_, self.linear_ = self.model_.bias, self.model_.linear
        self.factors_ = self.model_.factors
        return self

    def hyperparameters(self, feature_dim: int) -> dict[str, Any]:
        """The typed hyperparameters, checked as those of a training job are."""
        given = {n: v for n, v in self.get_params().items() if n != "random_state"}
        raw = {_HIDDEN.get(n, n): as_text(v) for n, v in given.items() if v is not None}
        try:
            return SPEC.validate({**raw, "feature_dim": str(feature_dim)})
        except ClientError as error:
            raise ValueError(str(error)) from error

    def _encode(self, y: Any) -> Array:
        """Labels as the algorithm takes them: numbers, or 0 and 1."""
        labels = np.asarray(y)
        if labels.ndim != 1:
            raise ValueError(f"y should be one label per row, got shape {labels.shape}")
        if self.predictor_type != CLASSIFIER:
            numbers = np.asarray(labels, np.float32)
            if not np.isfinite(numbers).all():
                raise ValueError("y contains NaN or infinity")
            return numbers
        if not np.isin(labels, self.classes_).all():
            raise ValueError("a label is not among the classes of the training data")
        return np.asarray(labels == self.classes_[1], np.float32)

    # --- answering -------------------------------------------------------------------------------

    def decision_function(self, X: Any) -> Array:
        """The scores: of a classifier, before the logistic function."""
        from wildsage.algorithms.factorization_machines.training import fast_scores

        return fast_scores(self.model_, self._rows(X))

    def predict(self, X: Any) -> Array:
        self.require_fit()
        scores = self.decision_function(X)
        if self.predictor_type != CLASSIFIER:
            return scores
        return np.asarray(self.classes_[(scores >= 0).astype(np.intp)])

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of both classes."""
        if self.predictor_type != CLASSIFIER:
            raise AttributeError("a regressor has no probabilities")
        self.require_fit()
        chance = sigmoid(self.decision_function(X))
        return np.column_stack([1 - chance, chance])

    def score(self, X: Any, y: Any) -> float:
        """Accuracy, or R squared."""
        predicted = self.predict(X)
        if self.predictor_type == CLASSIFIER:
            return float(np.mean(predicted == np.asarray(y)))
        truth = np.asarray(y, np.float64)
        return float(1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())

    def _rows(self, X: Any) -> Features:
        self.require_fit()
        features = _checked(as_features(X))
        if features.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {features.shape[1]} features, but FactorizationMachines is expecting "
                f"{self.n_features_in_} features as input"
            )
        return features


def _same_length(features: Features, labels: Array) -> None:
    if len(labels) != features.shape[0]:
        raise ValueError(f"X has {features.shape[0]} rows, y has {len(labels)}")


def _checked(features: Features) -> Features:
    """Kernels trust the column numbers of sparse rows."""
    if isinstance(features, SparseMatrix):
        columns = features.indices
        if len(columns) and not 0 <= columns.min() <= columns.max() < features.shape[1]:
            raise ValueError("X has a column number that is not below its width")
        if not np.isfinite(features.data).all():
            raise ValueError("Input contains NaN or infinity")
    return features
