"""Recordings in Zarr stores: arrays of shape (num_samples, num_channels), formats 2 and 3.

Chunks are stored as they come from the encoder, and the metadata that makes them a Zarr
array is written after them: an array whose writing was given up is none. Chunks are read
and decoded here too, past zarr, whose bookkeeping takes longer than decoding; arrays whose
metadata are not as n1store writes them are left to zarr.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numcodecs.abc import Codec

import n1store
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError, one_line
from n1store.stores.files import Files, create_files, open_files
from n1store.stores.grid import Grid
from n1store.session.session import Session
from n1store.stores.base import Store, StoredArray, check, require
from n1store.stores.traces import ChunkedTraces
from n1store.stores.zarr.formats import FORMATS, Format2, ZarrFormat

_NO_CHUNK = 2**64 - 1  # in the index of a shard


@dataclass(frozen=True)
class ZarrTarget:
    """A Zarr store to be written."""

    format: ZarrFormat
    is_folder: bool
    group = "recordings"
    chunk_seconds = 1.0

    @property
    def checksum(self) -> str:
        """The stage that every pipeline ends with which has no checksum of its own."""
        return self.format.checksum

    def prepare(self, pipeline: Pipeline) -> Pipeline:
        """Return the pipeline that gives the bytes to store; N1StoreError if there is none."""
        if self.format.number == 3:
            pipeline.zarr3()  # raises if it cannot be described
        return pipeline

    def create(self, path: Path, session: Session | None) -> ZarrWriter:
        """Begin to write the store."""
        return ZarrWriter(create_files(path, folder=self.is_folder), self.format, session)


class ZarrWriter:
    """Writes a store's arrays, one after the other, then its groups.

    Parameters
    ----------
    files : Files
    zarr_format : ZarrFormat
    session : Session, optional
        What NWB says of the recordings, to be kept as an attribute.
    """

    def __init__(self, files: Files, zarr_format: ZarrFormat, session: Session | None = None):
        self._files = files
        self._format = zarr_format
        self._session = session
        self._metadata: dict[str, Any] = {}
        self._arrays: list[dict[str, Any]] = []

    def create_array(self, path: str, grid: Grid, pipeline: Pipeline) -> ArrayWriter:
        """Begin an array."""
        return ArrayWriter(self, self._files, self._format, path, grid, pipeline)

    def finish_array(self, path: str, grid: Grid, pipeline: Pipeline, attributes: Any) -> None:
        """Make the chunks at a path an array."""
        self._write_node(path, self._format.array(grid, pipeline, attributes))
        self._arrays.append(attributes)

    def _write_small_array(self, path: str, values: np.ndarray) -> None:
        """Write a one-dimensional array as a single chunk without codecs, in format 2."""
        self._files.write(f"{path}/0", values.tobytes())
        metadata = Format2().array_metadata(values.shape, values.shape, values.dtype, None)
        self._write_node(path, {".zarray": metadata})

    def _write_group(self, path: str, attributes: dict[str, Any]) -> None:
        """Write the metadata of a group; the path of the root is empty."""
        self._write_node(path, self._format.group(attributes))

    def _write_node(self, path: str, files: dict[str, dict[str, Any]]) -> None:
        """Write the metadata files of a group or array."""
        for name, content in files.items():
            key = f"{path}/{name}" if path else name
            self._files.write(key, _to_json(content))
            self._metadata[key] = content

    def finish(self, layout: str, recordings: dict[str, str], codec: str) -> None:
        """Write the groups, given the paths of recordings by their names.

        In format 2 the metadata of all nodes are written once more, in one file.
        """
        root: dict[str, Any] = {
            "n1store": {
                "version": n1store.__version__,
                "layout": layout,
                "codec": codec,
                "recordings": recordings,
            }
        }
        if self._session is not None:
            root["nwb"] = self._session.to_json(recordings)
        if layout == "spikeinterface":
            # As SpikeInterface's ZarrRecordingExtractor reads it; it finds a class by these words.
            root |= {
                "zarr_class_info": {
                    "class": "spikeinterface.core.zarrextractors.ZarrRecordingExtractor",
                    "module": "spikeinterface",
                    "version": "0.105",
                },
                "sampling_frequency": self._arrays[0]["sampling_frequency"],
                "num_segments": len(recordings),
                "annotations": {},
                "provenance": None,
            }
            channel_ids = self._arrays[0]["channel_ids"]
            self._write_small_array("channel_ids", np.array(channel_ids))
            self._write_group("properties", {})
            scale = self._session and self._session.scale_to_uv(recordings, len(channel_ids))
            for name, values in zip(("gain_to_uV", "offset_to_uV"), scale or (), strict=False):
                self._write_small_array(f"properties/{name}", np.array(values))
        else:
            self._write_group("recordings", {})
        self._write_group("", root)
        if self._format.number == 2:
            metadata = {"zarr_consolidated_format": 1, "metadata": self._metadata}
            self._files.write(".zmetadata", _to_json(metadata))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._files.__exit__(*error)


class ArrayWriter:
    """Writes the chunks of one array, which come in C order, and then its metadata."""

    def __init__(
        self,
        store: ZarrWriter,
        files: Files,
        zarr_format: ZarrFormat,
        path: str,
        grid: Grid,
        pipeline: Pipeline,
    ):
        self._store = store
        self._files = files
        self._format = zarr_format
        self._path = path
        self._grid = grid
        self._pipeline = pipeline
        self._indices = grid.indices()
        self._shard: _ShardWriter | None = None

    def write(self, payload: bytes) -> None:
        """Store the next chunk, encoded."""
        row, group = next(self._indices)
        per_shard = self._grid.chunks_per_shard
        if not per_shard:
            self._files.write(f"{self._path}/{self._format.key((row, group))}", payload)
            return
        if self._shard is None:
            key = f"{self._path}/{self._format.key((row // per_shard, 0))}"
            self._shard = _ShardWriter(self._files.create(key), self._grid)
        self._shard.write((row % per_shard, group), payload)
        rows, groups = self._grid.counts
        last_row = row + 1 == rows or (row + 1) % per_shard == 0
        if last_row and group + 1 == groups:
            self._close_shard()

    def finish(self, attributes: dict[str, Any]) -> None:
        """Make the chunks an array."""
        if next(self._indices, None) is not None:
            raise RuntimeError(f"chunks of {self._path} are missing")
        self._store.finish_array(self._path, self._grid, self._pipeline, attributes)

    def discard(self) -> None:
        """Give the array up."""
        if self._shard is not None:
            self._close_shard()
        self._files.discard(self._path)

    def _close_shard(self) -> None:
        assert self._shard is not None
        self._shard.close()
        self._shard = None


class _ShardWriter:
    """Writes a shard as the codec ``sharding_indexed`` has it: chunks, then their index."""

    def __init__(self, file: IO[bytes], grid: Grid):
        self._file = file
        self._position = 0
        self._index = np.full((grid.chunks_per_shard, grid.counts[1], 2), _NO_CHUNK, "<u8")

    def write(self, index: tuple[int, int], payload: bytes) -> None:
        self._file.write(payload)
        self._index[index] = self._position, len(payload)
        self._position += len(payload)

    def close(self) -> None:
        self._file.write(_crc32c().encode(self._index.tobytes()))
        self._file.close()


class ZarrArray(StoredArray):
    """An array of a store as its files show it.

    Raises
    ------
    N1StoreError
        If its metadata are not those of an array that n1store wrote.
    """

    def __init__(self, files: Files, zarr_format: ZarrFormat, path: str, codec: str):
        self._files = files
        self._codec = codec
        self._format = zarr_format
        self._shard_indices: dict[str, np.ndarray] = {}
        self.path = path
        try:
            self.grid, self.attributes = zarr_format.parse_array(self._read_json)
            check(self.grid, self.attributes)
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise N1StoreError(
                f"array {path}: its metadata are missing or damaged: {one_line(error)}"
            ) from error

    def stored_bytes(self) -> Iterator[int]:
        for index in self.grid.indices():
            try:
                yield self._place(index)[2]
            except KeyError:
                yield 0

    def payload(self, index: tuple[int, int]) -> bytes:
        return self._files.read(*self._place(index))

    @cached_property
    def _pipeline(self) -> Pipeline | None:
        """The codecs, if the array is as n1store writes it."""
        pipeline = Pipeline.parse(self._codec, read_files=False)
        expected = self._format.array(self.grid, pipeline, self.attributes)
        if any(self._read_json(name) != content for name, content in expected.items()):
            return None
        return pipeline

    @property
    def codecs(self) -> list[Codec] | None:
        pipeline = self._pipeline
        return [codec for _, codec in pipeline.stages] if pipeline else None

    def traces(self) -> ChunkedTraces | None:
        pipeline = self._pipeline
        if pipeline is None:
            return None

        def read_chunk(index: tuple[int, int], out: np.ndarray | None) -> np.ndarray:
            try:
                return pipeline.decode(self.payload(index), self.grid.chunk_shape)
            except Exception as error:  # whatever the codecs make of damaged bytes
                why = "is missing" if isinstance(error, KeyError) else one_line(error)
                raise N1StoreError(f"chunk {index[0]},{index[1]}: {why}") from error

        return ChunkedTraces(self.grid, read_chunk)

    def _place(self, index: tuple[int, int]) -> tuple[str, int, int]:
        """Return the file that a chunk is in, where it begins there, and its size."""
        if not self.grid.chunks_per_shard:
            key = f"{self.path}/{self._format.key(index)}"
            return key, 0, self._files.size(key)
        shard, row = divmod(index[0], self.grid.chunks_per_shard)
        key = f"{self.path}/{self._format.key((shard, 0))}"
        start, size = self._shard_index(key)[row, index[1]]
        if start == _NO_CHUNK:
            raise KeyError(f"{key} has no chunk {index}")
        return key, int(start), int(size)

    def _shard_index(self, key: str) -> np.ndarray:
        if key not in self._shard_indices:
            shape = self.grid.chunks_per_shard, self.grid.counts[1], 2
            start = self._files.size(key) - math.prod(shape) * 8 - 4
            try:
                content = _crc32c().decode(self._files.read(key, max(start, 0)))
                self._shard_indices[key] = np.frombuffer(content, "<u8").reshape(shape)
            except (RuntimeError, ValueError) as error:
                raise N1StoreError(f"{key}: its index is damaged") from error
        return self._shard_indices[key]

    def _read_json(self, name: str) -> dict[str, Any]:
        return json.loads(self._files.read(f"{self.path}/{name}"))


class ZarrStore(Store):
    """A Zarr store that n1store wrote."""

    library = "zarr"

    def __init__(self, path: Path):
        self.path = path
        self.left_out = []
        self._files = open_files(path)
        for self._format in FORMATS.values():
            try:
                content = json.loads(self._files.read(self._format.root_file))
                root = self._format.attributes(content)
                self._nwb = root.get("nwb")
                self.attributes = root["n1store"]
                recordings = self.attributes["recordings"]
                strings = [self.attributes["codec"], *recordings.keys(), *recordings.values()]
                require(all(isinstance(part, str) for part in strings), "not what n1store writes")
                return
            except (KeyError, ValueError, TypeError, AttributeError):
                continue
        self._files.close()
        raise N1StoreError(f"{path}: is not a store written by n1store, or is damaged")

    def array(self, name: str) -> ZarrArray:
        path = self.attributes["recordings"][name]
        try:
            return ZarrArray(self._files, self._format, path, self.attributes["codec"])
        except N1StoreError as error:
            raise N1StoreError(f"{self.path}: {error}") from error

    def session(self) -> tuple[Session | None, list[str]]:
        return None if self._nwb is None else Session.from_json(self.path, self._nwb), []

    def total_bytes(self) -> int:
        return self._files.total_size()

    def close(self) -> None:
        self._files.close()
        if "_root" in self.__dict__:
            self._root.store.close()

    def _open_array(self, path: str) -> Any:
        return self._root[path]

    @cached_property
    def _root(self) -> Any:
        import zarr

        if self._format.number > int(zarr.__version__.split(".")[0]):
            raise N1StoreError(f"{self.path}: is of Zarr format 3, which needs zarr 3 to be read")
        if self.path.is_dir():
            return zarr.open_group(str(self.path), mode="r")
        return zarr.open_group(zarr.storage.ZipStore(str(self.path), mode="r"), mode="r")


def _to_json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _crc32c() -> Codec:
    from numcodecs.checksum32 import CRC32C

    return CRC32C(location="end")
