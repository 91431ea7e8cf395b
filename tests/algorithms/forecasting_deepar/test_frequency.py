"""Periods, calendar features and lags."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from wildsage.algorithms.forecasting_deepar.frequency import Frequency, TimestampError, parse_time


@pytest.mark.parametrize("text", ["M", "1W", "2D", "12H", "5min"])
def test_a_frequency_is_a_number_and_a_unit(text: str) -> None:
    assert str(Frequency.parse(text)) in (text, f"1{text}")


@pytest.mark.parametrize("text", ["", "0D", "Y", "5", "min5", "1.5H", "-1D", "hourly"])
def test_other_texts_are_no_frequency(text: str) -> None:
    with pytest.raises(ValueError, match="is not an integer followed by"):
        Frequency.parse(text)


@pytest.mark.parametrize(
    ("frequency", "start", "begins"),
    [
        ("H", "2024-03-05 10:59:59", "2024-03-05 10:00"),
        ("5min", "2024-03-05 10:59:59", "2024-03-05 10:55"),
        ("D", "2024-03-05 10:00:00", "2024-03-05"),
        ("W", "2024-03-07 00:00:00", "2024-03-04"),  # the Monday before
        ("M", "2024-03-07", "2024-03-01"),
        ("D", "1950-03-07", "1950-03-07"),
    ],
)
def test_a_start_is_rounded_down_to_its_period(frequency: str, start: str, begins: str) -> None:
    parsed = Frequency.parse(frequency)
    ordinal = parsed.ordinal(start)
    assert parsed.times(np.array([ordinal]))[0] == np.datetime64(begins, "m")
    assert parsed.ordinal(parse_time(start)) == ordinal


def test_periods_count_up() -> None:
    month = Frequency.parse("M")
    assert month.ordinal("2024-02-01") - month.ordinal("2023-12-31") == 2
    assert Frequency.parse("2H").ordinal("1970-01-01 05:00:00") == 2


@pytest.mark.parametrize(
    "text", ["2024-13-01", "01.02.2024", "2024-02-30 00:00:00", "2024-01-01 00:00:00+01:00", ""]
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(TimestampError):
        parse_time(text)


def test_fractions_of_seconds_are_dropped() -> None:
    assert parse_time("2024-01-01 10:00:00.000000") == datetime(2024, 1, 1, 10)


def test_calendar_features_run_from_minus_to_plus_one_half() -> None:
    hour = Frequency.parse("H")
    first = hour.ordinal("2024-01-01 00:00:00")  # a Monday
    features = hour.features(np.arange(first, first + 8784))
    assert features.shape == (8784, 4) and features.dtype == np.float32
    assert features[0].tolist() == [-0.5, -0.5, -0.5, -0.5]
    assert features[23, 0] == 0.5 and features[24, 0] == -0.5
    assert features.min() == -0.5 and features.max() == 0.5


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("min", "minute_of_hour hour_of_day day_of_week day_of_month day_of_year"),
        ("H", "hour_of_day day_of_week day_of_month day_of_year"),
        ("D", "day_of_week day_of_month day_of_year"),
        ("W", "day_of_month week_of_year"),
        ("M", "month_of_year"),
    ],
)
def test_features_are_those_of_the_guide(text: str, names: str) -> None:
    assert Frequency.parse(text).feature_names == tuple(names.split())


def test_lags_of_hours() -> None:
    lags = Frequency.parse("H").lags()
    assert lags[:13] == [1, 2, 3, 4, 5, 6, 7, 23, 24, 25, 47, 48, 49]
    assert lags[-3:] == [719, 720, 721]
    assert {167, 168, 169} <= set(lags) and max(lags) <= 1200


def test_lags_of_days_weeks_and_months() -> None:
    days = Frequency.parse("D").lags()
    assert days[:11] == [1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15]
    assert {29, 30, 31, 363, 364, 365, 1091, 1092, 1093} <= set(days)
    assert Frequency.parse("W").lags()[7:] == [8, 12, 51, 52, 53, 103, 104, 105, 155, 156, 157]
    assert Frequency.parse("M").lags()[7:] == [11, 12, 13, 23, 24, 25, 35, 36, 37]


def test_lags_end_where_series_do() -> None:
    assert Frequency.parse("D").lags(20) == [1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 20]
    assert Frequency.parse("D").lags(2) == [1, 2]
