"""The log of a built-in algorithm: the lines that users read and metric regexes match.

The formats are those of real logs of the first-party algorithms; tuning jobs,
`FinalMetricDataList` and dashboards read the `#quality_metric` lines, so they are exact to the
byte. Imports nothing heavy.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from wildsage import clock

Kind = Literal["loss", "score"]


def write_line(line: str) -> None:
    print(line, flush=True)


@dataclass
class AlgorithmLog:
    """Writes the log lines of one host; `algorithm` is the name in the metrics' dimensions."""

    host: str = "algo-1"
    algorithm: str = ""
    write: Callable[[str], None] = write_line
    timings: dict[str, list[float]] = field(default_factory=dict)

    def info(self, message: str) -> None:
        self._leveled("INFO", message)

    def warning(self, message: str) -> None:
        self._leveled("WARNING", message)

    def error(self, message: str) -> None:
        self._leveled("ERROR", message)

    def raw(self, line: str) -> None:
        """A line without the time in front."""
        self.write(line)

    def quality_metric(
        self,
        split: str,
        name: str,
        value: float,
        kind: Kind = "loss",
        *,
        epoch: int | None = None,
        batch: int | None = None,
    ) -> None:
        """`#quality_metric: host=algo-1, epoch=0, batch=0 train rmse <loss>=1.5`."""
        where = "" if epoch is None else f"epoch={epoch}, "
        where += "" if batch is None else f"batch={batch} "
        self.info(
            f"#quality_metric: host={self.host}, {where}{split} {name} <{kind}>={_number(value)}"
        )

    def progress(self, percent: float, unit: str = "of epochs") -> None:
        self.info(f"#progress_metric: host={self.host}, completed {percent} % {unit}")

    def throughput(self, records: int, seconds: float) -> None:
        rate = records / max(seconds, 1e-9)
        self.info(f"#throughput_metric: host={self.host}, train throughput={rate} records/second")

    def early_stopping(self, epoch: int, criteria: str, value: float) -> None:
        self.info(
            f"#early_stopping_criteria_metric: host={self.host}, epoch={epoch}, "
            f"criteria={criteria}, value={_number(value)}"
        )

    def test_score(self, name: str, value: float, split: str = "test") -> None:
        self.info(f"#{split}_score ({self.host}) : {(name, _number(value))}")

    def metrics_json(
        self, metrics: Mapping[str, Any], start: float | None = None, **dimensions: Any
    ) -> None:
        """`#metrics {...}`: each metric is a number, a list of them, or a ready summary."""
        now = clock.now()
        document = {
            "StartTime": now if start is None else start,
            "EndTime": now,
            "Dimensions": {
                "Algorithm": self.algorithm,
                "Host": self.host,
                "Operation": "training",
                **dimensions,
            },
            "Metrics": {name: _summary(value) for name, value in metrics.items()},
        }
        self.write(f"#metrics {json.dumps(document)}")

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Adds the milliseconds of a block to the timings that `flush_timings` writes."""
        start = clock.monotonic()
        try:
            yield
        finally:
            self.timings.setdefault(name, []).append((clock.monotonic() - start) * 1000)

    def flush_timings(self, start: float | None = None, **dimensions: Any) -> None:
        self.metrics_json(self.timings, start, **dimensions)
        self.timings = {}

    def _leveled(self, level: str, message: str) -> None:
        stamp = time.strftime("%m/%d/%Y %H:%M:%S", time.gmtime(clock.now()))
        self.write(f"[{stamp} {level} {threading.get_ident()}] {message}")


@dataclass
class IteratorStatistics:
    """What `training_data_iter` metrics count: records and batches, in all and since a reset."""

    total_records: int = 0
    total_batches: int = 0
    records: int = 0
    batches: int = 0
    most_records: int = 0
    most_batches: int = 0
    resets: int = 0

    def count(self, records: int) -> None:
        self.total_records += records
        self.total_batches += 1
        self.records += records
        self.batches += 1
        self.most_records = max(self.most_records, self.records)
        self.most_batches = max(self.most_batches, self.batches)

    def reset(self) -> None:
        self.records = self.batches = 0
        self.resets += 1

    def metrics(self) -> dict[str, int]:
        return {
            "Total Records Seen": self.total_records,
            "Total Batches Seen": self.total_batches,
            "Max Records Seen Between Resets": self.most_records,
            "Max Batches Seen Between Resets": self.most_batches,
            "Reset Count": self.resets,
            "Number of Records Since Last Reset": self.records,
            "Number of Batches Since Last Reset": self.batches,
        }


def _number(value: float) -> float | int:
    """A plain Python number, so that NumPy's types do not show in the text."""
    return value if type(value) in (int, float) else float(value)


def _summary(value: Any) -> dict[str, float]:
    if isinstance(value, Mapping):
        return dict(value)
    values = value if isinstance(value, list) else [value]
    return {
        "sum": float(sum(values)),
        "count": len(values),
        "min": min(values, default=0),
        "max": max(values, default=0),
    }
