"""The library: it learns, every parameter acts, NumPy answers as PyTorch does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from algorithms.object2vec.helpers_object2vec import SMALL, data, sequences, small
from wildsage.algorithms.object2vec import layers, winograd
from wildsage.algorithms.object2vec.example import TOKENS
from wildsage.algorithms.object2vec.layers import Ragged
from wildsage.algorithms.object2vec.model import PairModel
from wildsage.algorithms.object2vec.network import Network, Numbering
from wildsage.algorithms.object2vec.optimizers import LazyRows, descent_of
from wildsage.algorithms.object2vec.pairs import Pairs
from wildsage.algorithms.object2vec.spec import SPEC, completed
from wildsage.algorithms.object2vec.training import Trainer
from wildsage.algorithms.spec import as_text

NETWORKS = ("hcnn", "bilstm", "pooled_embedding")


def settings(**changes: Any) -> dict[str, Any]:
    raw = {**SMALL, "enc0_max_seq_len": 9, "enc0_vocab_size": TOKENS, **changes}
    return completed(SPEC.validate({name: as_text(value) for name, value in raw.items()}))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("storage", ["dense", "row_sparse"])
def test_learns_what_belongs_together(network: str, storage: str) -> None:
    model = small(
        enc0_network=network,
        token_embedding_storage_type=storage,
        mlp_activation="relu",
        learning_rate=0.01,
        epochs=15,
        early_stopping_patience=5,
    )
    pairs, labels = data(300)
    assert model.fit(pairs, labels).score(*data(80, seed=1)) > 0.9


def test_learns_numbers() -> None:
    pairs, labels = data(150)
    model = small(
        output_layer="mean_squared_error",
        enc0_network="pooled_embedding",
        mlp_activation="tanh",
        learning_rate=0.02,
        epochs=15,
    ).fit(pairs, labels * 2.5 - 1)
    held, truth = data(80, seed=1)
    assert model.score(held, truth * 2.5 - 1) > 0.8


def test_classes_may_be_any_labels() -> None:
    pairs, labels = data()
    model = small(enc0_network="pooled_embedding").fit(pairs, np.where(labels == 1, "same", "not"))
    assert set(model.predict(pairs)) <= {"same", "not"}
    assert model.predict_proba(pairs).shape == (120, 2)
    np.testing.assert_allclose(model.predict_proba(pairs).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("layers", ["auto", "2"])
@pytest.mark.parametrize("filter_width", [1, 2, 3])
def test_numpy_encodes_as_pytorch_does(network: str, layers: str, filter_width: int) -> None:
    if network != "hcnn" and filter_width > 1:
        filter_width = 1
    chosen = settings(enc0_network=network, enc0_layers=layers, enc0_cnn_filter_width=filter_width)
    generator = torch.Generator().manual_seed(0)
    net = Network(chosen, generator)
    table = torch.randn(TOKENS, 8, generator=generator)
    found = sequences()
    with torch.no_grad():
        ragged = Ragged.of(found, found.tokens)
        expected = net.encode(0, table, ragged).numpy()
    encoded = net.export([table.numpy(), table.numpy()]).encoders[0].encode(found)
    assert encoded.shape == (20, 13)
    np.testing.assert_allclose(encoded, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
def test_numpy_scores_as_pytorch_does(activation: str) -> None:
    chosen = settings(enc0_network="pooled_embedding", mlp_activation=activation, mlp_layers=3)
    pairs = Pairs(sequences(), sequences(seed=1), np.zeros(20, np.float32))
    trainer = Trainer(chosen, pairs)
    _, tables, sides = trainer._inputs(pairs)
    first, second = trainer._encoded(tables, sides)
    with torch.no_grad():
        expected = torch.softmax(trainer.network.score(first, second), 1).numpy()
    scored = trainer.finish().scores(pairs.first, pairs.second)
    np.testing.assert_allclose(scored, expected, rtol=1e-4, atol=1e-6)


def test_gradients_are_those_of_numbers() -> None:
    """Those that the network for GPUs has of its own, beside differences."""
    chosen = settings(enc0_network="hcnn", enc_dim=4, enc0_layers=2, enc0_token_embedding_dim=3)
    net = Network(chosen, torch.Generator().manual_seed(0)).double()
    found = sequences(4)
    ragged = Ragged.of(found, found.tokens)
    encoder: Any = net.encoders[0]
    table = random_table(3).double().requires_grad_()

    def encode(*given: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(encoder.on_gpu(given[0], ragged))

    assert torch.autograd.gradcheck(encode, [table, *encoder.parameters()], atol=1e-4)


def random_table(width: int) -> torch.Tensor:
    return torch.randn(TOKENS, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("layers", ["1", "3"])
@pytest.mark.parametrize("filter_width", [1, 2, 3])
def test_a_processor_does_what_a_gpu_does(network: str, layers: str, filter_width: int) -> None:
    changes = {"enc0_layers": layers, "enc0_cnn_filter_width": filter_width}
    chosen = settings(enc0_network=network, **changes)
    encoder: Any = Network(chosen, torch.Generator().manual_seed(0)).encoders[0]
    found, table = sequences(), random_table(8).requires_grad_()
    ragged, weights = Ragged.of(found, found.tokens), [table, *encoder.parameters()]
    results = []
    for encode in (encoder.on_processor, encoder.on_gpu):
        encoded = encode(table, ragged)
        upwards = torch.randn(encoded.shape, generator=torch.Generator().manual_seed(2))
        gradients = torch.autograd.grad(encoded, weights, upwards)
        results.append([encoded, *gradients])
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)


def test_wide_layers_convolve_as_narrow_ones_do() -> None:
    generator = torch.Generator().manual_seed(0)
    rows, weight = (torch.randn(*size, generator=generator) for size in ((10, 5), (3, 5, 4)))
    gradient, found = torch.randn(8, 4, generator=generator), torch.empty(8, 4)
    plain = torch.empty(8, 4)
    winograd.convolve(rows, weight, found)
    layers._convolve(rows, weight, plain)
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-5)
    pairs = zip(
        winograd.convolve_back(rows, weight, gradient),
        layers._convolve_back(rows, weight, gradient),
        strict=True,
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_tokens_are_numbered_as_they_come() -> None:
    numbering = Numbering(9)
    tokens = np.array([7, 3, 7, 8], np.int32), np.array([8, 7, 0], np.int32)
    for _ in range(2):  # the numbers of one batch are forgotten in the next
        different, (first, second) = numbering.of(*tokens)
        assert different.tolist() == [7, 3, 8, 0]
        assert (first.tolist(), second.tolist()) == ([0, 1, 0, 2], [2, 0, 3])


@pytest.mark.parametrize("kind", ["adam", "adagrad", "sgd"])
def test_lazy_updates_of_all_rows_are_the_usual_ones(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(6, 3, generator=generator)
    twin = table.clone().requires_grad_()
    lazy, usual = LazyRows(kind, table, 0.1, 0.01), descent_of(kind, [twin], 0.1, 0.01)
    for _ in range(4):
        gradient = torch.randn(6, 3, generator=generator)
        lazy.step(torch.arange(6), gradient)
        twin.grad = gradient.clone()
        usual.step()
    torch.testing.assert_close(table, twin.detach(), rtol=1e-4, atol=1e-5)


def test_lazy_updates_leave_other_rows_alone() -> None:
    table = torch.ones(4, 2)
    lazy = LazyRows("adam", table, 0.1, 0.0)
    lazy.step(torch.tensor([2]), torch.ones(1, 2))
    expected = np.array([[1, 1], [1, 1], [0.9, 0.9], [1, 1]])
    np.testing.assert_allclose(table.numpy(), expected, rtol=1e-5)


CHANGES: dict[str, Any] = {
    "enc0_network": "bilstm",
    "enc1_network": "pooled_embedding",
    "enc0_max_seq_len": 2,
    "enc1_max_seq_len": 2,
    "enc0_vocab_size": 40,
    "enc0_layers": 1,
    "enc1_layers": 1,
    "enc0_cnn_filter_width": 2,
    "enc1_cnn_filter_width": 2,
    "enc0_token_embedding_dim": 5,
    "enc1_token_embedding_dim": 5,
    "enc_dim": 9,
    "comparator_list": "abs_diff",
    "mlp_layers": 1,
    "mlp_dim": 5,
    "mlp_activation": "tanh",
    "dropout": 0.5,
    "negative_sampling_rate": 2,
    "tied_token_embedding_weight": True,
    "optimizer": "rmsprop",
    "learning_rate": 0.01,
    "weight_decay": 0.1,
    "epochs": 1,
    "mini_batch_size": 20,
    "bucket_width": 2,
    "random_state": 1,
    "output_layer": "mean_squared_error",
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_parameter_acts(name: str) -> None:
    pairs, labels = data(60)
    base = small().fit(pairs, labels).model_.scores(*_both(pairs))
    changed = small(**{name: CHANGES[name]}).fit(pairs, labels).model_.scores(*_both(pairs))
    assert base.shape != changed.shape or not np.array_equal(base, changed)


def test_lazy_updates_are_not_the_dense_ones() -> None:
    """A token that a batch does not have keeps its embedding, in spite of Adam's momentum."""
    pairs, labels = data(60)
    one, two = (
        small(mini_batch_size=2, token_embedding_storage_type=kind).fit(pairs, labels)
        for kind in ("dense", "row_sparse")
    )
    assert not np.array_equal(one.embed([[1, 2]]), two.embed([[1, 2]]))


