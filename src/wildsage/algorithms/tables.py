"""What kernels over large tables share, of which a batch touches some rows at random."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from wildsage.algorithms.compiling import compiled, inlined, prefetch
from wildsage.algorithms.lanes import WIDTH

Array = NDArray[Any]


@inlined
def ask(flat: Array, place: int, values: int) -> None:
    """Have `values` values of a table brought near, from a place on."""
    for offset in range(0, values, WIDTH):
        prefetch(flat, place + offset)


@compiled
def merge(touched: Array, found: Array, slots: Array) -> int:
    """Adds up, in place, the gradients of rows that stand there twice; how many are left.

    `touched` are the rows' numbers, `found` their gradients; `slots` has a -1 for each row of the
    table, before and after.
    """
    count = 0
    for number in range(len(touched)):
        row = touched[number]
        slot = slots[row]
        if slot < 0:
            slots[row] = count
            touched[count] = row
            for f in range(found.shape[1]):
                found[count, f] = found[number, f]
            count += 1
        else:
            for f in range(found.shape[1]):
                found[slot, f] += found[number, f]
    for slot in range(count):
        slots[touched[slot]] = -1
    return count
