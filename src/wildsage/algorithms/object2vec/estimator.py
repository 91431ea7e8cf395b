"""`Object2Vec`: embeddings of objects from pairs of them, as a plain library.

    Object2Vec(enc_dim=64).fit(pairs, labels).predict(pairs)

A pair is two sequences of token numbers. Parameters are the hyperparameters of the SageMaker
algorithm under their own names; vocabulary sizes and lengths are read off the data where not given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np

from wildsage.algorithms import neural
from wildsage.algorithms.base import Estimator
from wildsage.algorithms.object2vec.model import PairModel
from wildsage.algorithms.object2vec.pairs import PairError, Pairs, Sequences
from wildsage.algorithms.object2vec.spec import SPEC, completed
from wildsage.algorithms.spec import as_text
from wildsage.contract.failure import ClientError

LONGEST = 5000


@dataclass(eq=False, repr=False)
class Object2Vec(Estimator):
    """Learned: `model_`, `classes_` (`softmax` only), `history_` (the loss after each epoch),
    `n_iter_`."""

    output_layer: str = "softmax"
    _: KW_ONLY
    enc0_network: str = "hcnn"
    enc1_network: str = "enc0"
    enc0_max_seq_len: int | None = None
    enc1_max_seq_len: int | None = None
    enc0_vocab_size: int | None = None
    enc1_vocab_size: int | None = None
    enc0_layers: int | str = "auto"
    enc1_layers: int | str | None = None
    enc0_cnn_filter_width: int = 3
    enc1_cnn_filter_width: int | None = None
    enc0_token_embedding_dim: int = 300
    enc1_token_embedding_dim: int | None = None
    enc_dim: int = 4096
    comparator_list: str = "hadamard, concat, abs_diff"
    mlp_layers: int = 2
    mlp_dim: int = 512
    mlp_activation: str = "linear"
    dropout: float = 0.0
    negative_sampling_rate: int = 0
    tied_token_embedding_weight: bool = False
    token_embedding_storage_type: str = "dense"
    optimizer: str = "adam"
    learning_rate: float = 0.0004
    weight_decay: float = 0.0
    epochs: int = 30
    mini_batch_size: int = 32
    bucket_width: int = 0
    early_stopping_patience: int = 3
    early_stopping_tolerance: float = 0.01
    random_state: int = 0

    @property
    def kind(self) -> str:  # type: ignore[override]
        return "classifier" if self.output_layer == "softmax" else "regressor"

    def fit(self, X: Any, y: Any, *, validation: tuple[Any, Any] | None = None) -> Self:
        """Learn from pairs `X`, each (tokens, tokens), and their labels; `validation` is a pair of
        the same, by which early stopping goes."""
        neural.require_torch()
        from wildsage.algorithms.object2vec.training import Trainer

        first, second = _sides(X)
        if len(first) != len(np.asarray(y)):
            raise ValueError(f"X has {len(first)} pairs, y has {len(np.asarray(y))}")
        classes = np.unique(np.asarray(y)) if self.kind == "classifier" else None
        settings = self.hyperparameters(first, second, 0 if classes is None else len(classes))
        pairs = _checked(Pairs(first, second, _encoded(y, classes)), settings)
        judged = None
        if validation is not None:
            one, two = _sides(validation[0])
            judged = _checked(Pairs(one, two, _encoded(validation[1], classes)), settings)
        trainer = Trainer(settings, pairs, judged, seed=self.random_state)
        with trainer.threads():
            self.history_ = [report.loss for report in trainer.epochs()]
        self.n_iter_ = len(self.history_)
        if classes is not None:
            self.classes_ = classes
        self.model_: PairModel = trainer.finish()
        return self

    def hyperparameters(self, first: Sequences, second: Sequences, classes: int) -> dict[str, Any]:
        """The typed hyperparameters, checked as those of a training job are."""
        given = {n: v for n, v in self.get_params().items() if n != "random_state"}
        for side, sequences in (("enc0", first), ("enc1", second)):
            if given[f"{side}_vocab_size"] is None:
                given[f"{side}_vocab_size"] = max(2, int(sequences.tokens.max(initial=0)) + 1)
            if given[f"{side}_max_seq_len"] is None:
                longest = int(sequences.lengths.max(initial=1))
                given[f"{side}_max_seq_len"] = min(LONGEST, longest)
        if self.tied_token_embedding_weight:
            size = max(given["enc0_vocab_size"], given["enc1_vocab_size"])
            given["enc0_vocab_size"] = given["enc1_vocab_size"] = size
        raw = {name: as_text(value) for name, value in given.items() if value is not None}
        if self.kind == "classifier":
            raw["num_classes"] = str(max(2, classes))
        try:
            return completed(SPEC.validate(raw))
        except ClientError as error:
            raise ValueError(str(error)) from error

    def predict(self, X: Any) -> np.ndarray:
        """The most likely class of each pair, or its number."""
        scores = self._scores(X)
        if self.kind == "regressor":
            return np.asarray(scores[:, 0])
        return np.asarray(self.classes_[scores[:, : len(self.classes_)].argmax(axis=1)])

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class."""
        if self.kind == "regressor":
            raise AttributeError("probabilities come with the softmax output only")
        return np.asarray(self._scores(X)[:, : len(self.classes_)])

    def embed(self, objects: Sequence[Sequence[int]], side: int = 0) -> np.ndarray:
        """The embeddings of objects, each a sequence of tokens, by one of the encoders."""
        self.require_fit()
        encoder = self.model_.encoders[side]
        return encoder.encode(_fitting(_sequences(objects, side), side, encoder))

    def score(self, X: Any, y: Any) -> float:
        """Accuracy, or R squared."""
        predicted, truth = self.predict(X), np.asarray(y)
        if self.kind == "classifier":
            return float(np.mean(predicted == truth))
        return float(1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())

    def _scores(self, X: Any) -> np.ndarray:
        self.require_fit()
        one, two = _sides(X)
        encoders = self.model_.encoders
        return self.model_.scores(_fitting(one, 0, encoders[0]), _fitting(two, 1, encoders[1]))


