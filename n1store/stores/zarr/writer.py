"""Writing Zarr stores.

Chunks are stored as they come from the encoder, and the metadata that make them Zarr arrays are
written when there are all: an array whose writing was given up is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import numpy as np

from n1store.codecs.info import how_to_read, zarr_readers_need
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError
from n1store.session.metadata import NwbMetadata
from n1store.session.session import Session
from n1store.stores.base import ArrayWriter, StoreWriter, check_small
from n1store.stores.files import Files, create_files
from n1store.stores.grid import Grid
from n1store.stores.local import LocalDestination
from n1store.stores.zarr.formats import (
    CONSOLIDATED,
    DIMENSIONS,
    FORMATS,
    NO_CHUNK,
    Format2,
    ZarrFormat,
    crc32c,
)
from n1store.version import __version__


class ZarrDestination(LocalDestination):
    """A Zarr store to be written: a folder, or a zip file where the name ends in ``.zip``."""

    group = "recordings"
    chunk_seconds = 1.0

    def __init__(
        self,
        path: Path,
        *,
        layout: str,
        zarr_format: int | None,
        shard_seconds: float | None,
        nwb: NwbMetadata | None,
        overwrite: bool,
    ):
        super().__init__(path, overwrite)
        if nwb is not None and not nwb.is_scale:
            raise N1StoreError(
                f"{path}: what NWB says of a session needs an .nwb file; a Zarr store takes a gain "
                "and an offset"
            )
        self._metadata = nwb
        self.is_folder = path.suffix != ".zip"
        if layout == "spikeinterface":
            if not self.is_folder:
                raise N1StoreError(f"{path}: SpikeInterface reads folders only; leave .zip out")
            if zarr_format == 3:
                raise N1StoreError(
                    "SpikeInterface's layout is of Zarr format 2; leave format 3 out"
                )
            zarr_format = 2
        if zarr_format is None:
            zarr_format = 3 if int(version("zarr").split(".")[0]) >= 3 else 2
        if zarr_format not in FORMATS:
            raise N1StoreError(f"there is no Zarr format {zarr_format}; there are 2 and 3")
        if shard_seconds and zarr_format == 2:
            raise N1StoreError("shards need Zarr format 3")
        self._format = FORMATS[zarr_format]
        self.checksum = self._format.checksum
        self.shard_seconds = 0 if zarr_format == 2 else shard_seconds

    def prepare(self, pipeline: Pipeline) -> Pipeline:
        if self._format.number == 3:
            pipeline.zarr3()  # raises if it cannot be described
        return pipeline

    def _create_at(self, temporary: Path, session: Session | None) -> ZarrWriter:
        files = create_files(temporary, folder=self.is_folder)
        return ZarrWriter(files, self._format, session, self._metadata)


class ZarrWriter(StoreWriter):
    """Writes a store's arrays, one after the other, then its groups.

    Parameters
    ----------
    files : Files
    zarr_format : ZarrFormat
    session : Session, optional
        What NWB says of the recordings, to be kept as an attribute.
    metadata : NwbMetadata, optional
        What the user says of them; it wins over the session.
    """

    def __init__(
        self,
        files: Files,
        zarr_format: ZarrFormat,
        session: Session | None = None,
        metadata: NwbMetadata | None = None,
    ):
        self._files = files
        self._format = zarr_format
        self._session = session
        self._metadata = metadata
        self._nodes: dict[str, Any] = {}
        self._arrays: dict[str, tuple[Grid, Pipeline, dict[str, Any]]] = {}

    def create_array(self, path: str, grid: Grid, pipeline: Pipeline) -> ZarrArrayWriter:
        return ZarrArrayWriter(self._arrays, self._files, self._format, path, grid, pipeline)

    def _write_arrays(self, more: dict[str, dict[str, Any]]) -> None:
        """Write the metadata of the arrays, with more attributes for each.

        For xarray, a dimension has one length in a group. Where arrays differ, each has dimensions
        of its own.
        """
        dimensions = []
        for axis, name in enumerate(DIMENSIONS):
            is_shared = len({grid.shape[axis] for grid, _, _ in self._arrays.values()}) == 1
            dimensions.append(name if is_shared else f"{name}_of_{{}}")
        for path, (grid, pipeline, attributes) in self._arrays.items():
            time, channel = (name.format(path.rpartition("/")[2]) for name in dimensions)
            attributes = attributes | more[path]
            content = self._format.array(grid, pipeline, attributes, (time, channel))
            self._write_node(path, content)

    def _write_of_channels(self, path: str, values: np.ndarray) -> None:
        """Write a value for each channel, in format 2."""
        self._files.write(f"{path}/0", values.tobytes())
        self._write_node(path, Format2().small_array(values, DIMENSIONS[1]))

    def _write_group(self, path: str, attributes: dict[str, Any]) -> None:
        """Write the metadata of a group; the path of the root is empty."""
        self._write_node(path, self._format.group(attributes))

    def _write_node(self, path: str, files: dict[str, dict[str, Any]]) -> None:
        """Write the metadata files of a group or array."""
        for name, content in files.items():
            key = f"{path}/{name}" if path else name
            self._files.write(key, _to_json(key, content))
            self._nodes[key] = content

    def finish(self, layout: str, recordings: dict[str, str], pipeline: Pipeline) -> None:
        """Write what makes the chunks arrays, and the groups.

        In format 2 the metadata of all nodes are written once more, in one file.
        """
        entries = [entry for entry, _ in pipeline.stages]
        readers_need = zarr_readers_need(entries, self._format.number)
        hint = {"how_to_read": how_to_read(readers_need)}
        session = self._session_of(recordings)
        names = {path: name for name, path in recordings.items()}
        scales = {
            path: self._scale_of(session, [names[path]], attributes) if path in names else {}
            for path, (_, _, attributes) in self._arrays.items()
        }
        self._write_arrays({path: scale | hint for path, scale in scales.items()})
        root: dict[str, Any] = hint | {
            "n1store": {
                "version": __version__,
                "layout": layout,
                "codec": pipeline.spec,
                "readers_need": readers_need,
                "recordings": recordings,
            }
        }
        if session is not None:
            root["nwb"] = session.to_json(recordings)
        if layout == "spikeinterface":
            # As SpikeInterface's ZarrRecordingExtractor reads it; it finds a class by these words.
            _, _, first = next(iter(self._arrays.values()))
            root |= {
                "zarr_class_info": {
                    "class": "spikeinterface.core.zarrextractors.ZarrRecordingExtractor",
                    "module": "spikeinterface",
                    "version": "0.105",
                },
                "sampling_frequency": first["sampling_frequency"],
                "num_segments": len(recordings),
                "annotations": {},
                "provenance": None,
            }
            channel_ids = first["channel_ids"]
            self._write_of_channels("channel_ids", np.array(channel_ids))
            self._write_group("properties", {})
            for name, values in self._scale_of(session, recordings, first).items():
                self._write_of_channels(f"properties/{name}", np.array(values))
        else:
            self._write_group("recordings", hint)
        self._write_group("", root)
        if self._format.number == 2:
            metadata = {"zarr_consolidated_format": 1, "metadata": self._nodes}
            with suppress(N1StoreError):  # zarr finds the nodes without it
                self._files.write(CONSOLIDATED, _to_json(CONSOLIDATED, metadata))

    def _session_of(self, recordings: dict[str, str]) -> Session | None:
        """Return what sources and user say of recordings."""
        if self._metadata is None:
            return self._session
        channels = {name: self._arrays[path][2]["channel_ids"] for name, path in recordings.items()}
        session, _ = (self._session or Session()).complete(channels)
        return self._metadata.over(session)

    @staticmethod
    def _scale_of(
        session: Session | None, names: Iterable[str], attributes: dict[str, Any]
    ) -> dict[str, list[float]]:
        """Return gains and offsets as SpikeInterface calls them; nothing where they are unknown."""
        num_channels = len(attributes["channel_ids"])
        scale = session.scale_to_uv(names, num_channels) if session is not None else None
        return dict(zip(("gain_to_uV", "offset_to_uV"), scale or (), strict=False))

    def __exit__(self, *error: Any) -> None:
        self._files.__exit__(*error)


class ZarrArrayWriter(ArrayWriter):
    """Writes the chunks of one array, which come in C order."""

    def __init__(
        self,
        finished: dict[str, tuple[Grid, Pipeline, dict[str, Any]]],
        files: Files,
        zarr_format: ZarrFormat,
        path: str,
        grid: Grid,
        pipeline: Pipeline,
    ):
        self._finished = finished
        self._files = files
        self._format = zarr_format
        self._path = path
        self._grid = grid
        self._pipeline = pipeline
        self._indices = grid.indices()
        self._shard: _ShardWriter | None = None

    def write(self, payload: bytes) -> None:
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
        if next(self._indices, None) is not None:
            raise RuntimeError(f"chunks of {self._path} are missing")
        self._finished[self._path] = self._grid, self._pipeline, attributes

    def discard(self) -> None:
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
        self._index = np.full((grid.chunks_per_shard, grid.counts[1], 2), NO_CHUNK, "<u8")

    def write(self, index: tuple[int, int], payload: bytes) -> None:
        self._file.write(payload)
        self._index[index] = self._position, len(payload)
        self._position += len(payload)

    def close(self) -> None:
        self._file.write(crc32c().encode(self._index.tobytes()))
        self._file.close()


def _to_json(key: str, content: dict[str, Any]) -> bytes:
    """Return the content of a metadata file; N1StoreError if it would not be read again."""
    return check_small(key, json.dumps(content, separators=(",", ":")).encode())
