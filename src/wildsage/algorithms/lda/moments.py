"""Topics out of the corpus's second and third moments (Anandkumar et al., 2014).

Two words of a document tell which directions the topics span: the second moment, centered by the
first, is whitened there. Three words tell the topics apart: the whitened third moment is a small
symmetric tensor, whose components are the topics. It is decomposed by alternating least squares.
Neither a words x words matrix nor a larger tensor is ever formed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wildsage.algorithms.lda.corpus import Corpus

# Where a decomposition of more components than these would cost more than the passes that refine.
MOST_COMPONENTS = 64
TENSOR_WORK = 2e10
BLOCK_BYTES = 4 << 20
POWER_ITERATIONS = 3
OVERSAMPLING = 10
SHORTEST = 3  # words: three of them make a third moment
NEGLIGIBLE = 1e-6
AGREEMENT = 0.01  # of two starts' residuals


@dataclass(slots=True)
class Whitening:
    """`whiten` takes words to the topics' space (words x rank), `restore` brings topics back."""

    whiten: np.ndarray
    restore: np.ndarray
    first: np.ndarray  # the first moment in that space
    pairs: np.ndarray  # the second, not centered

    @property
    def rank(self) -> int:
        return int(self.whiten.shape[1])


@dataclass(slots=True)
class Decomposition:
    """Unit components (rank x components), their weights, and how much of the tensor is missed."""

    components: np.ndarray
    weights: np.ndarray
    residual: float
    iterations: int


def spectral_topics(
    corpus: Corpus,
    count: int,
    alpha0: float,
    rng: np.random.Generator,
    *,
    restarts: int,
    iterations: int,
    tolerance: float,
) -> tuple[np.ndarray, np.ndarray, list[Decomposition]]:
    """Up to `count` topics (words x topics), their shares of the prior, and the starts made."""
    corpus = _long_enough(corpus)
    rank = min(count, MOST_COMPONENTS, corpus.vocabulary, len(corpus))
    none = np.zeros((corpus.vocabulary, 0)), np.zeros(0)
    whitening = whitened(corpus, rank, alpha0, rng) if rank else None
    if whitening is None:
        return *none, []
    tensor = third_moment(_sampled(corpus, whitening.rank, rng), whitening, alpha0)
    if not np.isfinite(tensor).all() or not tensor.any():
        return *none, []
    starts = decompose(tensor, restarts, iterations, tolerance, rng)
    best = min(starts, key=lambda start: start.residual)
    return *_restored(best, whitening), starts


def _long_enough(corpus: Corpus) -> Corpus:
    long = corpus.lengths >= SHORTEST
    return corpus if long.all() else corpus.take(np.flatnonzero(long))


def _sampled(corpus: Corpus, rank: int, rng: np.random.Generator) -> Corpus:
    """As many documents as the third moment has time for."""
    most = max(1000, int(TENSOR_WORK / rank**3))
    if len(corpus) <= most:
        return corpus
    return corpus.take(np.sort(rng.choice(len(corpus), most, replace=False)))


def _weights(corpus: Corpus) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A document's share in averages over its words, pairs and triples of words."""
    lengths, number = corpus.lengths, len(corpus)
    pairs = lengths * (lengths - 1)
    return 1 / lengths / number, 1 / pairs / number, 1 / (pairs * (lengths - 2)) / number


# --- the second moment ---------------------------------------------------------------------------


def whitened(
    corpus: Corpus, rank: int, alpha0: float, rng: np.random.Generator
) -> Whitening | None:
    """The leading eigenvectors of the centered second moment, by a randomised range finder."""
    singles, pairs, _ = _weights(corpus)
    first = corpus.word_sums(singles)
    diagonal = corpus.word_sums(pairs)
    share = alpha0 / (alpha0 + 1)

    def second_moment(table: np.ndarray) -> np.ndarray:
        seen = corpus.transposed_times(pairs, corpus.times(table))
        seen -= diagonal[:, None] * table
        seen -= share * np.outer(first, first @ table)
        return seen

    width = min(rank + OVERSAMPLING, corpus.vocabulary)
    basis = np.linalg.qr(rng.standard_normal((corpus.vocabulary, width)))[0]
    for _ in range(POWER_ITERATIONS):
        basis = np.linalg.qr(second_moment(basis))[0]
    small = basis.T @ second_moment(basis)
    values, vectors = np.linalg.eigh((small + small.T) / 2)
    order = np.argsort(-values)[:rank]
    order = order[values[order] > NEGLIGIBLE * max(values[order[0]], 0)]
    if not len(order) or values[order[0]] <= 0:
        return None
    directions, scales = basis @ vectors[:, order], np.sqrt(values[order])
    whiten = np.ascontiguousarray(directions / scales)
    projected = corpus.times(whiten)
    seen = (projected * pairs[:, None]).T @ projected - (whiten * diagonal[:, None]).T @ whiten
    return Whitening(whiten, directions * scales, whiten.T @ first, seen)


# --- the third moment ----------------------------------------------------------------------------


