"""Recordings in Zarr stores: arrays of shape (num_samples, num_channels), formats 2 and 3.

Chunks are stored as they come from the encoder, and the metadata that makes them a Zarr
array is written after them: an array whose writing was given up is none. The metadata
follow the specifications of Zarr formats 2 and 3, so that any Zarr library reads the store;
which of them is installed does not matter for writing. Reading is left to zarr itself.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numcodecs.abc import Codec

from n1store.errors import N1StoreError, one_line
from n1store.pipeline import Pipeline
from n1store.recording import Recording
from n1store.stores.files import Files, open_files
from n1store.stores.grid import DTYPE, Grid
from n1store.stores.traces import ChunkedTraces

_NO_CHUNK = 2**64 - 1

# The stage that every pipeline ends with, so that any reader notices a changed bit.
CHECKSUM = {2: "crc32", 3: "crc32c"}


class ZarrWriter:
    """Writes a store's arrays, one after the other, then its groups.

    Parameters
    ----------
    files : Files
    zarr_format : {2, 3}
    """

    def __init__(self, files: Files, zarr_format: int):
        self._files = files
        self._format = zarr_format
        self._metadata: dict[str, Any] = {}

    def create_array(self, path: str, grid: Grid, pipeline: Pipeline) -> ArrayWriter:
        """Begin an array."""
        return ArrayWriter(self, path, grid, pipeline)

    def write_small_array(self, path: str, values: np.ndarray) -> None:
        """Write a one-dimensional array as a single chunk without codecs (format 2)."""
        self._files.write(f"{path}/0", values.tobytes())
        length = [max(1, len(values))]
        self._write_json(f"{path}/.zarray", _zarr2_array(values.shape, length, values.dtype, []))

    def write_group(self, path: str, attributes: dict[str, Any] | None = None) -> None:
        """Write the metadata of a group; the path of the root is empty."""
        prefix = f"{path}/" if path else ""
        if self._format == 3:
            group = {"zarr_format": 3, "node_type": "group", "attributes": attributes or {}}
            self._write_json(f"{prefix}zarr.json", group)
            return
        self._write_json(f"{prefix}.zgroup", {"zarr_format": 2})
        if attributes:
            self._write_json(f"{prefix}.zattrs", attributes)

    def finish(self, attributes: dict[str, Any]) -> None:
        """Write the root group and, in format 2, the metadata of all nodes in one file."""
        self.write_group("", attributes)
        if self._format == 2:
            metadata = {"zarr_consolidated_format": 1, "metadata": self._metadata}
            self._files.write(".zmetadata", _to_json(metadata))

    def _write_json(self, key: str, content: dict[str, Any]) -> None:
        self._files.write(key, _to_json(content))
        if self._format == 2:
            self._metadata[key] = content


class ArrayWriter:
    """Writes the chunks of one array, which come in C order, and then its metadata."""

    def __init__(self, store: ZarrWriter, path: str, grid: Grid, pipeline: Pipeline):
        self._store = store
        self._path = path
        self._grid = grid
        self._pipeline = pipeline
        self._indices = grid.indices()
        self._shard: _ShardWriter | None = None

    def write(self, payload: bytes) -> None:
        """Store the next chunk, encoded."""
        index = next(self._indices)
        per_shard = self._grid.chunks_per_shard
        if not per_shard:
            self._store._files.write(self._key(index), payload)
            return
        if self._shard is None:
            key = self._key((index[0] // per_shard, 0))
            self._shard = _ShardWriter(self._store._files.create(key), self._grid)
        self._shard.write((index[0] % per_shard, index[1]), payload)
        samples, channels = self._grid.counts
        at_end = index[0] + 1 == samples or (index[0] + 1) % per_shard == 0
        if at_end and index[1] + 1 == channels:
            self._close_shard()

    def finish(self, attributes: dict[str, Any]) -> None:
        """Make the chunks an array."""
        if next(self._indices, None) is not None:
            raise RuntimeError(f"chunks of {self._path} are missing")
        write_json = self._store._write_json
        if self._store._format == 3:
            metadata = _zarr3_array(self._grid, self._pipeline.zarr3(), attributes)
            write_json(f"{self._path}/zarr.json", metadata)
            return
        grid, filters = self._grid, self._pipeline.zarr2()
        metadata = _zarr2_array(grid.shape, grid.chunk_shape, DTYPE, filters)
        write_json(f"{self._path}/.zarray", metadata)
        write_json(f"{self._path}/.zattrs", {"_ARRAY_DIMENSIONS": _DIMENSIONS, **attributes})

    def discard(self) -> None:
        """Give the array up."""
        if self._shard is not None:
            self._close_shard()
        self._store._files.discard(self._path)

    def _close_shard(self) -> None:
        assert self._shard is not None
        self._shard.close()
        self._shard = None

    def _key(self, index: tuple[int, int]) -> str:
        if self._store._format == 3:
            return f"{self._path}/c.{index[0]}.{index[1]}"
        return f"{self._path}/{index[0]}.{index[1]}"


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


class StoredArray:
    """An array of a store as its files show it, without decoding any chunk.

    Attributes
    ----------
    path : str
        Where it is in the store.
    grid : Grid
    attributes : dict
    """

    def __init__(self, files: Files, path: str):
        self._files = files
        self._shard_indices: dict[str, np.ndarray] = {}
        self.path = path
        try:
            self._read_format3() if self._has("zarr.json") else self._read_format2()
            _check_attributes(self.attributes, self.grid)
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise N1StoreError(
                f"array {path}: its metadata are missing or damaged: {one_line(error)}"
            ) from error

    def stored_bytes(self) -> Iterator[int]:
        """Yield the size of each chunk as stored, in C order; 0 for one that is missing."""
        for index in self.grid.indices():
            try:
                yield self._place(index)[2]
            except KeyError:
                yield 0

    def payload(self, index: tuple[int, int]) -> bytes:
        """Return a chunk as stored; KeyError if it is missing."""
        return self._files.read(*self._place(index))

    def traces(self, spec: str) -> ChunkedTraces | None:
        """Return the array's samples, if its chunks are those of the pipeline `spec`."""
        pipeline = Pipeline.parse(spec)
        if self._metadata != self._expected(pipeline):
            return None

        def read_chunk(index: tuple[int, int]) -> np.ndarray:
            try:
                return pipeline.decode(self.payload(index), self.grid.chunk_shape)
            except Exception as error:  # whatever the codecs make of damaged bytes
                why = "is missing" if isinstance(error, KeyError) else one_line(error)
                raise N1StoreError(f"chunk {index[0]},{index[1]}: {why}") from error

        return ChunkedTraces(self.grid, read_chunk)

    def _place(self, index: tuple[int, int]) -> tuple[str, int, int]:
        """Return the file that a chunk is in, where it begins there, and its size."""
        if not self.grid.chunks_per_shard:
            key = self._key(index)
            return key, 0, self._files.size(key)
        shard, row = divmod(index[0], self.grid.chunks_per_shard)
        key = self._key((shard, 0))
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

    def _has(self, key: str) -> bool:
        try:
            return self._files.size(f"{self.path}/{key}") >= 0
        except KeyError:
            return False

    def _json(self, key: str) -> dict[str, Any]:
        return json.loads(self._files.read(f"{self.path}/{key}"))

    def _read_format3(self) -> None:
        self._metadata = metadata = self._json("zarr.json")
        chunk_shape = metadata["chunk_grid"]["configuration"]["chunk_shape"]
        chunks_per_shard = 0
        if metadata["codecs"][0]["name"] == "sharding_indexed":
            inner_shape = metadata["codecs"][0]["configuration"]["chunk_shape"]
            chunks_per_shard = chunk_shape[0] // inner_shape[0]
            chunk_shape = inner_shape
        self.grid = Grid(tuple(metadata["shape"]), tuple(chunk_shape), chunks_per_shard)
        self.attributes = metadata["attributes"]
        self._key = lambda index: f"{self.path}/c.{index[0]}.{index[1]}"
        self._expected = lambda pipeline: _zarr3_array(self.grid, pipeline.zarr3(), self.attributes)
        _require(metadata["data_type"] == "int16", "its samples are not int16")

    def _read_format2(self) -> None:
        self._metadata = metadata = self._json(".zarray")
        self.grid = Grid(tuple(metadata["shape"]), tuple(metadata["chunks"]))
        self.attributes = self._json(".zattrs")
        self._key = lambda index: f"{self.path}/{index[0]}.{index[1]}"
        self._expected = lambda pipeline: _zarr2_array(
            self.grid.shape, self.grid.chunk_shape, DTYPE, pipeline.zarr2()
        )
        _require(metadata["dtype"] == DTYPE.str, "its samples are not int16")


