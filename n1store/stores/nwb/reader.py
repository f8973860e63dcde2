"""Reading NWB files: each ElectricalSeries of int16, found by its type, whoever wrote it."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numcodecs.abc import Codec

from n1store.errors import N1StoreError, NotHereError, about, one_line
from n1store.recording import Samples
from n1store.session.fields import to_microvolts
from n1store.session.session import Session
from n1store.stores.base import Store, StoredArray, check, is_of_channels, parse_json, require
from n1store.stores.chunks import Chunk, Columns
from n1store.stores.grid import DTYPE, Grid
from n1store.stores.nwb.chunks import (
    HDF5Chunks,
    filters_of,
    is_hardly_written,
    pipeline_of,
    what_hdf5_lacks,
)
from n1store.stores.nwb.objects import Item, Objects, why_not_opened
from n1store.stores.nwb.read_session import read_session
from n1store.stores.nwb.summary import SUMMARY_PATH, origin_of
from n1store.stores.nwb.types import EVENTS, SERIES, Types, type_of
from n1store.stores.nwb.unknown import NO_GAIN
from n1store.stores.nwb.values import read_values
from n1store.stores.traces import ChunkedTraces
from n1store.system.unchanged import version_of


class NwbStore(Store):
    """An NWB file, whether n1store wrote it or not: its series of int16.

    Attributes
    ----------
    left_out : list of str
        A line for each ElectricalSeries that is not one of int16 samples of channels, and for each
        link in ``acquisition`` that leads nowhere, or is not followed.
    """

    library = "h5py"

    def __init__(self, path: Path, *, follow_links: bool = False):
        self.path = path
        self.follow_links = follow_links
        self.left_out: list[str] = []
        self.no_recordings: list[str] = []
        self._objects = Objects(follow_links)
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise N1StoreError(f"{path}: {error.strerror}") from error
        weakref.finalize(self, self._file.close)  # traces that were unpickled keep a store open
        self._version = version_of(os.fstat(self._file.fileno()))
        try:
            # Without HDF5's cache of decoded chunks, so that both ways of reading decode alike.
            self._hdf5 = h5py.File(path, "r", rdcc_nbytes=0)
        except BlockingIOError:
            self._file.close()
            raise N1StoreError(f"{path}: another process has it open for writing") from None
        except OSError as error:
            self._file.close()
            raise N1StoreError(f"{path}: {why_not_opened(error)}") from error
        try:
            if "nwb_version" not in self._hdf5.attrs:
                raise N1StoreError(f"{path}: is an HDF5 file, but not an NWB file")
            with about(path):
                self._kept = self._read_summary()
                self.attributes |= {"recordings": self._find_series()}
        except N1StoreError:
            self.close()
            raise
        except Exception as error:  # whatever HDF5 makes of a damaged file
            self.close()
            raise N1StoreError(f"{path}: is damaged: {one_line(error)}") from error

    def array(self, name: str) -> SeriesArray:
        path = self.attributes["recordings"][name]
        try:
            series = self._objects.require(self._hdf5, path)
            kept = self._kept.get(path)
            return SeriesArray(path, series, kept, self._hdf5, self._file, self._objects)
        except NotHereError:
            raise
        except N1StoreError as error:
            raise N1StoreError(f"{self.path}: {error}") from error
        except Exception as error:
            raise N1StoreError(
                f"{self.path}: series {path}: its metadata are missing or damaged: "
                f"{one_line(error)}"
            ) from error

    def session(self) -> tuple[Session, list[str]]:
        try:
            origins = {path: origin_of(kept) for path, kept in self._kept.items()}
            return read_session(
                self._hdf5, self._objects, self.attributes["recordings"], origins, SUMMARY_PATH
            )
        except N1StoreError as error:
            raise N1StoreError(f"{self.path}: {error}") from error
        except Exception as error:  # whatever HDF5 makes of a damaged file
            raise N1StoreError(
                f"{self.path}: its metadata are missing or damaged: {one_line(error)}"
            ) from error

    def total_bytes(self) -> int:
        return self.path.stat().st_size

    def faults(self) -> Iterator[str]:
        yield from ()  # what a series lacks is said of the recording

    def check_unchanged(self) -> None:
        if version_of(os.stat(self.path)) != self._version:
            raise N1StoreError(f"{self.path}: was changed or replaced while it was read")

    def close(self) -> None:
        self._hdf5.close()
        self._file.close()

    def _open_array(self, path: str) -> Any:
        _load_filters()
        dataset = self._objects.require(self._hdf5, f"{path}/data")
        usual = dataset.ndim == 2 and dataset.chunks and dataset.dtype == DTYPE
        return dataset if usual else _Samples(dataset)

    def _read_summary(self) -> dict[str, dict[str, Any]]:
        """Return what n1store kept of its recordings, by path; nothing in files of others."""
        self.attributes = {}
        dataset = self._objects.find(self._hdf5, SUMMARY_PATH)
        if dataset is None:
            return {}
        summary = parse_json(read_values(dataset).tobytes())
        recordings = summary.pop("recordings")
        self.attributes = {key: summary[key] for key in ("version", "layout", "codec")}
        texts = [*self.attributes.values(), *summary.get("readers_need", [])]
        require(all(isinstance(text, str) for text in texts), "not n1store's")
        if "readers_need" in summary:
            self.attributes["readers_need"] = summary["readers_need"]
        return {kept.pop("path"): {"name": name, **kept} for name, kept in recordings.items()}

    def _find_series(self) -> dict[str, str]:
        """Return the paths of all series of int16 by name, those that n1store wrote first."""
        found: list[str] = []
        types = Types(self._hdf5, self._objects)

        def look(path: str, item: Item) -> None:
            kind = type_of(item)
            if path in self._kept or not isinstance(item, h5py.Group) or not kind:
                return
            if not types.extends(kind, SERIES):
                if "data" in item and "electrodes" in item:
                    self.left_out.append(
                        f"{path}: is a {kind}, of which the file does not say more"
                    )
                return
            if types.extends(kind, EVENTS):
                self.no_recordings.append(f"{path}: is a {kind}, of events, and no recording")
                return
            try:
                data = self._objects.find(item, "data")
            except N1StoreError as error:
                self.left_out.append(str(error))
                return
            if not isinstance(data, h5py.Dataset) or data.ndim not in (1, 2) or not data.size:
                self.left_out.append(f"{path}: has no samples of channels")
            elif data.dtype.newbyteorder("=") != DTYPE:
                self.left_out.append(f"{path}: its samples are {data.dtype}, not int16")
            elif is_hardly_written(data):
                self.left_out.append(f"{path}: nearly all of its samples were never written")
            else:
                try:
                    _describe(item, (*data.shape, 1)[1], self._objects)
                    found.append(path)
                except Exception as error:  # whatever is missing, or wrong with it
                    self.left_out.append(f"{path}: is not described in full: {one_line(error)}")

        self._objects.visit(self._hdf5, look)
        self.left_out += self._objects.unreachable(self._hdf5, "acquisition")
        if found:
            data = self._objects.require(self._hdf5, f"{found[0]}/data")
            filters = [each.name for each in filters_of(data)]
            self.attributes.setdefault("codec", "+".join(filters) or "none")
        self.attributes.setdefault("codec", "none")
        recordings = {kept["name"]: path for path, kept in self._kept.items()}
        for path in found:
            name = path.rpartition("/")[2]
            unique = sum(other.rpartition("/")[2] == name for other in found) == 1
            recordings[name if unique and name not in recordings else path] = path
        return recordings


class SeriesArray(StoredArray):
    """An ElectricalSeries as it is stored.

    Parameters
    ----------
    path : str
        Of the series in the file.
    series : h5py.Group
    kept : dict, optional
        What n1store kept of the recording when it wrote it.
    hdf5 : h5py.File
    file : binary file
        The same file, to read chunks from.
    objects : Objects
        What finds its datasets.
    """

    def __init__(
        self,
        path: str,
        series: h5py.Group,
        kept: dict[str, Any] | None,
        hdf5: h5py.File,
        file: BinaryIO,
        objects: Objects,
    ):
        self.path = path
        self._series = series
        self._objects = objects
        self._dataset = objects.require(series, "data")
        self.is_chunked = self._dataset.chunks is not None
        # What is linked to may be in another file.
        here = self._dataset.chunks and self._dataset.file == hdf5
        codecs = pipeline_of(self._dataset) if here else None
        self._chunks = None if codecs is None else HDF5Chunks(self._dataset, codecs, file)
        self.grid = self._chunks.grid if self._chunks else _grid_of(self._dataset)
        if kept is None:
            self.attributes = _describe(series, self.grid.shape[1], objects)
        else:
            self.attributes = kept
            check(self.grid, self.attributes)

    @property
    def codecs(self) -> list[Codec] | None:
        # Those of big-endian samples give other bytes than elsewhere.
        return self._chunks.codecs if self._chunks and self._dataset.dtype == DTYPE else None

    def scale_to_uv(self) -> tuple[list[float], list[float]] | None:
        try:
            scale = self._read_scale()
        except Exception:  # such as damage, which is to keep nobody from the samples
            return None
        num_channels = self.grid.shape[1]
        return scale if all(is_of_channels(values, num_channels) for values in scale) else None

    def _read_scale(self) -> tuple[list[float], list[float]]:
        attributes, num_channels = self._dataset.attrs, self.grid.shape[1]
        gain, offset = (
            float(attributes.get(name, default))
            for name, default in (("conversion", 1.0), ("offset", 0.0))
        )
        if str(self._series.attrs.get("comments", "")).endswith(NO_GAIN):
            return [], []
        factors = self._objects.find(self._series, "channel_conversion")
        gains = [to_microvolts(gain)] * num_channels
        if factors is not None:
            require(factors.shape == (num_channels,), "it has not one gain for each channel")
            gains = list(map(to_microvolts, gain * read_values(factors)))
        return gains, [to_microvolts(offset)] * num_channels

    def payload(self, index: tuple[int, int]) -> bytes | None:
        if self._chunks is None or self._chunks.chunks[index].filter_mask:
            return None
        return self._chunks.payload(index)

    def stored_bytes(self) -> Iterator[int]:
        if self._chunks:
            yield from self._chunks.stored_bytes()
        elif self._dataset.chunks:
            for index in self.grid.indices():
                yield self._dataset.id.get_chunk_info_by_coord(self._offset(index)).size or 0
        else:
            yield from (self.grid.raw_bytes(index) for index in self.grid.indices())

    def traces(self) -> ChunkedTraces:
        if self._chunks is None:
            _load_filters()
            if lacks := what_hdf5_lacks(self._dataset):
                raise NotHereError(f"{self._dataset.file.filename}: {self.path}: {lacks}")
        return ChunkedTraces(self.grid, self._open_chunk)

    def _open_chunk(self, index: tuple[int, int]) -> Chunk:
        if self._chunks is None:
            return _PartOfDataset(self._dataset, self.grid, index)
        if index not in self._chunks.chunks and "chunk_crc32" in self.attributes:
            raise N1StoreError("is missing")
        return self._chunks.open_chunk(index)

    def _offset(self, index: tuple[int, int]) -> tuple[int, ...]:
        offset = tuple(
            position * length for position, length in zip(index, self.grid.chunk_shape, strict=True)
        )
        return offset[: self._dataset.ndim]


class _PartOfDataset(Chunk):
    """A chunk of a dataset that only HDF5 can read, or a part of one that has no chunks."""

    def __init__(self, dataset: h5py.Dataset, grid: Grid, index: tuple[int, int]):
        self._dataset = dataset
        self._rows, self._columns = grid.region(index)

    def num_bytes(self, columns: Columns) -> int:
        num_samples: int = self._rows.stop - self._rows.start
        return DTYPE.itemsize * num_samples * len(columns)

    def fetch(self, rows: range, columns: Columns) -> range:
        # HDF5 decodes a chunk as a whole.
        return range(self._rows.stop - self._rows.start) if self._dataset.chunks else rows

    def pieces(self, rows: range, columns: Columns, count: int) -> list[tuple[range, slice]]:
        return [(rows, slice(None))]

    def decode(self, rows: range, columns: Columns, out: Samples) -> None:
        first, left = self._rows.start, self._columns.start
        samples = slice(first + rows.start, first + rows.stop)
        if self._dataset.ndim == 1:
            out[:] = self._dataset[samples][:, np.newaxis]
            return
        part = self._dataset[samples, left + int(columns[0]) : left + int(columns[-1]) + 1]
        out[:] = part if isinstance(columns, range) else part[:, columns - columns[0]]


def _load_filters() -> None:
    """Make HDF5 find hdf5plugin's filters, and n1store's if it does not yet."""
    with suppress(ImportError):
        import hdf5plugin  # noqa: F401

        import n1store.codecs.hdf5  # noqa: F401


_CONTIGUOUS_CHUNK_BYTES = 1 << 20


def _grid_of(dataset: h5py.Dataset) -> Grid:
    """Return a dataset's chunks, or as what to read one without any."""
    shape = (*dataset.shape, 1)[:2]
    if dataset.chunks:
        return Grid(shape, (*dataset.chunks, 1)[:2])
    return Grid(shape, (max(1, _CONTIGUOUS_CHUNK_BYTES // (2 * shape[1])), shape[1]))


_MOST_ELECTRODES = 1_000_000
"""Of a file; none has so many, but what was never written can claim them."""


def _describe(series: h5py.Group, num_channels: int, objects: Objects) -> dict[str, Any]:
    """Return what a series that n1store did not write says of itself."""
    require(num_channels <= _MOST_ELECTRODES, f"it has more than {_MOST_ELECTRODES} channels")
    start = objects.find(series, "starting_time")
    if start is not None:
        rate = float(start.attrs["rate"])
    else:
        rate = _rate_of(objects.require(series, "timestamps"))
    require(0 < rate < math.inf, "its sampling rate is no positive number")
    region = objects.require(series, "electrodes")
    require(region.shape == (num_channels,), "it has not one electrode for each channel")
    table, rows = series.file[region.attrs["table"]], read_values(region)
    numbers = objects.require(table, "id")
    require(
        len(numbers) <= _MOST_ELECTRODES, f"its table has more than {_MOST_ELECTRODES} electrodes"
    )
    require(bool(np.all((rows >= 0) & (rows < len(numbers)))), "its electrodes are not there")
    ids = [str(number) for number in read_values(numbers)[rows]]
    channel_names = objects.find(table, "channel_name")
    if channel_names is not None and channel_names.shape == numbers.shape:
        names = list(map(str, read_values(channel_names)[rows].tolist()))
        ids = names if len(set(names)) == len(names) else ids
    return {"sampling_frequency": rate, "channel_ids": ids}


def _rate_of(timestamps: h5py.Dataset) -> float:
    """Return the rate in Hz that timestamps have; ValueError if they are not regular."""
    require(len(timestamps) > 1, "its sampling rate is unknown")
    require(not is_hardly_written(timestamps), "its timestamps were never written")
    first, last, block = float(timestamps[0]), float(timestamps[-1]), 1 << 20
    require(first < last, "its timestamps do not go on")
    step = (last - first) / (len(timestamps) - 1)
    for start in range(0, len(timestamps), block):
        there = timestamps[start : start + block]
        expected = first + step * np.arange(start, start + len(there))
        require(
            bool(np.all(np.abs(there - expected) <= step / 2)),
            "its timestamps are not those of one rate, without gaps",
        )
    return 1 / step


class _Samples:
    """A dataset of another shape, byte order or storage as samples of channels in chunks."""

    def __init__(self, dataset: h5py.Dataset):
        grid = _grid_of(dataset)
        self._dataset = dataset
        self.shape, self.chunks = grid.shape, grid.chunk_shape

    def __getitem__(self, key: tuple[slice, slice]) -> Samples:
        samples, channels = key
        if self._dataset.ndim == 1:
            column: Samples = self._dataset[samples].astype(DTYPE)
            return column[:, np.newaxis][:, channels]
        window: Samples = self._dataset[samples, channels].astype(DTYPE)
        return window
