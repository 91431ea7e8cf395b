"""Trained vectors: how they are written, read and asked. NumPy alone.

The artifact `model_algo-1` is a NumPy `.npz`, which is a zip file: `entity_numbers` (sorted hashes)
with `entity_vectors`, `prefix_keys` (sorted; length times 2^32 plus the leading bits) with
`prefix_vectors`, and `layers` (layers, vector_dim + 1, vector_dim: weights, then the bias); beside
them the text `manifest.json`.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildsage.algorithms.ipinsights.addresses import ENTITY_MARK, entity_keys, prefix_keys

Array = NDArray[Any]
FORMAT = "wildsage-ipinsights-1"
ROWS_AT_ONCE = 1 << 14


@dataclass(slots=True)
class EmbeddingModel:
    """Vectors of what was seen; what was not has none, and adds nothing."""

    entities: int
    entity_keys: Array
    entity_vectors: Array
    prefix_keys: Array
    prefix_vectors: Array
    layers: Array

    @classmethod
    def of_rows(cls, entities: int, names: Array, vectors: Array, layers: Array) -> EmbeddingModel:
        """From the keys of a table's rows."""
        order = np.argsort(names)
        names, vectors = names[order], vectors[order]
        cut = int(np.searchsorted(names, np.uint64(ENTITY_MARK)))
        return cls(entities, names[cut:], vectors[cut:], names[:cut], vectors[:cut], layers)

    def embed_entities(self, names: Sequence[str]) -> Array:
        """A vector per entity; zeros where its hash was not seen."""
        return self.vectors_of(entity_keys(names, self.entities))

    def vectors_of(self, keys: Array) -> Array:
        return _looked_up(keys, self.entity_keys, self.entity_vectors)

    def embed_addresses(self, addresses: Array) -> Array:
        """A vector per address: its known prefixes' sum, through the layers."""
        found = np.empty((len(addresses), self.prefix_vectors.shape[1]), np.float32)
        for begin in range(0, len(addresses), ROWS_AT_ONCE):
            part = slice(begin, begin + ROWS_AT_ONCE)
            keys = prefix_keys(addresses[part])
            sums = sum(
                _looked_up(column, self.prefix_keys, self.prefix_vectors) for column in keys.T
            )
            found[part], _ = encoded(np.asarray(sums), self.layers)
        return found

    def scores(self, keys: Array, addresses: Array) -> Array:
        """The dot product of each pair."""
        return dot_products(self.vectors_of(keys), self.embed_addresses(addresses))

    def save(self, path: Path) -> None:
        manifest = {
            "format": FORMAT,
            "num_entity_vectors": self.entities,
            "vector_dim": int(self.prefix_vectors.shape[1]),
        }
        with open(path, "wb") as file:
            np.savez(
                file,
                entity_numbers=self.entity_keys ^ np.uint64(ENTITY_MARK),
                entity_vectors=self.entity_vectors,
                prefix_keys=self.prefix_keys,
                prefix_vectors=self.prefix_vectors,
                layers=self.layers,
            )
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("manifest.json", json.dumps(manifest, indent=2))

    @classmethod
    def load(cls, path: Path) -> EmbeddingModel:
        with np.load(path) as archive:
            manifest: dict[str, Any] = json.loads(archive["manifest.json"])
            if manifest.get("format") != FORMAT:
                raise ValueError(f"{path.name} is not an ipinsights model")
            return cls(
                manifest["num_entity_vectors"],
                archive["entity_numbers"] | np.uint64(ENTITY_MARK),
                archive["entity_vectors"],
                archive["prefix_keys"],
                archive["prefix_vectors"],
                archive["layers"],
            )


def _looked_up(keys: Array, known: Array, vectors: Array) -> Array:
    """The vector of each key, zeros for unknown ones."""
    if not len(known):
        return np.zeros((len(keys), vectors.shape[1]), np.float32)
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray(vectors[places] * (known[places] == keys)[:, None], np.float32)


def dot_products(one: Array, other: Array) -> Array:
    """Of each row with the row of the same number."""
    return np.asarray(np.einsum("nd,nd->n", one, other))


def encoded(vectors: Array, layers: Array) -> tuple[Array, list[tuple[Array, Array]]]:
    """Vectors after the layers, and what each layer got and added, for the way back."""
    steps: list[tuple[Array, Array]] = []
    for layer in layers:
        added = np.tanh(vectors @ layer[:-1] + layer[-1])
        steps.append((vectors, added))
        vectors = vectors + added
    return vectors, steps