def _sides(pairs: Any) -> tuple[Sequences, Sequences]:
    listed = list(pairs)
    if not listed or not all(len(pair) == 2 for pair in listed):
        raise ValueError("X is a list of pairs of token sequences")
    one, two = (_sequences([pair[side] for pair in listed], side) for side in (0, 1))
    return one, two


def _sequences(objects: Sequence[Sequence[int]], side: int) -> Sequences:
    try:
        return Sequences.of(objects, f"in{side}")
    except PairError as error:
        raise ValueError(str(error)) from error


def _checked(pairs: Pairs, settings: dict[str, Any]) -> Pairs:
    return Pairs(
        _bounded(pairs.first, 0, settings["enc0_vocab_size"], settings["enc0_max_seq_len"]),
        _bounded(pairs.second, 1, settings["enc1_vocab_size"], settings["enc1_max_seq_len"]),
        pairs.labels,
    )


def _fitting(sequences: Sequences, side: int, encoder: Any) -> Sequences:
    return _bounded(sequences, side, encoder.vocab_size, encoder.max_seq_len)


def _bounded(sequences: Sequences, side: int, vocab_size: int, most: int) -> Sequences:
    try:
        return sequences.check(vocab_size, f"in{side}").cut(most)
    except PairError as error:
        raise ValueError(str(error)) from error


def _encoded(labels: Any, classes: np.ndarray | None) -> np.ndarray:
    """Labels as the network takes them: numbers, classes counted from 0."""
    values = np.asarray(labels)
    if classes is None:
        return np.asarray(values, np.float32)
    if not np.isin(values, classes).all():
        raise ValueError("a label is not among the classes of the training data")
    return np.searchsorted(classes, values).astype(np.float32)