def test_the_vocabulary_may_have_tokens_that_were_never_seen() -> None:
    pairs, labels = data(60)
    model = small(enc1_vocab_size=40).fit(pairs, labels)
    assert model.embed([[39]], side=1).shape == (1, 13)
    with pytest.raises(ValueError, match="in0 found"):
        model.embed([[39]])


def _both(pairs: Any) -> tuple[Any, Any]:
    from wildsage.algorithms.object2vec.estimator import _sides

    return _sides(pairs)


def test_stops_when_the_loss_no_longer_falls() -> None:
    pairs, labels = data(40)
    still = small(learning_rate=1e-6, epochs=9, early_stopping_patience=2)
    assert still.fit(pairs, labels).n_iter_ == 3
    tolerant = small(
        learning_rate=0.01, epochs=4, early_stopping_patience=1, early_stopping_tolerance=1e-6
    )
    assert tolerant.fit(pairs, labels).n_iter_ == 4


@pytest.mark.parametrize("optimizer", ["adadelta", "adagrad", "adam", "sgd", "rmsprop"])
def test_every_optimizer_learns(optimizer: str) -> None:
    pairs, labels = data()
    model = small(enc0_network="pooled_embedding", optimizer=optimizer, epochs=4)
    model.set_params(learning_rate=0.1 if optimizer == "sgd" else 0.004).fit(pairs, labels)
    assert model.history_[-1] < model.history_[0]


