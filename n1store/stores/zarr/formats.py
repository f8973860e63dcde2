"""The metadata of Zarr formats 2 and 3, written and read as their specifications have them.

Formats 2 and 3: https://zarr-specs.readthedocs.io. Each class says which small JSON files make
a folder a group or an array of samples, and what the files of chunks are called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numcodecs.abc import Codec

from n1store.codecs.catalogue import find
from n1store.codecs.pipeline import Pipeline, split_compressor
from n1store.stores.grid import DTYPE, Grid

Json = dict[str, Any]

DIMENSIONS = ("time", "channel")

CONSOLIDATED = ".zmetadata"
"""The file of format 2 that holds the metadata of all nodes once more."""


class ZarrFormat(ABC):
    """A version of the Zarr format.

    Attributes
    ----------
    number : int
    root_file : str
        The file of the root group that holds its attributes.
    checksum : str
        The stage that every pipeline ends with, so that any reader notices a changed bit.
    """

    number: int
    root_file: str
    checksum: str

    @abstractmethod
    def group(self, attributes: Json) -> dict[str, Json]:
        """Return the files that make a folder a group."""

    @abstractmethod
    def array(
        self,
        grid: Grid,
        pipeline: Pipeline,
        attributes: Json,
        dimensions: tuple[str, str] = DIMENSIONS,
    ) -> dict[str, Json]:
        """Return the files that make a folder of chunks an array of int16."""

    @abstractmethod
    def attributes(self, group: Json) -> Json:
        """Return a group's attributes from the content of its `root_file`."""

    @abstractmethod
    def parse_array(self, read: Callable[[str], Json]) -> tuple[Grid, Json]:
        """Return the grid and attributes of an array of int16, whose files `read` reads.

        Raises
        ------
        KeyError, ValueError, TypeError, IndexError
            If it is none, or its files are damaged.
        """

    @abstractmethod
    def is_as_written(
        self, read: Callable[[str], Json], grid: Grid, pipeline: Pipeline, attributes: Json
    ) -> bool:
        """Return whether an array's files, which `read` reads, are as n1store writes them.

        Names of dimensions may be others.
        """

    @abstractmethod
    def codecs(self, read: Callable[[str], Json]) -> list[Json]:
        """Return what an array, whose files `read` reads, says of each of its codecs."""

    @abstractmethod
    def dimensions(self, read: Callable[[str], Json]) -> Any:
        """Return what an array, whose files `read` reads, calls its dimensions."""

    @abstractmethod
    def key(self, index: tuple[int, int]) -> str:
        """Return the file of a chunk, or of a shard."""


class Format2(ZarrFormat):
    """Zarr format 2: a chunk is a file."""

    number = 2
    root_file = ".zattrs"
    checksum = "crc32"

    def group(self, attributes: Json) -> dict[str, Json]:
        return {".zgroup": {"zarr_format": 2}, ".zattrs": attributes}

    def array(
        self,
        grid: Grid,
        pipeline: Pipeline,
        attributes: Json,
        dimensions: tuple[str, str] = DIMENSIONS,
    ) -> dict[str, Json]:
        codecs = pipeline.zarr2()
        _, last = split_compressor([codec for _, codec in pipeline.stages])
        compressor = None if last is None else codecs.pop()
        metadata = self._array_metadata(grid.shape, grid.chunk_shape, DTYPE)
        metadata |= {"filters": codecs or None, "compressor": compressor}
        return {".zarray": metadata, ".zattrs": _named(dimensions) | attributes}

    def small_array(self, values: np.ndarray, dimension: str) -> dict[str, Json]:
        """Return the files of an array of one dimension, in one chunk without codecs."""
        metadata = self._array_metadata(values.shape, values.shape, values.dtype)
        return {".zarray": metadata, ".zattrs": _named([dimension])}

    def _array_metadata(
        self, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: np.dtype
    ) -> Json:
        return {
            "zarr_format": 2,
            "shape": list(shape),
            "chunks": list(chunks),
            "dtype": dtype.str,
            "compressor": None,
            "fill_value": None,  # xarray takes it for what is missing, and there are all chunks
            "order": "C",
            "filters": None,
            "dimension_separator": ".",
        }

    def attributes(self, group: Json) -> Json:
        return group

    def parse_array(self, read: Callable[[str], Json]) -> tuple[Grid, Json]:
        metadata, attributes = read(".zarray"), read(".zattrs")
        if metadata["dtype"] != DTYPE.str:
            raise ValueError("its samples are not int16")
        del attributes["_ARRAY_DIMENSIONS"]
        return Grid(tuple(metadata["shape"]), tuple(metadata["chunks"])), attributes

    def is_as_written(
        self, read: Callable[[str], Json], grid: Grid, pipeline: Pipeline, attributes: Json
    ) -> bool:
        # Once, all codecs were filters, and 0 was what is missing.
        expected, metadata = self.array(grid, pipeline, attributes)[".zarray"], read(".zarray")
        once = {key: metadata.get(key) for key in ("filters", "compressor", "fill_value")}
        full = [entry.zarr2_metadata(codec) for entry, codec in pipeline.stages]
        return metadata == expected | once and _codecs_of(metadata) in (pipeline.zarr2(), full)

    def dimensions(self, read: Callable[[str], Json]) -> Any:
        return read(".zattrs").get("_ARRAY_DIMENSIONS")

    def codecs(self, read: Callable[[str], Json]) -> list[Json]:
        return _codecs_of(read(".zarray"))

    def key(self, index: tuple[int, int]) -> str:
        return f"{index[0]}.{index[1]}"


