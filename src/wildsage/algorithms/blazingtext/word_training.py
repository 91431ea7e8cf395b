"""Training of word vectors: from a corpus of word places to a matrix, on threads and hosts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from wildsage import clock
from wildsage.algorithms.blazingtext import word_kernels as kernels
from wildsage.algorithms.blazingtext.dictionary import Dictionary
from wildsage.algorithms.blazingtext.fasttext import Rows
from wildsage.algorithms.blazingtext.sharing import join
from wildsage.algorithms.blazingtext.simd import padded_zeros
from wildsage.algorithms.blazingtext.threads import run_pieces, seed_of, thread_count
from wildsage.algorithms.blazingtext.token_kernels import LINE_END
from wildsage.contract.cluster import Cluster

REPORTS = 20  # progress is told about so often
LEAST_RATE = 1e-4  # of the first one
SAMPLING_POWER = 0.75
LARGEST_PIECE = 20_000_000
# The corpus is learned in blocks, in another order in each epoch: what stands last in a file that
# goes from subject to subject would otherwise count for most.
LONGEST_BLOCK, BLOCKS_PER_PIECE = 1000, 100
SEARCHED = 1 << 24
# Hosts join what they learned after so many words each, or so many times the dictionary's size.
LEAST_SHARED, SHARED_PER_WORD = 10_000, 10


@dataclass(frozen=True, slots=True)
class Settings:
    mode: str = "skipgram"
    vector_dim: int = 100
    window_size: int = 5
    negative_samples: int = 5
    sampling_threshold: float = 1e-4
    learning_rate: float = 0.05
    epochs: int = 5
    batch_size: int = 11
    threads: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far training is; `words` and `seconds` count from its beginning."""

    rate: float
    share: float
    words: int
    seconds: float

    @property
    def million_words_per_second(self) -> float:
        return self.words / max(self.seconds, 1e-9) / 1e6


Report = Callable[[Progress], None]


class Diverged(ValueError):
    """What was learned is no numbers any more."""

    def __init__(self) -> None:
        super().__init__("Training diverged. Try a smaller value of learning_rate.")


def require_finite(*matrices: np.ndarray) -> None:
    """Diverged unless all numbers are finite; their sum is, then, and needs no other matrix."""
    with np.errstate(invalid="ignore"):
        if not all(math.isfinite(matrix.sum(dtype=np.float64)) for matrix in matrices):
            raise Diverged


