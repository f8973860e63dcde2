"""What a store takes: raw and stored bytes of each chunk, and the ratios that follow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from n1store.codecs.pipeline import without_tables
from n1store.display import Displayed
from n1store.errors import counted
from n1store.stores.base import Store

_PERCENTILES = {"min": 0, "p5": 5, "median": 50, "p95": 95, "max": 100}


@dataclass(frozen=True)
class Chunk:
    """A stored chunk: which it is, and its bytes before and after encoding."""

    recording: str
    index: tuple[int, int]
    raw_bytes: int
    stored_bytes: int

    @property
    def ratio(self) -> float:
        """Raw bytes over stored bytes; 0 for a chunk that is missing."""
        return self.raw_bytes / self.stored_bytes if self.stored_bytes else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON shows of it."""
        return {
            "recording": self.recording,
            "chunk": list(self.index),
            "raw_bytes": self.raw_bytes,
            "stored_bytes": self.stored_bytes,
            "ratio": self.ratio,
        }


@dataclass(frozen=True, repr=False)
class StoreSizes(Displayed):
    """Sizes of a store's recordings and chunks.

    Attributes
    ----------
    recordings : dict of str to dict
        Of each recording its shape, chunk shape, sampling frequency in Hz, duration in s and,
        where its samples are not those that were recorded, the codec that has changed them.
    chunks : list of Chunk
    store_bytes : int
        Of all files of the store, metadata included.
    """

    attributes: dict[str, Any]
    recordings: dict[str, dict[str, Any]]
    chunks: list[Chunk]
    store_bytes: int

    @property
    def raw_bytes(self) -> int:
        """Bytes of the samples as int16."""
        return sum(chunk.raw_bytes for chunk in self.chunks)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the encoded chunks."""
        return sum(chunk.stored_bytes for chunk in self.chunks)

    @property
    def duration(self) -> float:
        """Seconds of all recordings together."""
        return sum(float(recording["duration"]) for recording in self.recordings.values())

    @property
    def lossy(self) -> dict[str, int]:
        """Codecs that have changed samples, and in how many recordings."""
        return Counter(each["lossy"] for each in self.recordings.values() if "lossy" in each)

    def chunk_ratios(self) -> dict[str, float]:
        """Return minimum, percentiles and maximum of the chunks' ratios."""
        if not self.chunks:
            return {}
        values = np.percentile([chunk.ratio for chunk in self.chunks], list(_PERCENTILES.values()))
        return dict(zip(_PERCENTILES, values.tolist(), strict=True))

    def worst_chunks(self, count: int = 5) -> list[Chunk]:
        """Return the chunks of the lowest ratios, the lowest first."""
        return sorted(self.chunks, key=lambda chunk: chunk.ratio)[:count]

    @property
    def headline(self) -> str:
        """How many recordings there are, how long and how small, in a line."""
        recordings = counted(len(self.recordings), "recording")
        ratio = _ratio(self.raw_bytes, self.store_bytes)
        return f"{recordings}, {self.duration:.1f} s, ratio {ratio:.3f}"

    @property
    def rows(self) -> list[list[str]]:
        """Their samples, chunks and files in MB, and the codec, as rows of a table."""
        return [
            ["codec", without_tables(self.attributes["codec"])],
            *(["LOSSY", f"{counted(each, 'recording')}, by {c}"] for c, each in self.lossy.items()),
            ["samples", f"{self.raw_bytes / 1e6:.3f} MB"],
            ["chunks", f"{self.stored_bytes / 1e6:.3f} MB"],
            ["store on disk", f"{self.store_bytes / 1e6:.3f} MB"],
        ]

    def _headline(self) -> str:
        return self.headline

    def _table(self) -> tuple[list[str], list[list[str]]]:
        return [], self.rows

    def to_dict(self) -> dict[str, Any]:
        """Return the totals and the distribution of the ratios, for JSON."""
        return {
            **{key: value for key, value in self.attributes.items() if key != "recordings"},
            "recordings": len(self.recordings),
            "lossy": dict(self.lossy),
            "duration_s": self.duration,
            "raw_bytes": self.raw_bytes,
            "chunk_bytes": self.stored_bytes,
            "store_bytes": self.store_bytes,
            "chunk_ratio": _ratio(self.raw_bytes, self.stored_bytes),
            "store_ratio": _ratio(self.raw_bytes, self.store_bytes),
            "chunks": len(self.chunks),
            "ratio_per_chunk": self.chunk_ratios(),
            "worst_chunks": [chunk.to_dict() for chunk in self.worst_chunks()],
        }


def measure_sizes(store: Store) -> StoreSizes:
    """Measure a store without decoding anything."""
    recordings, chunks = {}, []
    for name in store:
        array = store.array(name)
        grid, sampling_frequency = array.grid, array.attributes["sampling_frequency"]
        recordings[name] = {
            "shape": list(grid.shape),
            "chunk_shape": list(grid.chunk_shape),
            "sampling_frequency": sampling_frequency,
            "duration": grid.shape[0] / sampling_frequency,
        }
        if "lossy" in array.attributes:
            recordings[name]["lossy"] = array.attributes["lossy"]
        for index, stored in zip(grid.indices(), array.stored_bytes(), strict=True):
            chunks.append(Chunk(name, index, grid.raw_bytes(index), stored))
    return StoreSizes(store.attributes, recordings, chunks, store.total_bytes())


def _ratio(raw: int, stored: int) -> float:
    return raw / stored if stored else 0.0