def _check_attributes(attributes: dict[str, Any], grid: Grid) -> None:
    lengths = (*grid.shape, *grid.chunk_shape)
    _require(
        len(grid.shape) == len(grid.chunk_shape) == 2
        and all(type(length) is int and length >= 0 for length in lengths)
        and min(grid.chunk_shape) > 0,
        "shape and chunks are not those of samples and channels",
    )
    rate, channel_ids = attributes["sampling_frequency"], attributes["channel_ids"]
    _require(
        isinstance(rate, float | int) and 0 < rate < math.inf,
        "sampling_frequency is not a positive number",
    )
    _require(
        len(channel_ids) == grid.shape[1] and all(isinstance(name, str) for name in channel_ids),
        "channel_ids does not name the channels",
    )
    crcs = attributes["chunk_crc32"]
    _require(
        len(crcs) == 8 * math.prod(grid.counts) and bool(re.fullmatch("[0-9a-f]*", crcs)),
        "chunk_crc32 has not one checksum for each chunk",
    )
    _require(isinstance(attributes["samples_sha256"], str), "samples_sha256 is no checksum")


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


class ZarrStore(Mapping[str, Recording]):
    """A store that n1store wrote, as a mapping from names to `Recording`.

    Attributes
    ----------
    path : Path
    zarr_format : int
    attributes : dict
        What n1store keeps of the store as a whole: its version, the layout, the codec.
    """

    def __init__(self, path: Path):
        self.path = path
        self._files = open_files(path)
        for key, self.zarr_format in (("zarr.json", 3), (".zattrs", 2)):
            try:
                content = json.loads(self._files.read(key))
                attributes = content["attributes"] if self.zarr_format == 3 else content
                self.attributes = attributes["n1store"]
                recordings = self.attributes["recordings"]
                strings = [self.attributes["codec"], *recordings.keys(), *recordings.values()]
                _require(all(isinstance(part, str) for part in strings), "not what n1store writes")
                return
            except (KeyError, ValueError, TypeError, AttributeError):
                continue
        self._files.close()
        raise N1StoreError(f"{path}: is not a store written by n1store, or is damaged")

    def array(self, name: str) -> StoredArray:
        """Return a recording's array as its files show it."""
        return StoredArray(self._files, self.attributes["recordings"][name])

    def total_bytes(self) -> int:
        """Return the bytes of all files of the store."""
        return self._files.total_size()

    def zarr_array(self, name: str) -> Any:
        """Return a recording's samples as zarr itself opens them, a zarr.Array."""
        path = self.attributes["recordings"][name]
        try:
            return self._root[path]
        except N1StoreError:
            raise
        except Exception as error:  # whatever zarr and the codecs make of damaged metadata
            raise N1StoreError(
                f"{self.path}: recording {name} cannot be opened: {one_line(error)}"
            ) from error

    def __getitem__(self, name: str) -> Recording:
        array = self.array(name)
        # Past zarr, whose bookkeeping takes longer than decoding a chunk, where the metadata
        # say that the chunks are as n1store wrote them.
        traces = array.traces(self.attributes["codec"])
        return Recording(
            name=name,
            traces=self.zarr_array(name) if traces is None else traces,
            sampling_frequency=array.attributes["sampling_frequency"],
            channel_ids=tuple(array.attributes["channel_ids"]),
            attributes=array.attributes,
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.attributes["recordings"])

    def __len__(self) -> int:
        return len(self.attributes["recordings"])

    def __repr__(self) -> str:
        return f"<ZarrStore {self.path}: {len(self)} recordings>"

    def close(self) -> None:
        """Close the store's file, where it is one."""
        self._files.close()
        if "_root" in self.__dict__:
            self._root.store.close()

    def __enter__(self) -> ZarrStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def _root(self) -> Any:
        import zarr

        if self.zarr_format == 3 and int(zarr.__version__.split(".")[0]) < 3:
            raise N1StoreError(f"{self.path}: is of Zarr format 3, which needs zarr 3 to be read")
        if self.path.is_dir():
            return zarr.open_group(str(self.path), mode="r")
        return zarr.open_group(zarr.storage.ZipStore(str(self.path), mode="r"), mode="r")


