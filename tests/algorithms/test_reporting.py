"""Log lines, to the byte."""

from __future__ import annotations

import json
import re
import threading

import numpy as np
import pytest

from wildsage import clock
from wildsage.algorithms.reporting import AlgorithmLog, IteratorStatistics
from wildsage.algorithms.spec import PROGRESS, THROUGHPUT, quality

LINES: list[str] = []
HEAD = f"[11/14/2023 22:13:20 INFO {threading.get_ident()}] "


@pytest.fixture
def log() -> AlgorithmLog:
    LINES.clear()
    return AlgorithmLog("algo-1", "AWS/Test", LINES.append)


def written(log: AlgorithmLog, name: str, *arguments: object, **named: object) -> str:
    with clock.using(clock.ManualClock()):
        getattr(log, name)(*arguments, **named)
    return LINES[-1].removeprefix(HEAD)


def test_levels(log: AlgorithmLog) -> None:
    with clock.using(clock.ManualClock()):
        log.info("a")
        log.warning("b")
        log.error("c")
        log.raw("d")
    assert LINES[0] == HEAD + "a"
    assert [line.split()[2] for line in LINES[1:3]] == ["WARNING", "ERROR"] and LINES[3] == "d"


def test_quality_metrics(log: AlgorithmLog) -> None:
    line = written(log, "quality_metric", "test", "msd", np.float32(0.5))
    assert line == "#quality_metric: host=algo-1, test msd <loss>=0.5"
    assert re.search(quality("test", "msd", "loss").regex, line)
    line = written(log, "quality_metric", "train", "auc", 0.25, "score", epoch=3)
    assert line == "#quality_metric: host=algo-1, epoch=3, train auc <score>=0.25"
    assert re.search(quality("train", "auc", "score", epoch=True).regex, line)
    line = written(log, "quality_metric", "train", "rmse", 72.5, epoch=0, batch=7)
    assert line == "#quality_metric: host=algo-1, epoch=0, batch=7 train rmse <loss>=72.5"


def test_other_metrics(log: AlgorithmLog) -> None:
    line = written(log, "progress", 6)
    assert line == "#progress_metric: host=algo-1, completed 6 % of epochs"
    assert re.search(PROGRESS.regex, line)
    assert written(log, "progress", 100, "epochs").endswith("completed 100 % epochs")
    line = written(log, "throughput", 1467, 2)
    assert line == "#throughput_metric: host=algo-1, train throughput=733.5 records/second"
    assert re.search(THROUGHPUT.regex, line)
    assert written(log, "early_stopping", 0, "mse_objective", 42.03) == (
        "#early_stopping_criteria_metric: host=algo-1, epoch=0, criteria=mse_objective, value=42.03"
    )
    assert written(log, "test_score", "accuracy", 0.92) == (
        "#test_score (algo-1) : ('accuracy', 0.92)"
    )
    assert written(log, "test_score", "rmse", 1.5, "validation").startswith("#validation_score (al")


def test_metrics_json(log: AlgorithmLog) -> None:
    line = written(log, "metrics_json", {"a": 2, "b": [1.0, 3.0]}, 5.0, epoch=0, Meta="m")
    assert line == (
        '#metrics {"StartTime": 5.0, "EndTime": 1700000000.0, "Dimensions": {"Algorithm": '
        '"AWS/Test", "Host": "algo-1", "Operation": "training", "epoch": 0, "Meta": "m"}, '
        '"Metrics": {"a": {"sum": 2.0, "count": 1, "min": 2, "max": 2}, "b": {"sum": 4.0, '
        '"count": 2, "min": 1.0, "max": 3.0}}}'
    )


def test_timings(log: AlgorithmLog) -> None:
    manual = clock.ManualClock()
    with clock.using(manual):
        for seconds in (1, 2):
            with log.timed("update.time"):
                manual.advance(seconds)
        log.flush_timings()
    assert json.loads(LINES[-1].removeprefix("#metrics "))["Metrics"] == {
        "update.time": {"sum": 3000.0, "count": 2, "min": 1000.0, "max": 2000.0}
    }
    assert log.timings == {}


def test_iterator_statistics() -> None:
    statistics = IteratorStatistics()
    for records in (5, 3):
        statistics.count(records)
    statistics.reset()
    statistics.count(4)
    assert list(statistics.metrics().values()) == [12, 3, 8, 2, 1, 4, 1]