def _codecs_of(metadata: Json) -> list[Json]:
    """Return the codecs of an array of format 2, in the order in which they encode."""
    filters, compressor = metadata.get("filters") or [], metadata.get("compressor")
    filters = filters if isinstance(filters, list) else [filters]
    return [*filters, *([compressor] if compressor else [])]


def _named(dimensions: Sequence[str]) -> Json:
    """Return what names dimensions in format 2, as xarray has it."""
    return {"_ARRAY_DIMENSIONS": list(dimensions)}


class Format3(ZarrFormat):
    """Zarr format 3; a file is a chunk or a shard of chunks."""

    number = 3
    root_file = "zarr.json"
    checksum = "crc32c"

    def group(self, attributes: Json) -> dict[str, Json]:
        group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        return {"zarr.json": group}

    def array(
        self,
        grid: Grid,
        pipeline: Pipeline,
        attributes: Json,
        dimensions: tuple[str, str] = DIMENSIONS,
    ) -> dict[str, Json]:
        file_shape, codecs = list(grid.chunk_shape), pipeline.zarr3()
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
        metadata = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(grid.shape),
            "data_type": "int16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": file_shape}},
            # The usual "/" would give each file a folder of its own.
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": 0,
            "codecs": codecs,
            "attributes": attributes,
            "dimension_names": list(dimensions),
        }
        return {"zarr.json": metadata}

    def attributes(self, group: Json) -> Json:
        attributes: Json = group["attributes"]
        return attributes

    def parse_array(self, read: Callable[[str], Json]) -> tuple[Grid, Json]:
        metadata = read("zarr.json")
        if metadata["data_type"] != "int16":
            raise ValueError("its samples are not int16")
        chunk_shape = metadata["chunk_grid"]["configuration"]["chunk_shape"]
        chunks_per_shard = 0
        if metadata["codecs"][0]["name"] == "sharding_indexed":
            inner_shape = metadata["codecs"][0]["configuration"]["chunk_shape"]
            if min(*inner_shape, *chunk_shape) < 1:
                raise ValueError("chunks have no samples")
            chunks_per_shard = chunk_shape[0] // inner_shape[0]
            chunk_shape = inner_shape
        grid = Grid(tuple(metadata["shape"]), tuple(chunk_shape), chunks_per_shard)
        return grid, metadata["attributes"]

    def is_as_written(
        self, read: Callable[[str], Json], grid: Grid, pipeline: Pipeline, attributes: Json
    ) -> bool:
        metadata = read("zarr.json")
        names = {"dimension_names": metadata.get("dimension_names")}
        return bool(metadata == self.array(grid, pipeline, attributes)["zarr.json"] | names)

    def dimensions(self, read: Callable[[str], Json]) -> Any:
        return read("zarr.json").get("dimension_names")

    def codecs(self, read: Callable[[str], Json]) -> list[Json]:
        codecs: list[Json] = read("zarr.json")["codecs"]
        return codecs

    def key(self, index: tuple[int, int]) -> str:
        return f"c.{index[0]}.{index[1]}"


FORMATS: dict[int, ZarrFormat] = {3: Format3(), 2: Format2()}

NO_CHUNK = 2**64 - 1
"""In the index of a shard, the place and size of a chunk that is not there."""


def crc32c() -> Codec:
    """Return the checksum behind the index of a shard; NotHereError if it is not installed."""
    return find("crc32c").build()
