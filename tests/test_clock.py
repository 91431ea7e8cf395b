from __future__ import annotations

import time

from wildsage import clock


def test_the_system_s_time_by_default() -> None:
    assert abs(clock.now() - time.time()) < 5
    assert clock.monotonic() <= clock.monotonic()


def test_a_manual_clock_moves_when_told_or_slept_on() -> None:
    with clock.using(clock.ManualClock(100.0)):
        clock.sleep(5)
        assert (clock.now(), clock.monotonic()) == (105.0, 105.0)
    assert clock.now() > 1_000_000


def test_replacements_nest() -> None:
    with clock.using(clock.ManualClock(1.0)):
        with clock.using(clock.ManualClock(2.0)):
            assert clock.now() == 2.0
        assert clock.now() == 1.0