_DIMENSIONS = ["time", "channel"]

# The usual "/" would give each chunk a folder of its own, and twice the entries to a store.
_KEY_ENCODING = {"name": "default", "configuration": {"separator": "."}}


def _zarr2_array(shape, chunks, dtype: np.dtype, filters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": list(chunks),
        "dtype": dtype.str,
        "compressor": None,
        "fill_value": 0 if dtype == DTYPE else None,
        "order": "C",
        "filters": filters or None,
        "dimension_separator": ".",
    }


def _zarr3_array(
    grid: Grid, codecs: list[dict[str, Any]], attributes: dict[str, Any]
) -> dict[str, Any]:
    file_shape = list(grid.chunk_shape)
    if grid.chunks_per_shard:
        sharding = {
            "chunk_shape": file_shape,
            "codecs": codecs,
            "index_codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "crc32c"},
            ],
            "index_location": "end",
        }
        codecs = [{"name": "sharding_indexed", "configuration": sharding}]
        counts = grid.chunks_per_shard, grid.counts[1]
        file_shape = [length * count for length, count in zip(file_shape, counts, strict=True)]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(grid.shape),
        "data_type": "int16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": file_shape}},
        "chunk_key_encoding": _KEY_ENCODING,
        "fill_value": 0,
        "codecs": codecs,
        "attributes": attributes,
        "dimension_names": _DIMENSIONS,
    }


def _to_json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _crc32c() -> Codec:
    from numcodecs.checksum32 import CRC32C

    return CRC32C(location="end")
