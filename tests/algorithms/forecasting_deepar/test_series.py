"""Records become series, or are refused with words that help."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from wildsage.algorithms.forecasting_deepar.frequency import Frequency
from wildsage.algorithms.forecasting_deepar.series import Panel, RecordError, Series, parse_record

DAY = Frequency.parse("D")


def test_missing_values_are_null_or_nan() -> None:
    series = parse_record({"start": "1970-01-02", "target": [1, None, "NaN", 4.5]}, DAY)
    assert series.start == 1 and series.target.dtype == np.float32
    np.testing.assert_array_equal(series.target, [1, np.nan, np.nan, 4.5])
    assert series.cat == () and series.dynamic.shape == (0, 4)
    for missing in (["NaN", None], [None, "nan"], [float("nan"), "NaN"]):
        target = parse_record({"start": "1970-01-01", "target": missing}, DAY).target
        assert np.isnan(target).all()


def test_a_category_may_stand_alone() -> None:
    assert parse_record({"start": "1970-01-01", "target": [1], "cat": 3}, DAY).cat == (3,)


def test_features_reach_into_the_future_where_asked() -> None:
    record = {"start": "1970-01-01", "target": [1, 2], "dynamic_feat": [[1, 2, 3], [4, 5, 6]]}
    assert parse_record(record, DAY, dynamic_beyond=1).dynamic.shape == (2, 3)
    with pytest.raises(RecordError, match=r"the length of the target, which is 2; found .* 3"):
        parse_record(record, DAY)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start": None}, "format YYYY-MM-DD HH:MM:SS"),
        ({"start": "yesterday"}, "format YYYY-MM-DD HH:MM:SS"),
        ({"start": "2024-01-01 00:00:00Z"}, "without a time zone"),
        ({"target": 5}, "'target' must be an array of numbers"),
        ({"target": [[1, 2]]}, "'target' must be an array of numbers"),
        ({"start": datetime(2024, 1, 1, tzinfo=UTC)}, "has a time zone"),
        ({"start": 1704067200}, "format YYYY-MM-DD HH:MM:SS"),
        ({"target": [1, "x"]}, "'target' contains a value that is no number"),
        ({"target": [1, "2.5"]}, "'target' contains a value that is no number"),
        ({"target": [True, False]}, "'target' contains a value that is no number"),
        ({"target": [1, 10**400]}, "'target' contains a value that is no number"),
        ({"target": [[1], [2, 3]]}, "'target' contains a value that is no number"),
        ({"target": [1, 1e999]}, "'target' contains infinite values"),
        ({"cat": [-1]}, "'cat' must be an array of non-negative integers"),
        ({"cat": ["a"]}, "'cat' must be an array of non-negative integers"),
        ({"cat": [10**30]}, "'cat' must be an array of non-negative integers"),
        ({"dynamic_feat": [1, 2]}, "'dynamic_feat' must be an array of arrays"),
        ({"dynamic_feat": 5}, "'dynamic_feat' must be an array of arrays"),
        ({"dynamic_feat": [["NaN", 1]]}, "'dynamic_feat' contains missing or infinite values"),
        ({"dynamic_feat": [[1, None]]}, "'dynamic_feat' contains missing or infinite values"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], words: str) -> None:
    record = {"start": "2024-01-01 00:00:00", "target": [1.0, 2.0]}
    with pytest.raises(RecordError, match=words):
        parse_record({**record, **change}, DAY)


@pytest.mark.parametrize("record", [[1, 2], "text", {"target": [1]}, {"start": "2024-01-01"}])
def test_what_is_no_record_is_refused(record: Any) -> None:
    with pytest.raises(RecordError):
        parse_record(record, DAY)


def test_a_panel_fills_forward_within_each_series() -> None:
    nan = np.nan
    targets = [[nan, 1, nan, nan, 2], [nan, 3], []]
    series = [Series(n, np.array(t, np.float32)) for n, t in enumerate(targets)]
    panel = Panel.of(series)
    assert panel.values.tolist() == [0, 1, 1, 1, 2, 0, 3]
    assert panel.observed.tolist() == [0, 1, 0, 0, 1, 0, 1]
    assert panel.lengths.tolist() == [5, 2, 0] and panel.starts.tolist() == [0, 1, 2]