@dataclass
class WordTraining:
    """The matrices and all that a pass needs."""

    dictionary: Dictionary
    tokens: np.ndarray
    settings: Settings
    cluster: Cluster = field(default_factory=Cluster)
    stopping: Callable[[], bool] = lambda: False
    report: Report = lambda progress: None

    def __post_init__(self) -> None:
        words, width = len(self.dictionary.words), self.settings.vector_dim
        self.subwords = self.dictionary.shape.buckets > 0
        places, self.starts = self.dictionary.word_rows(self.dictionary.words)
        # Only the buckets that some word falls into are kept: the others are never learned.
        self.row_numbers, self.rows = np.unique(
            np.concatenate([np.arange(words), places]), return_inverse=True
        )
        self.rows = self.rows[words:]
        rng = np.random.default_rng(self.settings.seed)
        self.inputs = padded_zeros(len(self.row_numbers), width)
        # From -1 to 1 before the division: with half as much, CBOW learns markedly less.
        start = rng.random((len(self.inputs), width), np.float32) * 2 - 1
        self.inputs[:, :width] = start / np.float32(width)
        self.outputs = padded_zeros(words, width)
        self._prepare_sampling()

    def _prepare_sampling(self) -> None:
        counts = self.dictionary.counts.astype(np.float64)
        ratio = self.settings.sampling_threshold / (counts / counts.sum())
        kept = np.minimum(1, np.sqrt(ratio) + ratio)
        self.keep = (kept * np.float64(2**32 - 1)).astype(np.uint32)
        self.chances, self.aliases = kernels.alias_table(counts**SAMPLING_POWER)
        self.table = kernels.sigmoid_table()

    # --- running ---------------------------------------------------------------------------------

    def run(self) -> None:
        """All epochs, or as many pieces of them as there is time for."""
        self._learn()
        require_finite(self.inputs, self.outputs)

    def _learn(self) -> None:
        settings, count, pieces = self.settings, len(self.tokens), self._pieces()
        threads = thread_count(settings.threads, count * settings.epochs)
        starts = block_starts(self.tokens, count // (BLOCKS_PER_PIECE * pieces))
        before = (self.inputs.copy(), self.outputs.copy()) if self.cluster.size > 1 else ()
        started, told, total = clock.monotonic(), 0.0, settings.epochs * pieces
        for epoch in range(settings.epochs):
            order = np.random.default_rng((settings.seed, epoch)).permutation(len(starts) - 1)
            for number, blocks in enumerate(np.array_split(order, pieces)):
                done = epoch * pieces + number
                rates = self._rate(done / total), self._rate((done + 1) / total)
                self._piece((epoch, number), starts, blocks, rates, threads)
                for matrix, copy in zip((self.inputs, self.outputs), before, strict=False):
                    join(matrix, copy, self.cluster)
                share = (done + 1) / total
                if share - told >= 1 / REPORTS - 1e-9 or share == 1:
                    told = share
                    seconds = clock.monotonic() - started
                    words = int(share * settings.epochs * count)
                    self.report(Progress(self._rate(share), share, words, seconds))
                if self._must_stop():
                    return

    def _pieces(self) -> int:
        """Into how many pieces an epoch is cut."""
        count, hosts = len(self.tokens), self.cluster.size
        pieces = max(math.ceil(REPORTS / self.settings.epochs), math.ceil(count / LARGEST_PIECE))
        if hosts > 1:
            shared = max(LEAST_SHARED, SHARED_PER_WORD * len(self.dictionary.words))
            pieces = max(pieces, math.ceil(count / hosts / shared))
        return pieces

    def _rate(self, share: float) -> float:
        return self.settings.learning_rate * max(1 - share, LEAST_RATE)

    def _must_stop(self) -> bool:
        """Whether any host was told to stop: all of them do then."""
        asked = np.array([self.stopping()], np.int64)
        return bool(self.cluster.allreduce(asked)[0])

    def _piece(
        self,
        place: tuple[int, int],
        starts: np.ndarray,
        blocks: np.ndarray,
        rates: tuple[float, float],
        threads: int,
    ) -> None:
        """This host's part of a piece, spread over threads."""
        rank, hosts = self.cluster.rank, self.cluster.size
        mine = blocks[len(blocks) * rank // hosts : len(blocks) * (rank + 1) // hosts]
        tokens = blocks_of(self.tokens, starts, mine)

        def work(begin: int, end: int, thread: int) -> None:
            seed = seed_of(self.settings.seed, *place, rank, thread)
            self._pass(tokens[begin:end], rates, seed)

        run_pieces(work, 0, len(tokens), threads)

    def _pass(self, tokens: np.ndarray, rates: tuple[float, float], seed: np.uint64) -> None:
        s = self.settings
        sampling = (self.keep, self.chances, self.aliases, self.table)
        if s.mode == "cbow" or self.subwords:
            kernels.bags(
                s.mode == "cbow",
                tokens,
                self.inputs,
                self.outputs,
                self.rows,
                self.starts,
                *sampling,
                s.window_size,
                s.negative_samples,
                *rates,
                seed,
            )
            return
        batch = s.batch_size if s.mode == "batch_skipgram" else 2 * s.window_size
        kernels.skipgram(
            tokens,
            self.inputs,
            self.outputs,
            *sampling,
            s.window_size,
            s.negative_samples,
            batch,
            *rates,
            seed,
        )

    # --- results ---------------------------------------------------------------------------------

    def vectors(self) -> np.ndarray:
        """Each word's vector: the mean of its rows."""
        width = self.settings.vector_dim
        if not self.subwords:
            return self.inputs[:, :width].copy()
        return mean_rows(self.inputs, self.rows, self.starts)[:, :width].copy()

    def input_rows(self) -> Rows:
        """The rows of the file's input matrix that are not zero."""
        return Rows(self.dictionary.rows, self.row_numbers, self.inputs)


# --- the corpus in another order ------------------------------------------------------------------


def block_starts(tokens: np.ndarray, wanted: int) -> np.ndarray:
    """Where blocks of about `wanted` tokens begin, and the end.

    They begin with a sentence, unless one is longer than a block.
    """
    size = min(max(1, wanted), LONGEST_BLOCK)
    ends = [
        np.flatnonzero(tokens[begin : begin + SEARCHED] == LINE_END) + begin + 1
        for begin in range(0, len(tokens), SEARCHED)
    ]
    even = np.arange(size, len(tokens), size)
    sentences = np.append(np.concatenate([*ends, np.zeros(0, np.int64)]), len(tokens))
    following = sentences[np.searchsorted(sentences, even)]
    cuts = np.where(following - even < LONGEST_BLOCK, following, even)
    return np.unique(np.concatenate([[0], cuts, [len(tokens)]])).astype(np.int64)


def blocks_of(tokens: np.ndarray, starts: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """The tokens of some blocks, in their order, with an end of sentence behind each."""
    end = np.full(1, LINE_END, np.int32)
    parts = [part for i in blocks for part in (tokens[starts[i] : starts[i + 1]], end)]
    return np.concatenate([*parts, np.zeros(0, np.int32)])


def mean_rows(matrix: np.ndarray, rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The mean of the rows in each part of `rows`, zeros for an empty part; in blocks."""
    result = np.zeros((len(starts) - 1, matrix.shape[1]), np.float32)
    block = max(1, (1 << 22) // max(1, matrix.shape[1] * 16))
    for begin in range(0, len(result), block):
        part = starts[begin : begin + block + 1]
        sizes = np.diff(part)
        full = np.flatnonzero(sizes)
        if not len(full):
            continue
        gathered = matrix[rows[part[0] : part[-1]]]
        sums = np.add.reduceat(gathered, part[:-1][full] - part[0], axis=0)
        result[begin + full] = sums / sizes[full, None]
    return result
