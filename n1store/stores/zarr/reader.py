"""Reading Zarr stores that n1store wrote.

Chunks are read and decoded here, past zarr, whose bookkeeping takes longer than decoding; arrays
whose metadata are not as n1store writes them are left to zarr.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs.abc import Codec

from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError, one_line
from n1store.recording import Samples
from n1store.session.session import Session
from n1store.stores.base import Store, StoredArray, check, require
from n1store.stores.files import Files, open_files
from n1store.stores.traces import ChunkedTraces
from n1store.stores.zarr.formats import FORMATS, NO_CHUNK, ZarrFormat, crc32c


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
        self._shard_indices: dict[str, npt.NDArray[np.uint64]] = {}
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

        def read_chunk(index: tuple[int, int], out: Samples | None) -> Samples:
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
        if start == NO_CHUNK:
            raise KeyError(f"{key} has no chunk {index}")
        return key, int(start), int(size)

    def _shard_index(self, key: str) -> npt.NDArray[np.uint64]:
        if key not in self._shard_indices:
            shape = self.grid.chunks_per_shard, self.grid.counts[1], 2
            start = self._files.size(key) - math.prod(shape) * 8 - 4
            try:
                content = crc32c().decode(self._files.read(key, max(start, 0)))
                self._shard_indices[key] = np.frombuffer(content, "<u8").reshape(shape)
            except (RuntimeError, ValueError) as error:
                raise N1StoreError(f"{key}: its index is damaged") from error
        return self._shard_indices[key]

    def _read_json(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self._files.read(f"{self.path}/{name}"))
        return content


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
