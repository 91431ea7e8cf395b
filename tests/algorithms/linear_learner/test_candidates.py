"""Which models are trained side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.linear_learner.helpers_linear import defaults
from wildsage.algorithms.linear_learner.candidates import Candidates, make_candidates


def candidates(parameters: int = 10, **changes: Any) -> Candidates:
    return make_candidates(defaults(**changes), parameters_per_model=parameters)


def test_auto_is_32_different_models_and_the_first_has_the_defaults() -> None:
    found = candidates()
    assert len(found) == 32
    assert len(set(zip(found.l1, found.wd, found.rates, strict=True))) == 32
    assert (found.l1[0], found.wd[0]) == (0.0, 1e-4)
    assert len(set(found.rates)) == 2


def test_given_values_are_the_first_models_and_the_others_are_close() -> None:
    found = candidates(l1=0.1, wd=0.02, learning_rate=0.3)
    assert (found.l1[0], found.wd[0], found.rates[0]) == (0.1, 0.02, 0.3)
    assert found.l1.min() >= 0.1 / 8
    assert found.l1.max() <= 0.1 * 8
    assert set(np.round(found.rates, 6)) == {0.3, 0.15}


def test_a_penalty_of_zero_stays_zero() -> None:
    found = candidates(l1=0, wd=0, num_models=5)
    assert not found.l1.any()
    assert not found.wd.any()
    assert len(found) == 5


def test_models_that_would_be_alike_are_left_out_when_the_number_is_auto() -> None:
    assert len(candidates(l1=0, wd=0, learning_rate=0.1)) == 2


def test_a_number_beyond_the_grid_goes_on_with_other_values() -> None:
    found = candidates(num_models=40)
    assert len(found) == 40
    assert not set(found.wd[32:]) & set(found.wd[:32])


def test_a_tuning_job_searches_itself() -> None:
    assert len(candidates(num_models=8, _tuning_objective_metric="validation:objective_loss")) == 1


def test_wide_models_are_fewer() -> None:
    assert len(candidates(parameters=2_000_000)) == 4
    assert len(candidates(parameters=10**9)) == 1


def test_positive_weights() -> None:
    def weights(value: Any) -> set[float]:
        made = make_candidates(
            defaults(positive_example_weight_mult=value), parameters_per_model=5, balance=9.0
        )
        return set(made.positive_weights)

    assert weights(2.5) == {2.5}
    assert weights("balanced") == {9.0}
    assert weights("auto") == {1.0, 9.0, 3.0}


def test_description_names_what_the_log_line_shows() -> None:
    found = candidates(lr_scheduler_factor=0.5).describe(0, defaults(lr_scheduler_factor=0.5))
    assert list(found) == [
        "optimizer",
        "learning_rate",
        "l1",
        "wd",
        "lr_scheduler_step",
        "lr_scheduler_factor",
        "lr_scheduler_minimum_lr",
    ]
    assert found["optimizer"] == "adam"
    assert found["lr_scheduler_factor"] == 0.5
