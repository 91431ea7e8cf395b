"""What is reported of the test channel."""

from __future__ import annotations

import numpy as np


def classification(predicted: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    """Accuracy and the mean over classes of F1; label vectors count label by label."""
    f1 = [macro_f1(*columns) for columns in zip(predicted.T, actual.T, strict=True)]
    return {
        "accuracy": float((predicted == actual).mean()),
        "macro_f_1.000": float(np.mean(f1)),
    }


def macro_f1(predicted: np.ndarray, actual: np.ndarray) -> float:
    """The mean of F1 over the classes that are predicted or present."""
    classes, codes = np.unique(np.concatenate([predicted, actual]), return_inverse=True)
    guesses, truth = codes[: len(predicted)], codes[len(predicted) :]
    hits = np.bincount(truth[guesses == truth], minlength=len(classes))
    total = np.bincount(codes, minlength=len(classes))
    return float((2 * hits / total).mean())


def regression(predicted: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    """The mean squared error over all labels."""
    errors = predicted.astype(np.float64) - actual
    return {"mse": float(np.mean(errors**2))}
