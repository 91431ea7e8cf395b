"""kmeans: quality, every hyperparameter, many hosts, log lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans as PeerKMeans
from sklearn.datasets import load_digits

from wildsage.algorithms import registry
from wildsage.algorithms.instances import Instance, run_gang
from wildsage.algorithms.kmeans import KMeans
from wildsage.algorithms.kmeans import training as kmeans_training
from wildsage.algorithms.kmeans.assignment import Workspace, nearest, sums_by_label
from wildsage.algorithms.kmeans.lloyd import seed_plus_plus, shrink
from wildsage.algorithms.kmeans.streaming import Reservoir, StreamingCenters
from wildsage.formats import recordio

RNG = np.random.default_rng(0)
MIDDLES = np.array([[0, 0, 9], [9, 0, 0], [0, 9, 0], [9, 9, 9]], np.float32)
CLOUDS = MIDDLES[np.arange(2000) % 4] + RNG.normal(size=(2000, 3)).astype(np.float32)


def ordered(centers: np.ndarray) -> np.ndarray:
    return centers[np.lexsort(centers.round().T)]


def test_it_finds_clouds() -> None:
    model = KMeans(4).fit(CLOUDS)
    np.testing.assert_allclose(ordered(model.cluster_centers_), ordered(MIDDLES), atol=0.2)
    assert model.msd_ == pytest.approx(3, rel=0.1)
    assert len(set(model.predict(CLOUDS)[:4])) == 4


def test_quality_is_that_of_scikit_learn() -> None:
    images = load_digits().data
    ours = [-KMeans(10, seed=seed).fit(images).score(images) for seed in range(3)]
    theirs = [PeerKMeans(10, n_init=1, random_state=s).fit(images).inertia_ for s in range(3)]
    assert np.mean(ours) <= 1.01 * np.mean(theirs)


def test_distances() -> None:
    model = KMeans(4).fit(CLOUDS)
    apart = np.linalg.norm(CLOUDS[:, None] - model.cluster_centers_, axis=2)
    np.testing.assert_allclose(model.transform(CLOUDS), apart, rtol=1e-4, atol=1e-4)
    labels, distances = model.nearest(CLOUDS)
    np.testing.assert_array_equal(labels, apart.argmin(axis=1))
    np.testing.assert_allclose(distances, apart.min(axis=1), rtol=1e-5)
    assert model.score(CLOUDS) == pytest.approx(-(distances.astype(float) ** 2).sum())


def test_rows_far_from_the_origin_lose_no_digits() -> None:
    far = (CLOUDS + np.float32(20_000)).astype(np.float32)
    model = KMeans(4).fit(far)
    np.testing.assert_allclose(ordered(model.cluster_centers_ - 20_000), ordered(MIDDLES), atol=0.2)
    assert model.msd_ == pytest.approx(3, rel=0.1)
    assert np.array_equal(model.predict(far), model.transform(far).argmin(axis=1))


def test_batches_give_what_the_table_gives() -> None:
    table = KMeans(4, mini_batch_size=250)
    by_iterator = KMeans(4, mini_batch_size=250).fit(iter(np.array_split(CLOUDS, 7)))
    by_list = KMeans(4, mini_batch_size=250).fit(np.array_split(CLOUDS, 7))
    by_parts = KMeans(4)
    for part in np.array_split(CLOUDS, 7):
        by_parts.partial_fit(part)
        part += 0  # a caller may use its array again
    np.testing.assert_array_equal(by_list.cluster_centers_, by_iterator.cluster_centers_)
    for model in (table.fit(CLOUDS), by_iterator, by_parts):
        np.testing.assert_allclose(ordered(model.cluster_centers_), ordered(MIDDLES), atol=0.2)
    assert by_parts.partial_fit(CLOUDS).n_features_in_ == 3


def test_fit_does_not_touch_the_users_rows() -> None:
    rows = CLOUDS.copy()
    KMeans(4, mini_batch_size=100).fit(rows)
    np.testing.assert_array_equal(rows, CLOUDS)


def test_same_seed_same_model() -> None:
    first, second = (KMeans(4, seed=5).fit(CLOUDS).cluster_centers_ for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, KMeans(4, seed=6).fit(CLOUDS).cluster_centers_)


@pytest.mark.parametrize(
    "change",
    [
        {"init_method": "kmeans++"},
        {"mini_batch_size": 300},
        {"epochs": 3},
        {"extra_center_factor": 3},
        {"local_lloyd_init_method": "random"},
        {"local_lloyd_max_iter": 1},
        {"local_lloyd_tol": 0.9},
        {"local_lloyd_num_trials": 1},
        {"half_life_time_size": 100},
        {"final_passes": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_hyperparameter_acts(change: dict[str, Any]) -> None:
    rows = np.random.default_rng(1).normal(size=(2000, 6)).astype(np.float32)
    settings: dict[str, Any] = {"mini_batch_size": 500, "final_passes": 1}
    usual = KMeans(8, **settings).fit(rows).cluster_centers_
    changed = KMeans(8, **{**settings, **change}).fit(rows).cluster_centers_
    assert changed.shape == usual.shape and not np.array_equal(usual, changed)


def test_old_rows_lose_weight() -> None:
    drifting = np.concatenate([np.zeros((500, 2)), np.full((500, 2), 10)]).astype(np.float32)
    settings: dict[str, Any] = {"extra_center_factor": 1, "mini_batch_size": 100}
    kept = KMeans(1, **settings).fit(drifting).cluster_centers_
    forgot = KMeans(1, half_life_time_size=100, **settings).fit(drifting).cluster_centers_
    assert kept[0, 0] == pytest.approx(5) and forgot[0, 0] > 9


def test_degenerate_data() -> None:
    same = np.ones((50, 3), np.float32)
    model = KMeans(4).fit(same)
    assert model.cluster_centers_.shape == (4, 3) and model.msd_ == pytest.approx(0, abs=1e-6)
    assert KMeans(3).fit(CLOUDS[:3]).cluster_centers_.shape == (3, 3)
    with pytest.raises(ValueError, match="4 clusters need at least as many rows, got 3"):
        KMeans(4).fit(CLOUDS[:3])
    with pytest.raises(ValueError, match="no rows"):
        KMeans(4).fit(iter([]))
    with pytest.raises(ValueError, match="expecting 3 features"):
        model.predict(np.ones((2, 5)))


def test_more_rows_than_the_sample_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans_training, "SAMPLE_BYTES", 300 * 3 * 4)
    model = KMeans(4, mini_batch_size=128).fit(CLOUDS)
    np.testing.assert_allclose(ordered(model.cluster_centers_), ordered(MIDDLES), atol=0.4)


# --- the parts -----------------------------------------------------------------------------------


def test_the_sample_is_even() -> None:
    counts = np.zeros(100)
    for seed in range(200):
        sample = Reservoir(20 * 4, np.random.default_rng(seed))
        for part in np.array_split(np.arange(100, dtype=np.float32)[:, None], 9):
            sample.add(part)
        rows = np.concatenate(sample.parts).ravel().astype(int)
        assert len(set(rows)) == 20 and not sample.is_complete
        counts[rows] += 1
    assert counts.min() > 20 and counts.max() < 65  # 40 expected


def test_nearest_and_sums() -> None:
    centers, workspace = MIDDLES.copy(), Workspace()
    labels, near = nearest(CLOUDS, centers, workspace)
    squares = ((CLOUDS[:, None] - centers) ** 2).sum(axis=2)
    np.testing.assert_array_equal(labels, squares.argmin(axis=1))
    np.testing.assert_allclose(near + (CLOUDS**2).sum(axis=1), squares.min(axis=1), atol=1e-3)
    weights = RNG.random(2000).astype(np.float32)
    totals = sums_by_label(CLOUDS, labels, 6, weights, workspace)
    for label in range(6):
        chosen = labels == label
        np.testing.assert_allclose(totals[label], weights[chosen] @ CLOUDS[chosen], rtol=1e-3)


def test_streaming_centers_are_means_of_their_rows() -> None:
    stream = StreamingCenters(MIDDLES.copy())
    for part in np.array_split(CLOUDS, 5):
        assert stream.update(part) == 400
    assert stream.weights.sum() == 2000
    np.testing.assert_allclose(stream.weights @ stream.centers, CLOUDS.sum(axis=0), rtol=1e-4)
    assert stream.scatter == pytest.approx(3, rel=0.1)


def test_shrinking_fewer_points_than_dimensions() -> None:
    points = np.repeat(np.eye(5, 40, dtype=np.float32) * 9, 4, axis=0)
    points += RNG.normal(size=points.shape).astype(np.float32) * 0.01
    losses: list[float] = []
    centers = shrink(
        points, np.ones(20, np.float32), 5, init_method="kmeans++", trials=3, iterations=50,
        tolerance=1e-4, rng=np.random.default_rng(0), report=lambda _, loss: losses.append(loss),
    )  # fmt: skip
    np.testing.assert_allclose(sorted(centers.max(axis=1)), [9] * 5, atol=0.1)
    assert len(losses) == 3 and min(losses) < 0.1


def test_plus_plus_prefers_weight_and_distance() -> None:
    points = np.array([[0], [100], [0.1]], np.float32)
    weights = np.array([1, 1e-9, 1], np.float32)
    assert 1 in seed_plus_plus(points, np.ones(3, np.float32), 2, np.random.default_rng(0))
    assert 1 not in seed_plus_plus(points, weights, 1, np.random.default_rng(0))


# --- as a job ------------------------------------------------------------------------------------


def instance(folder: Path, rows: np.ndarray, host: str = "algo-1", **extra: str) -> Instance:
    made = Instance(folder, {"k": "4", "feature_dim": "3", "mini_batch_size": "200", **extra}, host)
    made.add_channel("train", recordio.encode(rows), None, distribution="ShardedByS3Key")
    return made


def centroids(trained: Instance) -> np.ndarray:
    with np.load(trained.paths.model / "model_algo-1") as arrays:
        found: np.ndarray = arrays["centroids"]
    return found


def test_log_lines(tmp_path: Path) -> None:
    job = instance(tmp_path, CLOUDS[:1000], epochs="2", eval_metrics='["msd", "ssd"]')
    job.add_channel("test", b"0,0,9\n9,0,0\n", "text/csv;label_size=0")
    job.run(registry.spec("kmeans"))
    lines = [re.sub(r"^\[[^]]*\] ", "", line) for line in job.log.splitlines()]
    text = "\n".join(lines)
    for expected in (
        "'extra_center_factor' was set to 'auto', evaluated to 10.",
        "processed a total of 1000 examples",
        "#progress_metric: host=algo-1, completed 50.0 % of epochs",
        "#progress_metric: host=algo-1, completed 100.0 % of epochs",
        "shrinking 40 centers into 4",
        "finished shrinking process. Mean Square Distance = 0",
    ):
        assert expected in lines, expected
    for pattern in (
        r"#throughput_metric: host=algo-1, train throughput=\d+\.\d+ records/second",
        r"local kmeans attempt #9\. Current mean square distance \d\.\d{6}\n",
        r"#quality_metric: host=algo-1, train msd <loss>=\d\.\d+\n",
        r"#quality_metric: host=algo-1, test msd <loss>=0\.\d+\n",
        r"#quality_metric: host=algo-1, test ssd <loss>=0\.\d+\n",
        r'"epoch": 1, "Meta": "training_data_iter"\}',
        r'"Total Records Seen": \{"sum": 2000\.0',
    ):
        assert re.search(pattern, text), pattern


def test_without_extra_centers_and_test_data(tmp_path: Path) -> None:
    job = instance(tmp_path, CLOUDS[:100], extra_center_factor="1")
    job.run(registry.spec("kmeans"))
    assert "No shrinking is required as extra_center_factor is 1." in job.log
    assert "Effective batch size used to initialize is 100" in job.log
    assert "Test data is not provided." in job.log
    assert centroids(job).shape == (4, 3)


def test_hosts_find_what_one_host_finds(tmp_path: Path) -> None:
    alone = instance(tmp_path / "one", CLOUDS)
    alone.run(registry.spec("kmeans"))
    # Shards of different size: the first host has gone through its own long before the third.
    shards = np.split(CLOUDS, [300, 900])
    gang = [instance(tmp_path / f"{n}", shard, f"algo-{n + 1}") for n, shard in enumerate(shards)]
    run_gang(registry.spec("kmeans"), gang)
    np.testing.assert_allclose(ordered(centroids(gang[0])), ordered(centroids(alone)), atol=0.05)
    assert not list(gang[1].paths.model.rglob("*"))
