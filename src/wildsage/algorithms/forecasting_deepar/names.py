"""The likelihoods by name, and how many outputs of the network each one reads."""

from __future__ import annotations

GAUSSIAN = "gaussian"
STUDENT_T = "student-T"
NEGATIVE_BINOMIAL = "negative-binomial"
BETA = "beta"
DETERMINISTIC = "deterministic-L1"

# In the order of the numbers in `sampling`.
OUTPUTS = {GAUSSIAN: 2, STUDENT_T: 3, NEGATIVE_BINOMIAL: 2, BETA: 2, DETERMINISTIC: 1}
LIKELIHOODS = tuple(OUTPUTS)
ALIASES = {"student-t": STUDENT_T, "deterministic-l1": DETERMINISTIC}


def code(likelihood: str) -> int:
    """The number by which compiled code knows a likelihood."""
    return {GAUSSIAN: 0, STUDENT_T: 1, NEGATIVE_BINOMIAL: 2, BETA: 3, DETERMINISTIC: 4}[likelihood]
