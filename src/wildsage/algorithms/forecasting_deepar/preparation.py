"""From series to what is trained on: checks across series, and the layout of windows.

Where hosts have different series, their facts are put together, so that all train the same network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wildsage.algorithms.forecasting_deepar import names
from wildsage.algorithms.forecasting_deepar.frequency import LONGEST_LAG, Frequency
from wildsage.algorithms.forecasting_deepar.series import Panel, Series
from wildsage.algorithms.forecasting_deepar.windows import Layout
from wildsage.contract.cluster import Cluster
from wildsage.contract.failure import ClientError

LEAST_OBSERVATIONS = 300
IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Shape:
    """Which categories and how many feature time series the model takes."""

    cardinality: list[int]
    dynamics: int


def shape_of(
    series: Sequence[Series], cardinality: Any, dynamics: Any, cluster: Cluster, sharded: bool
) -> Shape:
    """`auto` looks at the data, a value is checked against them, `ignore` leaves them out."""
    ignores = cardinality == IGNORE, dynamics == IGNORE
    cats = 0 if ignores[0] else _common("cat", [len(each.cat) for each in series])
    features = 0 if ignores[1] else _common("dynamic_feat", [len(s.dynamic) for s in series])
    largest = np.zeros(cats, np.int64)
    if cats and series:
        largest = np.max(np.array([each.cat for each in series]), axis=0)
    if sharded:
        told = np.array([len(series) > 0, cats, features, *largest], np.int64)
        cats, features, largest = _agreed(cluster.allgather(told))
    return Shape(_cardinality(cardinality, largest), _dynamics(dynamics, features))


def _common(name: str, counts: list[int]) -> int:
    """How many there are per series, which must be the same for all."""
    found = sorted(set(counts))
    if len(found) > 1:
        raise ClientError(
            f"The field '{name}' must have the same number of entries in all time series. "
            f"Found time series with {found[0]} and with {found[-1]} entries."
        )
    return found[0] if found else 0


def _agreed(told: list[np.ndarray]) -> tuple[int, int, np.ndarray]:
    having = [each for each in told if each[0]]
    if not having:
        return 0, 0, np.zeros(0, np.int64)
    _common("cat", [int(each[1]) for each in having])
    _common("dynamic_feat", [int(each[2]) for each in having])
    return int(having[0][1]), int(having[0][2]), np.max([each[3:] for each in having], axis=0)


def _cardinality(given: Any, largest: np.ndarray) -> list[int]:
    if given == IGNORE:
        return []
    found = [int(value) + 1 for value in largest]
    if not isinstance(given, list):
        return found
    if len(given) != len(found):
        raise ClientError(
            f"The value of the hyperparameter cardinality {given} is for {len(given)} categorical "
            f"features, but the field 'cat' of the training data has {len(found)}."
        )
    for position, (limit, value) in enumerate(zip(given, found, strict=True)):
        if value > limit:
            raise ClientError(
                f"The field 'cat' contains the value {value - 1} at position {position}, which "
                f"must be less than the cardinality {limit}."
            )
    return list(given)


def _dynamics(given: Any, found: int) -> int:
    if given == IGNORE:
        return 0
    if isinstance(given, int) and given != found:
        raise ClientError(
            f"The value of the hyperparameter num_dynamic_feat is {given}, but the field "
            f"'dynamic_feat' of the training data has {found} time series."
        )
    return found


def check_values(panel: Panel, likelihood: str) -> None:
    """Values that a likelihood does not allow."""
    values = panel.values[panel.observed.astype(bool)]
    if likelihood == names.NEGATIVE_BINOMIAL and (values < 0).any():
        raise ClientError(
            "The likelihood negative-binomial is for count data, but the field 'target' contains "
            "negative values."
        )
    if likelihood == names.BETA and ((values < 0) | (values > 1)).any():
        raise ClientError(
            "The likelihood beta is for values between 0 and 1, but the field 'target' contains "
            "others."
        )


def check_enough(panel: Panel, prediction: int, cluster: Cluster, sharded: bool) -> None:
    """At least 300 observations, and one series that is as long as a forecast."""
    facts = np.array([panel.observed.sum(), (panel.lengths >= prediction).sum()], np.int64)
    observations, usable = (cluster.allreduce(facts) if sharded else facts).tolist()
    if observations < LEAST_OBSERVATIONS:
        raise ClientError(
            f"The total number of observations in all training time series must be at least "
            f"{LEAST_OBSERVATIONS}, but it is {observations}."
        )
    if not usable:
        raise ClientError(
            f"All training time series are shorter than the prediction_length {prediction}. "
            "Please provide longer time series or reduce prediction_length."
        )


def layout_of(
    panel: Panel,
    frequency: Frequency,
    context: int,
    prediction: int,
    likelihood: str,
    *,
    cluster: Cluster,
    sharded: bool,
) -> Layout:
    """What windows are made of, by the statistics of all hosts' series."""
    observed = panel.observed.astype(bool)
    dynamic = panel.dynamic.astype(np.float64)
    sums = np.concatenate(
        [
            [np.abs(panel.values[observed]).sum(dtype=np.float64), observed.sum(), len(dynamic)],
            dynamic.sum(axis=0),
            (dynamic * dynamic).sum(axis=0),
        ]
    )
    longest = int(panel.lengths.max(initial=0))
    if sharded:
        sums = cluster.allreduce(sums)
        longest = max(int(each[0]) for each in cluster.allgather(np.array([longest])))
    size, count, rows = sums[:3]
    means, squares = np.split(sums[3:] / max(rows, 1), 2)
    deviations = np.sqrt(np.maximum(squares - means * means, 0))
    usual = size / max(count, 1)
    return Layout(
        frequency,
        context,
        prediction,
        # A lag that reaches behind every series would only ever see zeros.
        np.array(frequency.lags(min(LONGEST_LAG, max(longest - 1, 1))), np.int64),
        means.astype(np.float32),
        np.where(deviations > 1e-6 * (1 + np.abs(means)), deviations, 1).astype(np.float32),
        float(usual) if usual > 0 else 1.0,
        scaled=likelihood != names.BETA,
    )
