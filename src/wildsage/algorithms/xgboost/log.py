"""The container's log lines: `[2024-05-01:12:00:00:INFO] text`, and bare lines of figures.

Figures stand between `#011`, which is how a tab comes out of AWS's log shipping: the metric
definitions of every XGBoost job match on that.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from wildsage import clock


def info(message: str) -> None:
    _leveled("INFO", message)


def warn(message: str) -> None:
    _leveled("WARNING", message)


def _leveled(level: str, message: str) -> None:
    stamp = time.strftime("%Y-%m-%d:%H:%M:%S", time.gmtime(clock.now()))
    print(f"[{stamp}:{level}] {message}", flush=True)


def evaluation(round_number: int, figures: Mapping[str, float]) -> str:
    """`[12]#011train-rmse:1.20000#011validation-rmse:1.30000`."""
    return f"[{round_number}]" + "".join(f"#011{name}:{v:.5f}" for name, v in figures.items())


def print_evaluation(round_number: int, figures: Mapping[str, float]) -> None:
    print(evaluation(round_number, figures), flush=True)


def mean_figures(results: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure over the folds of a cross validation."""
    return {name: sum(r[name] for r in results) / len(results) for name in results[0]}