def third_moment(corpus: Corpus, whitening: Whitening, alpha0: float) -> np.ndarray:
    """The whitened third moment, centered: a symmetric tensor (rank x rank x rank)."""
    _, _, triples = _weights(corpus)
    whiten = whitening.whiten
    projected = corpus.times(whiten)
    weighted = projected * triples[:, None]
    tensor = _outer(projected, weighted)
    # Words must be different: the same word twice, and thrice, is taken out.
    twice = _outer(whiten, corpus.transposed_times(triples, projected))
    thrice = _outer(whiten, whiten * corpus.word_sums(triples)[:, None])
    tensor += 2 * thrice - _turned(twice)
    first = whitening.first
    crossed = whitening.pairs[:, :, None] * first
    tensor -= alpha0 / (alpha0 + 2) * _turned(crossed)
    cube = first[:, None, None] * first[:, None] * first
    tensor += 2 * alpha0**2 / ((alpha0 + 1) * (alpha0 + 2)) * cube
    return _turned(tensor + tensor.transpose(1, 0, 2)) / 6


def _outer(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The sum over rows of left x left x right."""
    rank = left.shape[1]
    rows = max(1, BLOCK_BYTES // (8 * rank * rank))
    total = np.zeros((rank * rank, rank))
    for begin in range(0, len(left), rows):
        part = left[begin : begin + rows]
        squares = (part[:, :, None] * part[:, None, :]).reshape(len(part), -1)
        total += squares.T @ right[begin : begin + rows]
    return total.reshape(rank, rank, rank)


def _turned(tensor: np.ndarray) -> np.ndarray:
    """The sum of the three rotations of the axes."""
    turned: np.ndarray = tensor + tensor.transpose(1, 2, 0) + tensor.transpose(2, 0, 1)
    return turned


# --- alternating least squares -------------------------------------------------------------------


def decompose(
    tensor: np.ndarray, restarts: int, iterations: int, tolerance: float, rng: np.random.Generator
) -> list[Decomposition]:
    """Start anew until two of the best decompositions agree, at most `restarts` times."""
    starts: list[Decomposition] = []
    for _ in range(restarts):
        starts.append(_alternate(tensor, iterations, tolerance, rng))
        residuals = sorted(start.residual for start in starts)
        if len(residuals) > 1 and residuals[1] - residuals[0] <= AGREEMENT:
            break
    return starts


def _alternate(
    tensor: np.ndarray, iterations: int, tolerance: float, rng: np.random.Generator
) -> Decomposition:
    """Solve for one axis's factors with the other two held, in turn."""
    rank = len(tensor)
    flat = tensor.reshape(rank, -1)
    # The eigenvectors of a random slice are the components, but for noise.
    slanted = (flat.reshape(-1, rank) @ rng.standard_normal(rank)).reshape(rank, rank)
    left = right = np.linalg.eigh((slanted + slanted.T) / 2)[1]
    for done in range(1, iterations + 1):
        before = right
        for _ in range(3):
            left, right = right, _solved(flat, left, right)
        moved = np.minimum(np.square(right - before).sum(0), np.square(right + before).sum(0))
        if done == iterations or moved.mean() < tolerance:
            return _weighed(tensor, right, done)
    raise ValueError("there must be at least one iteration")


def _solved(flat: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The unit factors of the first axis, given those of the others."""
    rank = len(flat)
    gram = (left.T @ left) * (right.T @ right)
    gram[np.diag_indices(rank)] += 1e-9
    products = flat @ (left[:, None, :] * right[None, :, :]).reshape(rank * rank, rank)
    factors = np.linalg.solve(gram, products.T).T
    unit: np.ndarray = factors / np.maximum(np.linalg.norm(factors, axis=0), 1e-30)
    return unit


def _weighed(tensor: np.ndarray, components: np.ndarray, iterations: int) -> Decomposition:
    """Weights by least squares, turned positive, and what is missed."""
    rank = len(tensor)
    gram = (components.T @ components) ** 3
    gram[np.diag_indices(rank)] += 1e-9
    slices = (tensor.reshape(-1, rank) @ components).reshape(rank, rank, rank)
    heights = np.einsum("ijr,ir,jr->r", slices, components, components, optimize=True)
    weights = np.linalg.solve(gram, heights)
    square = float(np.square(tensor).sum())
    missed = square - float(weights @ heights)
    return Decomposition(
        components * np.sign(weights),
        np.abs(weights),
        math.sqrt(max(missed, 0) / square),
        iterations,
    )


def _restored(found: Decomposition, whitening: Whitening) -> tuple[np.ndarray, np.ndarray]:
    """Topics (words x topics, columns sum to one) and their shares of the prior, largest first."""
    topics = whitening.restore @ found.components
    topics *= np.where(topics.sum(axis=0) < 0, -1, 1)
    topics = np.maximum(topics, 0)
    shares = 1 / np.square(np.maximum(found.weights, 1e-6))
    kept = np.flatnonzero(topics.sum(axis=0) > 0)
    kept = kept[np.argsort(-shares[kept], kind="stable")]
    topics, shares = topics[:, kept], shares[kept]
    return topics / topics.sum(axis=0), shares / max(shares.sum(), 1e-300)
