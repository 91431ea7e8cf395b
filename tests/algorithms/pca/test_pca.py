"""pca: both modes against known answers, sparse rows, many hosts, artifact, log lines."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA as PeerPCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from wildsage.algorithms import registry, serve
from wildsage.algorithms.instances import Instance, run_gang
from wildsage.algorithms.pca import PCA, covariance, lapack
from wildsage.algorithms.pca.blocks import block_rows
from wildsage.algorithms.pca.spectrum import complete, leading, oriented
from wildsage.contract.failure import ClientError
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix
from wildsage.serving.handler import InvocationError

RNG = np.random.default_rng(0)
DIGITS = load_digits().data.astype(np.float32)


def falling(rows: int, width: int, power: float = 1.0) -> np.ndarray:
    """Rows whose standard deviation falls from feature to feature, away from the origin."""
    scales = (1 / np.arange(1, width + 1) ** power).astype(np.float32)
    return RNG.standard_normal((rows, width), dtype=np.float32) * scales + 3


WIDE = falling(3000, 300)


def captured(rows: np.ndarray, components: np.ndarray) -> float:
    """The variance of the rows along orthonormal components."""
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    return float(np.square(centred @ components.T).sum() / len(rows))


@pytest.mark.parametrize("mode", ["regular", "randomized"])
def test_small_data_are_done_exactly(mode: Any) -> None:
    ours, peer = PCA(10, algorithm_mode=mode).fit(DIGITS), PeerPCA(10, svd_solver="full")
    peer.fit(DIGITS.astype(np.float64))
    np.testing.assert_allclose(ours.singular_values_, peer.singular_values_, rtol=1e-5)
    np.testing.assert_allclose(ours.explained_variance_, peer.explained_variance_, rtol=1e-5)
    ratio = ours.explained_variance_ratio_
    np.testing.assert_allclose(ratio, peer.explained_variance_ratio_, rtol=1e-5)
    np.testing.assert_allclose(ours.mean_, peer.mean_, rtol=1e-6)
    np.testing.assert_allclose(ours.components_, oriented(peer.components_.T).T, atol=1e-4)
    assert ours.n_samples_ == 1797 and ours.n_features_in_ == 64


def test_randomized_mode_captures_what_there_is() -> None:
    best = captured(WIDE, PCA(8).fit(WIDE).components_)
    model = PCA(8, algorithm_mode="randomized").fit(WIDE)
    assert captured(WIDE, model.components_) > 0.999 * best
    np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(8), atol=1e-6)
    once = PCA(8, algorithm_mode="randomized").fit(iter([WIDE]))
    assert 0.93 * best < captured(WIDE, once.components_) < captured(WIDE, model.components_)
    exact = PCA(8).fit(WIDE)
    np.testing.assert_allclose(model.singular_values_, exact.singular_values_, rtol=2e-3)
    shares = model.explained_variance_ratio_
    np.testing.assert_allclose(shares, exact.explained_variance_ratio_, rtol=4e-3)


@pytest.mark.parametrize("mode", ["regular", "randomized"])
def test_rows_far_from_the_origin_lose_no_digits(mode: Any) -> None:
    far = (WIDE.astype(np.float64) * 100 + 50_000).astype(np.float32)
    near = far.astype(np.float64) - 50_000
    model = PCA(5, algorithm_mode=mode).fit(far)
    best = np.sqrt(np.linalg.eigvalsh(np.cov(near.T, bias=True) * len(near))[:-6:-1])
    np.testing.assert_allclose(model.singular_values_, best, rtol=2e-3)
    np.testing.assert_allclose(model.mean_ - 50_000, near.mean(axis=0), atol=1e-3)


def test_projection_and_back() -> None:
    model = PCA(64).fit(DIGITS)
    np.testing.assert_allclose(model.inverse_transform(model.transform(DIGITS)), DIGITS, atol=1e-3)
    smooth = PCA(20).fit(DIGITS)
    lost = np.square(smooth.inverse_transform(smooth.fit_transform(DIGITS)) - DIGITS).sum()
    total = np.square(DIGITS - DIGITS.mean(axis=0)).sum()
    assert lost / total == pytest.approx(1 - smooth.explained_variance_ratio_.sum(), abs=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"num_components": 7},
        {"algorithm_mode": "regular"},
        {"extra_components": 5},
        {"subtract_mean": False},
        {"mini_batch_size": 2000},
        {"epochs": 3},
        {"seed": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_hyperparameter_acts(change: dict[str, Any]) -> None:
    usual = PCA(8, algorithm_mode="randomized").fit(WIDE)
    changed = PCA(**{"num_components": 8, "algorithm_mode": "randomized", **change}).fit(WIDE)
    same = np.array_equal(usual.singular_values_, changed.singular_values_)
    assert not same
    again = PCA(8, algorithm_mode="randomized").fit(WIDE)
    np.testing.assert_array_equal(usual.components_, again.components_)


def test_without_the_mean() -> None:
    model = PCA(4, subtract_mean=False).fit(WIDE)
    values = np.linalg.svd(WIDE.astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(model.singular_values_, values[:4], rtol=1e-5)
    assert not model.mean_.any()
    sketched = PCA(4, subtract_mean=False, algorithm_mode="randomized").fit(WIDE)
    np.testing.assert_allclose(sketched.singular_values_, values[:4], rtol=2e-3)


def test_mini_batches_are_multiplied_together() -> None:
    assert block_rows(500, 10, 1024) == 1500 and block_rows(5000, 10, 1024) == 5000
    assert block_rows(1, 1 << 20, 1024) == 16


@pytest.mark.parametrize("count", [1, 7, 40, 41])
def test_leading_vectors_are_those_of_all(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    matrix = np.cov(WIDE[:, :40].astype(np.float64).T)
    values, vectors = leading(matrix, count)
    monkeypatch.setattr(lapack, "_NAME", "no such routine")
    lapack._routine.cache_clear()
    others, expected = leading(matrix, count)
    monkeypatch.undo()
    lapack._routine.cache_clear()
    np.testing.assert_allclose(values, others, rtol=1e-10)
    np.testing.assert_allclose(oriented(vectors), oriented(expected), atol=1e-8)
    assert vectors.shape == (40, min(count, 40))


# --- fewer rows than features --------------------------------------------------------------------

FLAT = falling(150, 1200, 0.5)


@pytest.mark.parametrize("mean", [True, False])
def test_few_rows_give_what_many_would(mean: bool) -> None:
    model = PCA(20, subtract_mean=mean).fit(FLAT)
    away = FLAT.mean(axis=0, dtype=np.float64) if mean else np.zeros(1200)
    _, values, vectors = np.linalg.svd(FLAT - away, full_matrices=False)
    np.testing.assert_allclose(model.singular_values_, values[:20], rtol=1e-6)
    np.testing.assert_allclose(model.components_, oriented(vectors[:20].T).T, atol=1e-5)
    np.testing.assert_allclose(model.mean_, away, atol=1e-6)
    shares = values[:20] ** 2 / (values**2).sum()
    np.testing.assert_allclose(model.explained_variance_ratio_, shares, rtol=1e-6)
    sparse = PCA(20, subtract_mean=mean).fit(csr_matrix(FLAT))
    np.testing.assert_allclose(sparse.components_, model.components_, atol=1e-6)


def test_rows_cease_to_be_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covariance, "FEW_FROM", 100)
    rows = falling(150, 101, 0.5)
    parted = PCA(5, mini_batch_size=50)
    for part in np.array_split(rows, 3):
        parted.partial_fit(part)
        seen = parted.n_samples_
        best = np.linalg.eigvalsh(np.cov(rows[:seen].T, bias=True) * seen)[:-6:-1]
        np.testing.assert_allclose(parted.singular_values_, np.sqrt(best), rtol=1e-5)
    assert seen == 150


def test_few_rows_with_fewer_directions_than_asked_for() -> None:
    model = PCA(10).fit(FLAT[:4])
    assert (model.singular_values_[:3] > 1).all() and not model.singular_values_[4:].any()
    np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(10), atol=1e-9)


@pytest.mark.parametrize("shards", [(30, 25, 20), (70, 80), (10, 110)])
def test_few_rows_on_several_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: tuple[int, ...]
) -> None:
    monkeypatch.setattr(covariance, "FEW_FROM", 100)
    rows = falling(sum(shards), 101, 0.5)
    gang = [
        instance(tmp_path / f"{n}", part, f"algo-{n + 1}", feature_dim="101")
        for n, part in enumerate(np.split(rows, np.cumsum(shards)[:-1]))
    ]
    run_gang(registry.spec("pca"), gang)
    values = np.linalg.svd(rows - rows.mean(axis=0, dtype=np.float64), compute_uv=False)
    np.testing.assert_allclose(artifact(gang[0])["s"][::-1], values[:4], rtol=1e-5)
    assert artifact(gang[0])["v"].shape == (101, 4)


# --- sparse rows ---------------------------------------------------------------------------------


def sparse_rows(rows: int, width: int, share: float) -> np.ndarray:
    dense = falling(rows, width) * (RNG.random((rows, width)) < share)
    return dense.astype(np.float32)


@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.parametrize("share", [0.03, 0.3])
@pytest.mark.parametrize("mode", ["regular", "randomized"])
def test_sparse_rows_give_what_dense_ones_give(mode: Any, share: float, mean: bool) -> None:
    dense = sparse_rows(1200, 250, share)
    settings: dict[str, Any] = {"algorithm_mode": mode, "subtract_mean": mean}
    one = PCA(3, extra_components=5, **settings).fit(dense)
    two = PCA(3, extra_components=5, **settings).fit(csr_matrix(dense))
    np.testing.assert_allclose(one.singular_values_, two.singular_values_, rtol=1e-4)
    np.testing.assert_allclose(one.mean_, two.mean_, atol=1e-5)
    np.testing.assert_allclose(one.components_, two.components_, atol=1e-3)
    left, right = one.transform(dense), two.transform(csr_matrix(dense))
    np.testing.assert_allclose(left, right, atol=0.02)
    mixed = PCA(3, extra_components=5, mini_batch_size=600, **settings)
    mixed.partial_fit(dense[:600]).partial_fit(csr_matrix(dense[600:]))
    parts = PCA(3, extra_components=5, mini_batch_size=600, **settings)
    parts.partial_fit(dense[:600]).partial_fit(dense[600:])
    np.testing.assert_allclose(mixed.singular_values_, parts.singular_values_, rtol=1e-3)
    np.testing.assert_allclose(
        mixed.explained_variance_ratio_, parts.explained_variance_ratio_, rtol=1e-3
    )


def test_repeated_entries_add_up() -> None:
    doubled = SparseMatrix(
        np.array([1, 2, 5, 1], np.float32), np.array([0, 0, 30, 39]), np.array([0, 3, 4]), (2, 40)
    )
    ours = PCA(1, subtract_mean=False).fit(doubled)
    np.testing.assert_allclose(ours.singular_values_, [np.sqrt(34)], rtol=1e-6)


# --- the library ---------------------------------------------------------------------------------


def test_tables_give_what_the_table_gives() -> None:
    whole = PCA(5).fit(DIGITS)
    listed = PCA(5).fit(np.array_split(DIGITS, 7))
    streamed = PCA(5).fit(iter(np.array_split(DIGITS, 7)))
    parted = PCA(5)
    for part in np.array_split(DIGITS, 7):
        parted.partial_fit(part)
    for other in (listed, streamed, parted):
        np.testing.assert_allclose(other.components_, whole.components_, atol=1e-4)


def test_in_a_pipeline() -> None:
    labels = load_digits().target
    pipeline = make_pipeline(PCA(20), LogisticRegression(max_iter=50, tol=0.1))
    assert clone(pipeline).fit(DIGITS / 16, labels).score(DIGITS / 16, labels) > 0.9


def test_degenerate_data() -> None:
    same = PCA(3).fit(np.ones((20, 5)))
    np.testing.assert_allclose(same.singular_values_, 0, atol=1e-6)
    np.testing.assert_allclose(same.components_ @ same.components_.T, np.eye(3), atol=1e-9)
    few = PCA(6, algorithm_mode="randomized", extra_components=0).fit(WIDE[:3])
    np.testing.assert_allclose(few.components_ @ few.components_.T, np.eye(6), atol=1e-6)
    np.testing.assert_allclose(few.inverse_transform(few.transform(WIDE[:3])), WIDE[:3], atol=1e-3)
    assert (few.singular_values_[2:] < 1e-3).all()
    zeros = PCA(6, algorithm_mode="randomized", extra_components=0).fit(np.zeros((9, 300)))
    np.testing.assert_allclose(zeros.components_ @ zeros.components_.T, np.eye(6), atol=1e-6)
    assert complete(np.eye(4)[:, :1], 3).shape == (4, 3)
    with pytest.raises(ValueError, match="between 1 and the number of features, 5"):
        PCA(6).fit(np.ones((20, 5)))
    with pytest.raises(ValueError, match="no rows"):
        PCA(6).fit(iter([]))
    with pytest.raises(ValueError, match="expecting 5 features"):
        same.transform(np.ones((2, 4)))
    with pytest.raises(ValueError, match="must be 'regular' or 'randomized'"):
        PCA(1, algorithm_mode="other").fit(WIDE)  # type: ignore[arg-type]


# --- as a job ------------------------------------------------------------------------------------


def instance(
    folder: Path, rows: Any, host: str = "algo-1", mode: str = "File", **extra: str
) -> Instance:
    given = {"feature_dim": "300", "num_components": "4", "mini_batch_size": "100", **extra}
    made = Instance(folder, given, host)
    made.add_channel("train", recordio.encode(rows), None, mode=mode, distribution="ShardedByS3Key")
    return made


def artifact(trained: Instance) -> dict[str, np.ndarray]:
    with np.load(trained.paths.model / "model_algo-1") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("mode", ["regular", "randomized"])
def test_the_artifact_ascends(tmp_path: Path, mode: Any) -> None:
    job = instance(tmp_path, WIDE, algorithm_mode=mode)
    job.run(registry.spec("pca"))
    found, model = artifact(job), PCA(4, algorithm_mode=mode, mini_batch_size=100).fit(WIDE)
    assert {name: array.shape for name, array in found.items()} == {
        "mean": (300,), "s": (4,), "v": (300, 4)
    }  # fmt: skip
    assert (np.diff(found["s"]) > 0).all() and found["v"].dtype == np.float32
    np.testing.assert_allclose(found["s"][::-1], model.singular_values_, rtol=1e-4)
    np.testing.assert_allclose(found["v"][:, ::-1].T, model.components_, atol=1e-4)
    handler = serve.handler("pca", job.paths)
    body = json.dumps({"instances": [{"features": WIDE[0].tolist()}]}).encode()
    reply = handler(body, "application/json", "application/json", None)
    (answer,) = json.loads(reply.body)["projections"]
    expected = model.transform(WIDE[:1])[0, ::-1]
    np.testing.assert_allclose(answer["projection"], expected, atol=1e-3)


@pytest.mark.parametrize("mode", ["regular", "randomized"])
def test_hosts_find_what_one_host_finds(tmp_path: Path, mode: Any) -> None:
    rows = np.concatenate([WIDE[:500] + 1, WIDE[500:]])
    alone = instance(tmp_path / "one", rows, algorithm_mode=mode)
    alone.run(registry.spec("pca"))
    shards: list[Any] = list(np.split(rows, [300, 900]))
    shards[1] = SparseMatrix.from_dense(shards[1])
    gang = [
        instance(tmp_path / f"{n}", shard, f"algo-{n + 1}", algorithm_mode=mode)
        for n, shard in enumerate(shards)
    ]
    run_gang(registry.spec("pca"), gang)
    one, three = artifact(alone), artifact(gang[0])
    tolerance = 1e-5 if mode == "regular" else 5e-3
    np.testing.assert_allclose(one["s"], three["s"], rtol=tolerance)
    np.testing.assert_allclose(one["mean"], three["mean"], rtol=1e-5)
    best = captured(rows, one["v"].T)
    assert captured(rows, three["v"].T) == pytest.approx(best, rel=1e-3)
    assert not list(gang[1].paths.model.rglob("*"))


def test_pipes_are_refined_in_further_epochs(tmp_path: Path) -> None:
    kept = {}
    for epochs in ("1", "2"):
        job = instance(
            tmp_path / epochs, WIDE, mode="Pipe", algorithm_mode="randomized", epochs=epochs
        )
        job.run(registry.spec("pca"))
        kept[epochs] = captured(WIDE, artifact(job)["v"].T)
        assert job.log.count("training_data_iter") == int(epochs)
    assert kept["1"] < kept["2"] and kept["2"] > 0.999 * captured(
        WIDE, PCA(4).fit(WIDE).components_
    )


def test_log_lines(tmp_path: Path) -> None:
    job = instance(tmp_path, WIDE)
    job.add_channel("test", recordio.encode(WIDE), None)
    job.run(registry.spec("pca"))
    text = "\n".join(re.sub(r"^\[[^]]*\] ", "", line) for line in job.log.splitlines())
    assert "#progress_metric: host=algo-1, completed 100.0 % of epochs" in text
    assert re.search(r"#throughput_metric: host=algo-1, train throughput=\S+ records/second", text)
    share = re.search(r"#test_score \(algo-1\) : \('explained_variance_ratio', (\S+)\)", text)
    expected = PCA(4).fit(WIDE).explained_variance_ratio_.sum()
    assert share and float(share[1]) == pytest.approx(expected, rel=1e-4)
    assert '"Total Records Seen": {"sum": 3000.0' in text


def test_a_stopped_refinement_is_left_out(tmp_path: Path) -> None:
    calls = iter(range(1000))
    job = instance(tmp_path, WIDE, algorithm_mode="randomized")
    job.run(registry.spec("pca"), stopping=lambda: next(calls) > 3)
    assert np.isfinite(artifact(job)["v"]).all() and artifact(job)["s"][0] > 0


@pytest.mark.parametrize("mode", ["regular", "randomized"])
def test_values_whose_squares_float32_does_not_hold_are_refused(tmp_path: Path, mode: str) -> None:
    job = instance(tmp_path, WIDE * 1e25, algorithm_mode=mode)
    with pytest.raises(ClientError, match="values are too large"):
        job.run(registry.spec("pca"))


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_requests_without_a_number_are_refused(tmp_path: Path, value: str) -> None:
    job = instance(tmp_path, WIDE[:50])
    job.run(registry.spec("pca"))
    body = ",".join([*["1"] * 299, value]).encode()
    with pytest.raises(InvocationError, match="unable to evaluate payload provided"):
        serve.handler("pca", job.paths)(body, "text/csv", "application/json", None)


def test_more_components_than_features_are_refused() -> None:
    given = {"feature_dim": "3", "num_components": "4", "mini_batch_size": "10"}
    with pytest.raises(ClientError, match=r"'num_components' .* \(3\) \(caused by ValidationError"):
        registry.spec("pca").validate(given)
