"""The XGBoost library, imported when it is first needed: the optional extra `wildsage[xgboost]`."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wildsage.algorithms.xgboost.data import Table
from wildsage.algorithms.xgboost.log import warn
from wildsage.contract.failure import AlgorithmError, ClientError, ContractError
from wildsage.formats.matrix import SparseMatrix

MISSING = "The XGBoost library is not installed. Please run: pip install wildsage[xgboost]"
# The messages that are about the user's data or parameters, of every release of the library.
_CUSTOMER_ERRORS = (
    "label must be in [0,1] for logistic regression",
    "label must be in [0, num_class)",
    "label must be discrete values in the range of [0, num_class)",
    "Target is multiclass but average='binary'",
    "y_true and y_pred have different number of output",
    "feature_names mismatch",
    "Check failed: preds.size() == info.labels_.size()",
    "Check failed: !auc_error AUC: the dataset only contains pos or neg samples",
    "base_score must be",
    "label must be non",
    "label must be greater than",
    "label must be positive",
    "should be greater equal to",
    "should be smaller equal to",
    "Invalid Input: '",
    "Invalid Parameter",
    "Unknown objective function",
    "Unknown metric function",
    "can not be used to create new trees",
    "No more tree left for updating",
    "The size of monotone constraint",
    "doesn't support unlimited depth",
    "Invalid missing value",
    "must be one of",
)
_TRACE = "\nStack trace:"
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3


def load() -> Any:
    """The `xgboost` module; a ClientError that tells what to install where it is missing."""
    try:
        import xgboost
    except ImportError as error:
        raise ClientError(MISSING) from error
    return xgboost


def prepare() -> Any:
    """`load` for a program of its own: quicker, with memory kept and warnings in the log.

    Importing XGBoost imports scikit-learn for the sake of wrappers that no job uses, two thirds of
    the time; it is hidden meanwhile.
    """
    keep_memory()
    show_warnings()
    hidden = "sklearn" not in sys.modules and "xgboost" not in sys.modules
    if hidden:
        sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        return load()
    finally:
        if hidden:
            sys.modules.pop("sklearn", None)


def matrix(table: Table, objective: str = "") -> Any:
    """The library's matrix of a table."""
    xgboost = load()
    built = xgboost.DMatrix(
        as_input(table.features), label=table.labels, weight=table.weights, qid=_queries(table)
    )
    if objective == "survival:aft":
        # A label alone says that the event was observed then: both bounds are the label.
        built.set_float_info("label_lower_bound", table.labels)
        built.set_float_info("label_upper_bound", table.labels)
    return built


def as_input(features: Any) -> Any:
    """What the library takes: dense arrays as they are, sparse ones as SciPy's."""
    return features.to_scipy() if isinstance(features, SparseMatrix) else features


def _queries(table: Table) -> Any:
    return None if table.queries is None else table.queries.astype("uint32")


def save(booster: Any, path: Path) -> None:
    """Write the model as `Booster.save_model` does, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(booster.save_raw("ubj"))
    partial.replace(path)


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """The library's errors as the contract's: the user's where the text says so."""
    try:
        yield
    except ContractError:
        raise
    except Exception as error:
        raise translate(error) from error


def translate(error: Exception) -> ContractError:
    """The container's text, without the library's stack trace."""
    text = str(error).partition(_TRACE)[0].strip()
    if any(message in text for message in _CUSTOMER_ERRORS):
        return ClientError(text)
    return AlgorithmError(f"XGB train call failed with exception:\n {text}")


def show_warnings() -> None:
    """The library's warnings as log lines instead of Python's."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        warn(" ".join(str(message).split()))

    warnings.showwarning = show
    warnings.filterwarnings("always", category=UserWarning, module="xgboost")


def keep_memory() -> None:
    """Tell the C library to keep freed memory: arrays that come and go cost page faults otherwise.

    Reading text is a third faster for it. Only glibc has the call.
    """
    with contextlib.suppress(OSError, AttributeError):
        tune = ctypes.CDLL(None).mallopt
        for option, value in ((_MMAP_THRESHOLD, 32), (_TRIM_THRESHOLD, 256), (_TOP_PAD, 16)):
            tune(option, value << 20)