def test_the_model_is_kept_in_a_file(tmp_path: Any) -> None:
    pairs, labels = data(60)
    for tied in (False, True):
        model = small(tied_token_embedding_weight=tied).fit(pairs, labels).model_
        model.save(tmp_path / "model")
        loaded = PairModel.load(tmp_path / "model")
        np.testing.assert_array_equal(loaded.scores(*_both(pairs)), model.scores(*_both(pairs)))


def test_negative_pairs_are_of_other_rows() -> None:
    pairs = Pairs(sequences(6), sequences(6, seed=1), np.ones(6, np.float32))
    trainer = Trainer(settings(negative_sampling_rate=2), pairs)
    first, labels = torch.arange(6.0)[:, None], torch.ones(6)
    one, two, found = trainer._with_negatives(first, first, labels)
    assert found.tolist() == [1] * 6 + [0] * 12
    assert not (one[6:] == two[6:]).any()


def test_bad_input_is_refused() -> None:
    pairs, labels = data(30)
    with pytest.raises(ValueError, match="X has 30 pairs, y has 29"):
        small().fit(pairs, labels[:-1])
    with pytest.raises(ValueError, match="A sequence of in0 is empty"):
        small().fit([([], [1]), ([1], [2])], [0, 1])
    with pytest.raises(ValueError, match='Vocab id "99" is not less than vocab_size=20'):
        small().fit(pairs, labels).predict([([99], [1])])
    with pytest.raises(ValueError, match="must be integers"):
        small().fit([([0.5], [1])], [0])
    with pytest.raises(ValueError, match="not fitted"):
        small().embed([[1]])
    with pytest.raises(ValueError, match="'optimizer' hyperparameter"):
        small(optimizer="adadelta", token_embedding_storage_type="row_sparse").fit(pairs, labels)


def test_can_be_cloned() -> None:
    from sklearn.base import clone

    assert clone(small(dropout=0.25)).get_params()["dropout"] == 0.25
