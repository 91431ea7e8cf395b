"""Work on several processors: pieces of a corpus, one a thread, on the same matrices without locks.

With one thread training is the same in every run. With more, threads overwrite each other's updates
now and then, and results differ in the last digits and, a little, in quality from run to run; so
that small jobs, which gain nothing, are done on one.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from wildsage.algorithms.threads import processors

SMALL = 2_000_000  # tokens of all epochs together: less than a second on one thread
MOST = 64  # without locks or barriers many may work at once


def thread_count(wanted: int | None, tokens: int) -> int:
    """How many threads to use where the user does not say."""
    if wanted is not None:
        return max(1, wanted)
    if tokens < SMALL:
        return 1
    return processors(MOST)


def run_pieces(work: Callable[[int, int, int], object], begin: int, end: int, threads: int) -> None:
    """Call `work(begin, end, thread)` on even parts of a range, all at once."""
    cuts = np.linspace(begin, end, threads + 1).astype(np.int64).tolist()
    if threads == 1:
        work(begin, end, 0)
        return
    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(work, cuts[i], cuts[i + 1], i) for i in range(threads)]
        for future in running:
            future.result()


def seed_of(*numbers: int) -> np.uint64:
    """A seed for random numbers out of several numbers that tell where one is."""
    return np.uint64(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
