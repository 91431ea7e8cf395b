"""Word similarity as people see it: rank correlation with WordSim-353 and lists like it.

The WordSim-353 lists are not part of this package. They are read from files that the user gives
(`word word score` a line, separated by tabs, commas or spaces), or from gensim's copy where gensim
is installed.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ALL_PAIRS = "EN-WS-353-ALL.txt"
_SEPARATOR = re.compile(r"[\t,; ]+")

Pairs = list[tuple[str, str, float]]
Lookup = Callable[[str], np.ndarray | None]


def parse_pairs(lines: Iterable[str]) -> Pairs:
    """The pairs in a file; headings and comments are passed over."""
    pairs = []
    for line in lines:
        parts = _SEPARATOR.split(line.strip())
        if line.startswith("#") or len(parts) < 3:
            continue
        try:
            score = float(parts[2])
        except ValueError:
            continue
        if math.isfinite(score):
            pairs.append((parts[0], parts[1], score))
    return pairs


def installed_pairs() -> dict[str, Pairs]:
    """The list that comes with gensim, without importing it; nothing where it is not installed."""
    found = importlib.util.find_spec("gensim")
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / "test" / "test_data" / "wordsim353.tsv"
        if path.is_file():
            return {ALL_PAIRS: parse_pairs(path.read_text("utf-8").splitlines())}
    return {}


def evaluate(lists: Mapping[str, Pairs], vector: Lookup) -> dict[str, Any]:
    """What `eval.json` holds: a correlation for each list, and their mean."""
    result: dict[str, Any] = {}
    for name, pairs in lists.items():
        said, seen = [], []
        for left, right, score in pairs:
            one, other = _find(left, vector), _find(right, vector)
            if one is not None and other is not None:
                said.append(score)
                seen.append(cosine(one, other))
        rho = spearman(np.array(said), np.array(seen))
        result[name] = {
            "not_found": len(pairs) - len(said),
            "spearmans_rho": rho,
            "total_pairs": len(pairs),
        }
    rhos = [figures["spearmans_rho"] for figures in result.values()]
    result["mean_rho"] = float(np.mean(rhos)) if rhos else 0.0
    return result


def _find(word: str, vector: Lookup) -> np.ndarray | None:
    found = vector(word)
    return vector(word.lower()) if found is None else found


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def spearman(left: np.ndarray, right: np.ndarray) -> float:
    """The correlation of ranks; equal values share the mean of their ranks."""
    if len(left) < 2:
        return 0.0
    one, other = _ranks(left), _ranks(right)
    one, other = one - one.mean(), other - other.mean()
    spread = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / spread if spread else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: np.ndarray = (ends - (counts - 1) / 2)[places]
    return ranks
