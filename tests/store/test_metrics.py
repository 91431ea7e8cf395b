from __future__ import annotations

from wildsage.arns import Scope
from wildsage.store.database import Database
from wildsage.store.metrics import Metrics, Point

HERE = Scope()
SPACE = "/aws/sagemaker/TrainingJobs"


def test_a_series_comes_back_in_order_of_time(database: Database) -> None:
    metrics = Metrics(database)
    host = {"Host": "job/algo-1"}
    points = [Point("loss", t, v, host) for t, v in ((3.0, 0.1), (1.0, 0.9), (2.0, 0.5))]
    metrics.put(HERE, SPACE, points)
    assert metrics.query(HERE, SPACE, "loss", host) == [(1.0, 0.9), (2.0, 0.5), (3.0, 0.1)]
    assert metrics.query(HERE, SPACE, "loss", host, start=2.0, end=3.0) == [(2.0, 0.5)]


def test_series_are_apart(database: Database) -> None:
    metrics = Metrics(database)
    metrics.put(HERE, SPACE, [])
    metrics.put(HERE, SPACE, [Point("loss", 1.0, 0.5, {"b": "2", "a": "1"}), Point("loss", 1.0, 7)])
    metrics.put(Scope("1", "r"), SPACE, [Point("loss", 1.0, 9)])
    assert metrics.query(HERE, SPACE, "loss", {"a": "1", "b": "2"}) == [(1.0, 0.5)]
    assert metrics.query(HERE, SPACE, "loss") == [(1.0, 7.0)]
    assert metrics.query(HERE, "other", "loss") == []
    assert metrics.series(HERE, SPACE) == [("loss", {"a": "1", "b": "2"}), ("loss", {})]
