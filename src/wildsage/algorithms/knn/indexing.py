"""Building faiss's index over a sample: which one, trained on how much, searched how widely.

Where faiss's defaults are slow, something better is done:

- k-means of the lists and of the codes is trained on a part of the rows, for a few iterations, and
  the codes are not sorted for Hamming distances (`polysemous` training), which nothing here uses
  and which takes most of faiss's time.
- Before product quantization the rows are turned so that every code has the same share of the
  spread (the parametric form of Ge et al., Optimized Product Quantization, 2013): better recall at
  the same size. The rotation is part of the index.
- How many lists are probed follows from the data: as few as find `RECALL` of the neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from wildsage.algorithms.knn.library import faiss
from wildsage.algorithms.knn.tables import Table
from wildsage.contract.failure import ClientError

RECALL = 0.99
CODES = 256
_LIST_ROWS, _LIST_ITERATIONS = 64, 6
_CODE_ROWS, _CODE_ITERATIONS = 32, 8
_ROTATION_ROWS = 8192
_MOST_ROTATED = 2048
_CALIBRATION_ROWS = 256


@dataclass(frozen=True)
class IndexSettings:
    """What to build; the names are those of the hyperparameters."""

    index_type: str = "faiss.Flat"
    index_metric: str = "L2"
    faiss_index_ivf_nlists: int | Literal["auto"] = "auto"
    faiss_index_pq_m: int | None = None
    nprobe: int | Literal["auto"] = "auto"
    k: int = 5
    seed: int = 0

    @property
    def is_quantized(self) -> bool:
        return self.index_type == "faiss.IVFPQ"

    def lists(self, rows: int) -> int:
        """How many inverted lists; a list needs at least one row to be trained on."""
        if self.faiss_index_ivf_nlists == "auto":
            return max(1, int(np.sqrt(rows)))
        if self.faiss_index_ivf_nlists > rows:
            raise ClientError(
                f"The value '{self.faiss_index_ivf_nlists}' is not valid for the "
                "'faiss_index_ivf_nlists' hyperparameter which must not be greater than the "
                f"number of sampled training records '{rows}'"
            )
        return self.faiss_index_ivf_nlists


def padded_width(width: int, pieces: int | None) -> int:
    """The smallest width, not below `width`, that divides into so many pieces."""
    return width if pieces is None else -(-width // pieces) * pieces


def metric_of(settings: IndexSettings) -> int:
    """COSINE is the inner product of rows of length one."""
    library = faiss()
    found = library.METRIC_L2 if settings.index_metric == "L2" else library.METRIC_INNER_PRODUCT
    return int(found)


def build(
    rows: Table, settings: IndexSettings, info: Callable[[str], None] = lambda line: None
) -> Any:
    """An index over the rows, whose memory is given back on the way."""
    info("Training index...")
    if settings.index_type == "faiss.Flat":
        index = faiss().IndexFlat(rows.width, metric_of(settings))
    else:
        index = _inverted(rows, settings)
    info("Adding data to index...")
    _fill(index, rows.drain())
    return index


def _fill(index: Any, blocks: Iterable[np.ndarray]) -> None:
    for block in blocks:
        index.add(block)


def _inverted(rows: Table, settings: IndexSettings) -> Any:
    """An index with lists, trained and still empty."""
    library, count = faiss(), len(rows)
    lists, metric = settings.lists(count), metric_of(settings)
    rng = np.random.default_rng(settings.seed)
    wanted = lists * _LIST_ROWS
    if settings.is_quantized:
        wanted = max(wanted, CODES * _CODE_ROWS)
    training = rows.take(np.sort(rng.permutation(count)[:wanted]))
    rotation = None
    if settings.is_quantized:
        assert settings.faiss_index_pq_m is not None
        rotation = rotation_for(training, settings.faiss_index_pq_m, rng)
        inner = _quantized(rotation.d_out, lists, settings.faiss_index_pq_m, settings.seed)
    else:
        inner = library.IndexIVFFlat(
            library.IndexFlat(rows.width, metric), rows.width, lists, metric
        )
    _train(inner, training if rotation is None else rotation.apply(training), settings)
    inner.nprobe = _probes(inner, rotation, rows, settings, rng)
    return inner if rotation is None else library.IndexPreTransform(rotation, inner)


def _quantized(width: int, lists: int, pieces: int, seed: int) -> Any:
    library = faiss()
    index = library.IndexIVFPQ(library.IndexFlatL2(width), width, lists, pieces, 8)
    index.do_polysemous_training = False
    parameters = index.pq.cp
    parameters.niter, parameters.seed = _CODE_ITERATIONS, seed + 1
    parameters.max_points_per_centroid = _CODE_ROWS
    parameters.min_points_per_centroid = 1  # it would warn
    return index


def _train(index: Any, training: np.ndarray, settings: IndexSettings) -> None:
    parameters = index.cp
    parameters.niter, parameters.seed = _LIST_ITERATIONS, settings.seed + 1
    parameters.max_points_per_centroid = _LIST_ROWS
    parameters.min_points_per_centroid = 1
    if settings.is_quantized and len(training) < CODES:
        # faiss wants a row for each of the 256 codes; a row that comes twice gives one code twice.
        training = np.resize(training, (CODES, training.shape[1]))
    index.train(training)


# --- rotation ------------------------------------------------------------------------------------


def rotation_for(training: np.ndarray, pieces: int, rng: np.random.Generator) -> Any:
    """A linear transform of faiss that centers, rotates and pads rows for `pieces` codes."""
    library = faiss()
    width = training.shape[1]
    padded = padded_width(width, pieces)
    part = training[rng.permutation(len(training))[:_ROTATION_ROWS]].astype(np.float64)
    middle = part.mean(axis=0)
    matrix = np.zeros((padded, width))
    if width <= _MOST_ROTATED and len(part) > 1:
        part -= middle
        spreads, directions = np.linalg.eigh(part.T @ part / len(part))
        order = np.argsort(-spreads, kind="stable")
        places = shares(spreads[order], padded, pieces)
        matrix[places] = directions.T[order]
    else:
        matrix[:width] = np.eye(width)
    transform = library.LinearTransform(width, padded, True)
    library.copy_array_to_vector(matrix.astype(np.float32).ravel(), transform.A)
    library.copy_array_to_vector((-matrix @ middle).astype(np.float32), transform.b)
    transform.is_trained = True
    transform.set_is_orthonormal()
    return transform


def shares(spreads: np.ndarray, padded: int, pieces: int) -> np.ndarray:
    """Where each direction goes (descending spreads), so that all pieces have the like product."""
    capacity = padded // pieces
    floor = max(float(spreads[0]), 1e-30) * 1e-9
    filled, logarithms = np.zeros(pieces, np.int64), np.zeros(pieces)
    places = np.empty(len(spreads), np.int64)
    for direction, size in enumerate(np.log(np.maximum(spreads, floor) / floor)):
        piece = int(np.where(filled < capacity, logarithms, np.inf).argmin())
        places[direction] = piece * capacity + filled[piece]
        filled[piece] += 1
        logarithms[piece] += size
    return places


# --- probes --------------------------------------------------------------------------------------


def _probes(
    index: Any, rotation: Any, rows: Table, settings: IndexSettings, rng: np.random.Generator
) -> int:
    """The fewest lists to look into that hold `RECALL` of the neighbours of some rows."""
    if settings.nprobe != "auto":
        return min(settings.nprobe, int(index.nlist))
    if len(rows) < 2:
        return 1
    chosen = np.sort(rng.permutation(len(rows))[:_CALIBRATION_ROWS])
    queries = rows.take(chosen)
    near = neighbours_among(rows, queries, chosen, settings)
    found = rows.take(near.ravel())
    if rotation is not None:
        queries, found = rotation.apply(queries), rotation.apply(found)
    lists = index.quantizer.search(found, 1)[1].reshape(near.shape)
    order = index.quantizer.search(queries, index.nlist)[1]
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(index.nlist)[None, :], axis=1)
    needed = np.sort(np.take_along_axis(ranks, lists, axis=1), axis=None)
    return int(needed[min(len(needed) - 1, int(np.ceil(RECALL * len(needed))))]) + 1


def neighbours_among(
    rows: Table, queries: np.ndarray, own: np.ndarray, settings: IndexSettings
) -> np.ndarray:
    """The true neighbours (places in `rows`) of the rows that stand at the places `own`."""
    library, metric = faiss(), metric_of(settings)
    k = min(settings.k, len(rows) - 1)
    heap = library.ResultHeap(len(queries), k + 1, keep_max=metric != library.METRIC_L2)
    begin = 0
    for block in rows.blocks():
        distances, ids = library.knn(queries, block, min(k + 1, len(block)), metric)
        heap.add_result(distances, ids + begin)
        begin += len(block)
    heap.finalize()
    # The row itself goes, or the farthest where rows that equal it have pushed it out.
    itself = own[:, None] == heap.I
    itself[~itself.any(axis=1), -1] = True
    near: np.ndarray = heap.I[~itself].reshape(len(queries), k)
    return near
