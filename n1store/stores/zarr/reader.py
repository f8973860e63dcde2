"""Reading Zarr stores that n1store wrote.

Chunks are read and decoded here, past zarr, whose bookkeeping takes longer than decoding; arrays
whose metadata are not as n1store writes them are left to zarr.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs.abc import Codec

from n1store.codecs import allowed
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError, NotHereError, one_line
from n1store.session.merge import SessionPart, merge_sessions
from n1store.session.session import Session
from n1store.stores.base import SCALE, Store, StoredArray, check, parse_json, require
from n1store.stores.chunks import Chunk, N1Chunk, Read, WholeChunk, is_n1
from n1store.stores.files import Files, open_files
from n1store.stores.grid import DTYPE
from n1store.stores.traces import ChunkedTraces
from n1store.stores.zarr.faults import find_faults
from n1store.stores.zarr.formats import FORMATS, NO_CHUNK, ZarrFormat, crc32c

_MOST_BYTES_BESIDE = 1 << 20  # of a chunk, for what codecs put beside the samples


class ZarrArray(StoredArray):
    """An array of a store as its files show it.

    Parameters
    ----------
    store : Path
        Of the store, for messages.
    files : Files
    zarr_format : ZarrFormat
    path : str
        Of the array in the store.
    codec : str
        The pipeline that the store says it has.

    Raises
    ------
    NotHereError
        If the checksum of its shards is not installed.
    N1StoreError
        If its metadata are not those of an array that n1store wrote.
    """

    def __init__(self, store: Path, files: Files, zarr_format: ZarrFormat, path: str, codec: str):
        self._store = store
        self._files = files
        self._codec = codec
        self._format = zarr_format
        self._shard_indices: dict[str, npt.NDArray[np.uint64]] = {}
        self.path = path
        try:
            self.grid, self.attributes = zarr_format.parse_array(self._read_json)
            check(self.grid, self.attributes)
        except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
            raise N1StoreError(
                f"{store}: array {path}: its metadata are missing or damaged: {one_line(error)}"
            ) from error
        if self.grid.chunks_per_shard:
            try:
                self._index_checksum = crc32c()
            except NotHereError as error:
                raise NotHereError(f"{store}: {error}") from error

    def stored_bytes(self) -> Iterator[int]:
        for index in self.grid.indices():
            try:
                yield self._place(index)[2]
            except KeyError:
                yield 0

    def payload(self, index: tuple[int, int]) -> bytes:
        return self._files.read(*self._place_to_read(index))

    @cached_property
    def _pipeline(self) -> Pipeline | None:
        """The codecs, if the array is as n1store writes it."""
        try:
            pipeline = Pipeline.parse(self._codec, read_files=False)
        except NotHereError as error:
            raise NotHereError(f"{self._store}: is of a codec that is not here: {error}") from error
        except N1StoreError as error:
            raise N1StoreError(
                f"{self._store}: what it says of its codec is damaged: {error}"
            ) from error
        written = self._format.is_as_written(self._read_json, self.grid, pipeline, self.attributes)
        return pipeline if written else None

    @property
    def codecs(self) -> list[Codec] | None:
        pipeline = self._pipeline
        return [codec for _, codec in pipeline.stages] if pipeline else None

    def traces(self) -> ChunkedTraces | None:
        pipeline = self._pipeline
        if pipeline is None:
            return None

        shape, codecs = self.grid.chunk_shape, [codec for _, codec in pipeline.stages]

        def open_chunk(index: tuple[int, int]) -> Chunk:
            if not is_n1(codecs):
                return WholeChunk(shape, lambda _: pipeline.decode(self.payload(index), shape))
            return N1Chunk(shape, codecs[0], partial(self._open_payload, index))

        return ChunkedTraces(self.grid, open_chunk)

    @contextmanager
    def _open_payload(self, index: tuple[int, int]) -> Iterator[tuple[int, Read]]:
        """Open a chunk's file; give the payload's size, and what reads bytes of it."""
        key, begin, size = self._place_to_read(index)
        with self._files.opened(key) as read_file:

            def read(first: int, count: int) -> bytes:
                content = read_file(begin + first, count)
                if len(content) < count:
                    raise N1StoreError("the file ends before the chunk does")
                return content

            yield size, read

    def _place_to_read(self, index: tuple[int, int]) -> tuple[str, int, int]:
        """Return `_place`, of a chunk whose size can be that of samples."""
        key, begin, size = self._place(index)
        # No codec makes that much more of samples; a file can, that was never written.
        if size > _MOST_BYTES_BESIDE + 4 * DTYPE.itemsize * math.prod(self.grid.chunk_shape):
            raise N1StoreError(f"holds {size} bytes, far more than its samples")
        return key, begin, size

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
                content = self._index_checksum.decode(self._files.read(key, max(start, 0)))
                self._shard_indices[key] = np.frombuffer(content, "<u8").reshape(shape)
            except (RuntimeError, ValueError) as error:
                raise N1StoreError(f"{self._store}: {key}: its index is damaged") from error
        return self._shard_indices[key]

    def _read_json(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = parse_json(self._files.read_small(f"{self.path}/{name}"))
        return content


class ZarrStore(Store):
    """A Zarr store that n1store wrote."""

    library = "zarr"

    def __init__(self, path: Path, *, follow_links: bool = False):
        self.path = path
        self.follow_links = follow_links
        self.no_recordings = []
        self._files = open_files(path, follow_links=follow_links)
        try:
            self._format, root = self._find_root()
            self._version = self._files.version(self._format.root_file)
            self._root_attributes = root
            self._nwb = root.get("nwb")
            self.attributes = root["n1store"]
            if not isinstance(self.attributes, dict):
                raise N1StoreError(f"{path}: {_OF_OTHERS}")
            recordings = self.attributes["recordings"]
            strings = [self.attributes["codec"], *recordings.keys(), *recordings.values()]
            strings += self.attributes.get("readers_need", [])
            require(all(isinstance(part, str) for part in strings), "it names what are no texts")
            outside = [place for place in recordings.values() if not _is_inside(place)]
            require(not outside, f"it names an array outside itself, {outside[:1]}")
        except N1StoreError:
            self._files.close()
            raise
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            self._files.close()
            raise N1StoreError(f"{path}: is damaged: {one_line(error)}") from error

    @cached_property
    def left_out(self) -> list[str]:  # type: ignore[override]  # it is looked for when asked for
        """Recordings that are there, and that the store does not name any more."""
        named = set(self.attributes["recordings"].values())
        groups = {path.rpartition("/")[0] for path in named} | {"", "recordings"}
        there = {path for group in sorted(groups) for path in self._files.folders(group)}
        return [
            f"{path}: n1store wrote it, but the store does not name it"
            for path in sorted(there - named)
            if self._is_of_recording(path)
        ]

    def _is_of_recording(self, path: str) -> bool:
        try:
            content = parse_json(self._files.read_small(f"{path}/{self._format.root_file}"))
            return "chunk_crc32" in self._format.attributes(content)
        except (LookupError, ValueError, TypeError, N1StoreError):
            return False

    def faults(self) -> Iterator[str]:
        recordings: Mapping[str, str] = self.attributes["recordings"]
        yield from self.left_out
        yield from self._files.faults()
        try:
            session, _ = self.session()
            if session is not None:
                merge_sessions({name: [each] for name, each in self._session_parts(session)})
        except N1StoreError as error:
            why = str(error).removeprefix(f"{self.path}: ")
            yield f"{self._format.root_file}: nwb: {why}"
        of_channels = {}
        if recordings and self.attributes.get("layout") == "spikeinterface":
            with suppress(N1StoreError):  # of the recording, with which it is reported
                known = self.array(next(iter(recordings))).attributes
                yield from self._faults_of_root(known["sampling_frequency"], len(recordings))
                of_channels = {
                    path: np.array(known[path.rpartition("/")[2]])
                    for path in ("channel_ids", *(f"properties/{name}" for name in sorted(SCALE)))
                    if path.rpartition("/")[2] in known
                }
        yield from find_faults(self._files, self._format, recordings.values(), of_channels)

    def _session_parts(self, session: Session) -> Iterator[tuple[str, SessionPart]]:
        """Yield what is said of each recording, to see whether it could go into another store."""
        for name in self:
            with suppress(N1StoreError):  # which is reported with it
                channel_ids = self.array(name).attributes["channel_ids"]
                yield name, SessionPart(str(self.path), session, name, channel_ids)

    def _faults_of_root(self, sampling_frequency: float, num_segments: int) -> Iterator[str]:
        """Yield a line for each thing that SpikeInterface reads there, and that is another."""
        said = self._root_attributes
        info = said.get("zarr_class_info")
        name = info.get("class") if isinstance(info, dict) else None
        for key, is_right in (
            ("sampling_frequency", said.get("sampling_frequency") == sampling_frequency),
            ("num_segments", said.get("num_segments") == num_segments),
            ("zarr_class_info", isinstance(name, str)),
        ):
            if not is_right:
                yield f"{self._format.root_file}: its {key} is not that of the recordings"

    def _find_root(self) -> tuple[ZarrFormat, dict[str, Any]]:
        """Return the format of the store that n1store wrote, and what its first group says."""
        damage = ""
        for zarr_format in FORMATS.values():
            try:
                root = zarr_format.attributes(
                    parse_json(self._files.read_small(zarr_format.root_file))
                )
                if "n1store" in root:
                    return zarr_format, root
            except KeyError:
                continue
            except (ValueError, TypeError, AttributeError) as error:
                damage = f"is damaged: {zarr_format.root_file}: {one_line(error)}"
        if damage:
            raise N1StoreError(f"{self.path}: {damage}")
        for name in ("zarr.json", ".zgroup", ".zarray"):
            with suppress(KeyError):
                self._files.size(name)
                raise N1StoreError(f"{self.path}: {_OF_OTHERS}")
        raise N1StoreError(f"{self.path}: is no Zarr store: it has no zarr.json, nor .zgroup")

    def array(self, name: str) -> ZarrArray:
        path = self.attributes["recordings"][name]
        return ZarrArray(self.path, self._files, self._format, path, self.attributes["codec"])

    def session(self) -> tuple[Session | None, list[str]]:
        return None if self._nwb is None else Session.from_json(self.path, self._nwb), []

    def total_bytes(self) -> int:
        return self._files.total_size()

    def check_unchanged(self) -> None:
        try:
            unchanged = self._files.version(self._format.root_file) == self._version
        except OSError:
            unchanged = False
        if not unchanged:
            raise N1StoreError(f"{self.path}: was changed or replaced while it was read")

    def close(self) -> None:
        self._files.close()
        if "_root" in self.__dict__:
            self._root.store.close()

    def _open_array(self, path: str) -> Any:
        self._files.check_below(path)
        for group in accumulate(["", *path.split("/")[:-1]], lambda above, name: f"{above}{name}/"):
            for name in _OF_GROUPS:  # which zarr looks for
                with suppress(KeyError):
                    self._files.size(f"{group}{name}")
        for codec in self._format.codecs(lambda name: self._read_json(f"{path}/{name}")):
            try:
                allowed.check(codec)
            except N1StoreError as error:
                raise N1StoreError(f"{self.path}: array {path}: {error}") from None
        return self._root[path]

    def _read_json(self, key: str) -> Any:
        return parse_json(self._files.read_small(key))

    @cached_property
    def _root(self) -> Any:
        import zarr

        is_zarr2 = int(zarr.__version__.split(".")[0]) == 2
        if is_zarr2 and self._format.number > 2:
            raise NotHereError(
                f"{self.path}: zarr {zarr.__version__} cannot read Zarr format 3: "
                "pip install 'zarr>=3'"
            )
        # zarr from 3.2 on takes a string for an address, in which some characters mean more.
        folder = str(self.path) if is_zarr2 else self.path
        is_zip = not self.path.is_dir()
        store = zarr.storage.ZipStore(str(self.path), mode="r") if is_zip else folder
        # From the files that were looked at here, and no others.
        own = {"zarr_format": self._format.number, "use_consolidated": False}
        open_group: Any = zarr.open_group
        return open_group(store, mode="r", **({} if is_zarr2 else own))


_OF_GROUPS = ("zarr.json", ".zgroup", ".zattrs", ".zmetadata")

_OF_OTHERS = "is a Zarr store that n1store did not write; zarr reads it"


def _is_inside(path: str) -> bool:
    """Return whether a path leads nowhere but downwards, for zarr and for all systems."""
    return "\\" not in path and not {"", ".", ".."} & set(path.split("/"))
