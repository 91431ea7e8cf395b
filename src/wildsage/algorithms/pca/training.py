"""Which of the two ways is gone, and in how many passes; the same for library and program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from wildsage.algorithms.pca.blocks import block_rows
from wildsage.algorithms.pca.covariance import Covariance
from wildsage.algorithms.pca.sketch import Sketch
from wildsage.algorithms.pca.spectrum import Spectrum
from wildsage.algorithms.rows import Features
from wildsage.contract.cluster import Cluster

# Sketch and refinement are products with `size`, and twice with 2 `size` vectors; covariances are
# half of one with as many as there are features, and exact. Up to this many times `size` features
# they cost less.
EXACT_FACTOR = 10
LEAST_EXTRA = 10
# Products of covariances are as large as one another whatever the rows: few large blocks make few.
# Of a table they are views, of a stream they take memory. A sketch is better the more there are.
TABLE_ROWS, STREAM_ROWS, SKETCH_ROWS = 8192, 2048, 1024


@dataclass(slots=True)
class Settings:
    """The hyperparameters."""

    num_components: int
    algorithm_mode: str = "regular"
    extra_components: int = -1
    subtract_mean: bool = True
    mini_batch_size: int = 500
    epochs: int = 1

    def size(self, width: int) -> int:
        """How many directions randomized mode keeps track of."""
        extra = self.extra_components
        extra = max(LEAST_EXTRA, self.num_components) if extra < 0 else extra
        return min(width, self.num_components + extra)

    def is_exact(self, width: int) -> bool:
        """Whether the matrix of covariances is taken."""
        return self.algorithm_mode == "regular" or width <= EXACT_FACTOR * self.size(width)

    def refinements(self, *, rereadable: bool) -> int:
        """Passes after the first one. Files can be read again unasked, pipes in further epochs."""
        return max(self.epochs - 1, 1 if rereadable else 0)


class Training:
    """One training over rows of `width` features."""

    def __init__(
        self, settings: Settings, width: int, seed: int, cluster: Cluster | None = None
    ) -> None:
        self.settings, self.width = settings, width
        self.cluster = cluster or Cluster()
        centred = settings.subtract_mean
        self._covariance: Covariance | None = None
        self._sketch: Sketch | None = None
        if settings.is_exact(width):
            self._covariance = Covariance(width, subtract_mean=centred, cluster=self.cluster)
        else:
            self._sketch = Sketch(
                width, settings.size(width), seed, subtract_mean=centred, cluster=self.cluster
            )

    @property
    def is_exact(self) -> bool:
        return self._covariance is not None

    def block_rows(self, *, streamed: bool) -> int:
        """How many rows a block is best given."""
        most = STREAM_ROWS if streamed else TABLE_ROWS
        most = most if self.is_exact else SKETCH_ROWS
        return block_rows(self.settings.mini_batch_size, self.width, most)

    def add(self, blocks: Iterable[Features]) -> Iterator[int]:
        """The first pass, or a part of it; yields how many rows each block had."""
        state = self._covariance or self._sketch
        assert state is not None
        return state.add(blocks)

    def refine(self, blocks: Iterable[Features]) -> Iterator[int]:
        """A further pass over all rows, after which `keep` takes over what it found."""
        assert self._sketch is not None
        return self._sketch.refine(blocks)

    def keep(self) -> None:
        assert self._sketch is not None
        self._sketch.keep()

    def finish(self) -> Spectrum:
        """The components; every host gets the same."""
        state = self._covariance or self._sketch
        assert state is not None
        return state.finish(self.settings.num_components)


def settings_of(parameters: dict[str, Any]) -> Settings:
    """Settings from hyperparameters, which have names beside these."""
    names = Settings.__dataclass_fields__
    return Settings(**{name: value for name, value in parameters.items() if name in names})
