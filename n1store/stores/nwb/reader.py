"""Recordings in NWB files: an ElectricalSeries each, shape (num_samples, num_channels).

Encoded chunks are written into a new HDF5 file first; when all are there, pynwb writes NWB's
structure around them. What the WAV files are restored from is a string in NWB's scratch space.
Reading needs neither: any NWB file's series are found by their types.
"""

from __future__ import annotations

import json
import math
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import h5py
import numpy as np
from numcodecs.abc import Codec

import n1store
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError, one_line
from n1store.stores.grid import DTYPE, Grid
from n1store.stores.nwb.chunks import HDF5Chunks, filters_of, pipeline_of
from n1store.session.session import Session
from n1store.stores.base import Store, StoredArray, check, require
from n1store.stores.traces import ChunkedTraces
from n1store.system.parallel import Workers

if TYPE_CHECKING:
    from n1store.stores.nwb.metadata import NwbMetadata

_UNFINISHED = "n1store_unfinished"  # a group for what has no place in NWB yet
_BLANKS = "data"  # and one for recordings without samples; a longer name would leave gaps
_SUMMARY = "n1store"  # in scratch

# Of 2016; what HDF5 keeps of its objects takes half the bytes since.
_LIBVER = ("v110", "v110")

# What NWB's structure takes is not known before: more than enough of it.
_BYTES_OF_OBJECT = 4096  # a series or an electrode
_BYTES_OF_STRUCTURE = 1024 * 1024


@dataclass(frozen=True)
class NwbTarget:
    """An NWB file to be written; what goes wrong is said of `destination`."""

    destination: Path
    metadata: NwbMetadata
    group = "acquisition"
    chunk_seconds = None  # NWB's habit: 10 MB
    checksum = "fletcher32"
    is_folder = False

    def prepare(self, pipeline: Pipeline) -> Pipeline:
        """Return the pipeline that gives the bytes to store; N1StoreError if there is none."""
        pipeline.hdf5((1, 1))  # raises if it cannot be described
        return pipeline.for_hdf5()

    def create(self, path: Path, session: Session | None) -> NwbWriter:
        """Begin to write the file; N1StoreError if the metadata do not go with the session."""
        self.metadata.over(session or Session())
        return NwbWriter(path, self, session)


class NwbWriter:
    """Writes recordings one after the other, then what makes the file NWB."""

    def __init__(self, path: Path, target: NwbTarget, session: Session | None):
        # The lock is on the file already; see system/atomic.py.
        try:
            self._file = h5py.File(path, "w", libver=_LIBVER, locking=False)
        except OSError as error:
            raise _failed(target.destination, error) from error
        self._target = target
        self._session = session
        self._unfinished = self._file.create_group(_UNFINISHED)
        # What pynwb writes comes about in memory, under a name that is only shown. What is copied
        # from there has no gaps for what might be added, and so is shorter.
        self._structure = h5py.File(
            f"{path}.structure", "w", libver=_LIBVER, driver="core", backing_store=False
        )
        self._blanks = self._structure.create_group(_BLANKS)
        self._finished: dict[str, tuple[str, Grid, dict[str, Any]]] = {}
        # It takes a second, in which chunks are encoded.
        self._beside = Workers(1)
        self._manager = self._beside.submit(_load_pynwb)

    def create_array(self, path: str, grid: Grid, pipeline: Pipeline) -> SeriesWriter:
        """Begin a recording."""
        return SeriesWriter(self._unfinished, self._blanks, path, grid, pipeline, self._finished)

    def finish(self, layout: str, recordings: dict[str, str], codec: str) -> None:
        """Write NWB's structure, given the paths of recordings by their names."""
        manager = self._manager.result()
        # All but a little is on the disk then.
        synced = self._beside.submit(os.fsync, self._file.id.get_vfd_handle())
        summary = {
            "version": n1store.__version__,
            "layout": layout,
            "codec": codec,
            "recordings": {
                name: {"path": path, **self._finished[path][2]} for name, path in recordings.items()
            },
        }
        content = np.frombuffer(json.dumps(summary, separators=(",", ":")).encode(), "u1")

        import pynwb

        nwbfile = self._nwbfile(recordings.values(), content)
        # Closing the NWBHDF5IO would close the file; its manager keeps it from reading the file.
        # As all types are NWB's own, its definition, which any reader has, need not be in it.
        io = pynwb.NWBHDF5IO(file=self._structure, mode="a", manager=manager)
        io.write(nwbfile, cache_spec=False, expandable=())
        objects = len(recordings) + len(nwbfile.electrodes)
        with self._room(len(content) + _BYTES_OF_OBJECT * objects + _BYTES_OF_STRUCTURE):
            self._copy_structure()
            for path in recordings.values():
                self._put_in_place(path, nwbfile.acquisition[path.rpartition("/")[2]])
            del self._file[_UNFINISHED]
        synced.result()

    def _nwbfile(self, paths: Iterable[str], summary: np.ndarray) -> Any:
        """Return what is to be written, with links in the place of samples."""
        from hdmf.backends.hdf5 import H5DataIO
        from pynwb.core import ScratchData

        from n1store.stores.nwb.metadata import Series, make_nwbfile

        series, hashes = [], []
        for path in paths:
            number, grid, attributes = self._finished[path]
            one = Series(
                name=path.rpartition("/")[2],
                shape=grid.shape,
                sampling_frequency=attributes["sampling_frequency"],
                channel_ids=tuple(attributes["channel_ids"]),
                description=_origin(attributes),
                data=H5DataIO(self._blanks[number], link_data=True),
            )
            series.append(one)
            sources = attributes["sources"]
            hashes += [source["sha256"] for source in sources] or [attributes["samples_sha256"]]
        # The same files give the same identifier, and others another.
        identifier = str(uuid.uuid5(uuid.NAMESPACE_OID, " ".join(hashes)))
        nwbfile = make_nwbfile(series, self._target.metadata, identifier, self._session)
        nwbfile.add_scratch(
            ScratchData(
                name=_SUMMARY,
                data=H5DataIO(summary, compression="gzip", compression_opts=9),
                description="JSON (UTF-8): what n1store restores and verifies WAV files with",
            )
        )
        return nwbfile

    @contextmanager
    def _room(self, num_bytes: int) -> Iterator[None]:
        """Write what is kept back, with room on the disk: without, HDF5 may crash at the end."""
        descriptor = self._file.id.get_vfd_handle()
        os.posix_fallocate(descriptor, self._file.id.get_filesize(), num_bytes)
        yield
        self._file.flush()
        os.ftruncate(descriptor, self._file.id.get_filesize())

    def _copy_structure(self) -> None:
        place = f"{_UNFINISHED}/structure"
        del self._structure[_BLANKS]
        self._file.copy(self._structure["/"], self._file, place, expand_refs=True)
        for name in set(self._file) - {_UNFINISHED}:
            del self._file[name]  # other links to what references lead to
        for name in self._structure:
            self._file.move(f"{place}/{name}", name)
        self._file.attrs.update(self._structure.attrs)

    def _put_in_place(self, path: str, series: Any) -> None:
        """Bring samples to where pynwb made a link, with the attributes they then have."""
        place = f"{path}/data"
        del self._file[place]
        self._file.move(f"{_UNFINISHED}/{self._finished[path][0]}", place)
        dataset = self._file[place]
        for name, default in (("conversion", 1.0), ("offset", 0.0), ("resolution", -1.0)):
            if getattr(series, name) != default:
                dataset.attrs[name] = getattr(series, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._structure.close()
        try:
            self._file.close()
        except (OSError, RuntimeError) as closing:  # again, if writing failed before
            if error is None:
                raise _failed(self._target.destination, closing) from closing
        if isinstance(error, OSError) and error.filename is None:
            raise _failed(self._target.destination, error) from error


def _load_pynwb() -> Any:
    import pynwb

    return pynwb.get_manager()


def _failed(path: Path, error: Exception) -> N1StoreError:
    """Return what HDF5 says in many words of a full disk and the like in those of the system."""
    why = re.search("error message = '(.*?)'", str(error))
    words = why[1] if why else getattr(error, "strerror", None) or one_line(error)
    return N1StoreError(f"{path}: {words}")


def _origin(attributes: dict[str, Any]) -> str:
    if "lossy" in attributes:
        return f"lossy, by {attributes['lossy']}: samples are not as recorded"
    files = [source["file"] for source in attributes["sources"]]
    if len(files) > 3:
        files = [files[0], f"{len(files) - 2} others", files[-1]]
    return f"from {', '.join(files)}" if files else ""


class SeriesWriter:
    """Writes the chunks of one recording, which come in C order."""

    def __init__(
        self,
        group: h5py.Group,
        blanks: h5py.Group,
        path: str,
        grid: Grid,
        pipeline: Pipeline,
        finished: dict[str, tuple[str, Grid, dict[str, Any]]],
    ):
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk(grid.chunk_shape)
        properties.set_obj_track_times(False)
        for number, values in pipeline.hdf5(grid.chunk_shape):
            # As h5py does it: what cannot be encoded by others is stored as it is.
            properties.set_filter(number, h5py.h5z.FLAG_OPTIONAL, values)
        # A chunk may be longer than what there is only if there may be more.
        most = tuple(map(max, grid.shape, grid.chunk_shape))
        space = h5py.h5s.create_simple(grid.shape, most)
        name = f"{len(blanks)}"
        blank = h5py.h5d.create(blanks.id, name.encode(), h5py.h5t.STD_I16LE, space, properties)
        h5py.Dataset(blank).attrs["unit"] = "volts"
        blanks.copy(name, group)
        self._dataset = group[name].id
        self._group = group
        self._name = name
        self._path = path
        self._grid = grid
        self._indices = grid.indices()
        self._finished = finished

    def write(self, payload: bytes) -> None:
        """Store the next chunk, encoded."""
        offset = [
            position * length
            for position, length in zip(next(self._indices), self._grid.chunk_shape, strict=True)
        ]
        self._dataset.write_direct_chunk(offset, payload)

    def finish(self, attributes: dict[str, Any]) -> None:
        """Declare the recording complete."""
        if next(self._indices, None) is not None:
            raise RuntimeError(f"chunks of {self._path} are missing")
        self._finished[self._path] = self._name, self._grid, attributes

    def discard(self) -> None:
        """Give the recording up."""
        del self._group[self._name]


class NwbStore(Store):
    """An NWB file, whether n1store wrote it or not: its series of int16.

    Attributes
    ----------
    left_out : list of str
        A line for each ElectricalSeries that is not one of int16 samples of channels.
    """

    library = "h5py"

    def __init__(self, path: Path):
        self.path = path
        self.left_out: list[str] = []
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise N1StoreError(f"{path}: {error.strerror}") from error
        try:
            # Without HDF5's cache of decoded chunks, so that both ways of reading decode alike.
            self._hdf5 = h5py.File(path, "r", rdcc_nbytes=0)
        except BlockingIOError:
            self._file.close()
            raise N1StoreError(f"{path}: another process has it open for writing") from None
        except OSError as error:
            self._file.close()
            raise N1StoreError(
                f"{path}: is not an HDF5 file, or is cut off: {one_line(error)}"
            ) from error
        try:
            if "nwb_version" not in self._hdf5.attrs:
                raise N1StoreError(f"{path}: is an HDF5 file, but not an NWB file")
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
            return SeriesArray(self._hdf5[path], self._kept.get(path), self._file)
        except N1StoreError:
            raise
        except Exception as error:
            raise N1StoreError(
                f"{self.path}: series {path}: its metadata are missing or damaged: "
                f"{one_line(error)}"
            ) from error

    def session(self) -> tuple[Session, list[str]]:
        from n1store.stores.nwb.read_session import read_session

        try:
            origins = {path: _origin(kept) for path, kept in self._kept.items()}
            return read_session(
                self._hdf5, self.attributes["recordings"], origins, f"scratch/{_SUMMARY}"
            )
        except Exception as error:  # whatever HDF5 makes of a damaged file
            raise N1StoreError(
                f"{self.path}: its metadata are missing or damaged: {one_line(error)}"
            ) from error

    def total_bytes(self) -> int:
        return self.path.stat().st_size

    def close(self) -> None:
        self._hdf5.close()
        self._file.close()

    def _open_array(self, path: str) -> Any:
        _load_filters()
        dataset = self._hdf5[f"{path}/data"]
        usual = dataset.ndim == 2 and dataset.chunks and dataset.dtype == DTYPE
        return dataset if usual else _Samples(dataset)

    def _read_summary(self) -> dict[str, dict[str, Any]]:
        """Return what n1store kept of its recordings, by path; nothing in files of others."""
        self.attributes = {}
        if f"scratch/{_SUMMARY}" not in self._hdf5:
            return {}
        summary = json.loads(self._hdf5[f"scratch/{_SUMMARY}"][:].tobytes())
        recordings = summary.pop("recordings")
        self.attributes = {key: summary[key] for key in ("version", "layout", "codec")}
        require(all(isinstance(value, str) for value in self.attributes.values()), "not n1store's")
        return {kept.pop("path"): {"name": name, **kept} for name, kept in recordings.items()}

    def _find_series(self) -> dict[str, str]:
        """Return the paths of all series of int16 by name, those that n1store wrote first."""
        found: list[str] = []

        def look(path: str, item: h5py.Group | h5py.Dataset) -> None:
            kind = item.attrs.get("neurodata_type")
            is_series = isinstance(kind, str | bytes) and kind in _ELECTRICAL_SERIES
            if not is_series or path in self._kept:
                return
            data = item.get("data")
            if not isinstance(data, h5py.Dataset) or data.ndim not in (1, 2) or not data.size:
                self.left_out.append(f"{path}: has no samples of channels")
            elif data.dtype.newbyteorder("=") != DTYPE:
                self.left_out.append(f"{path}: its samples are {data.dtype}, not int16")
            elif _is_hardly_written(data):
                self.left_out.append(f"{path}: nearly all of its samples were never written")
            else:
                try:
                    _describe(item, (*data.shape, 1)[1])
                    found.append(path)
                except Exception as error:  # whatever is missing, or wrong with it
                    self.left_out.append(f"{path}: is not described in full: {one_line(error)}")

        self._hdf5.visititems(look)
        if found:
            filters = [each.name for each in filters_of(self._hdf5[f"{found[0]}/data"])]
            self.attributes.setdefault("codec", "+".join(filters) or "none")
        self.attributes.setdefault("codec", "none")
        recordings = {kept["name"]: path for path, kept in self._kept.items()}
        for path in found:
            name = path.rpartition("/")[2]
            unique = sum(other.rpartition("/")[2] == name for other in found) == 1
            recordings[name if unique and name not in recordings else path] = path
        return recordings


_ELECTRICAL_SERIES = ("ElectricalSeries", b"ElectricalSeries")


def _is_hardly_written(dataset: h5py.Dataset) -> bool:
    """Tell whether a small file would keep a reader busy for hours with chunks that it has not."""
    if not dataset.chunks:
        return False
    return math.prod(_grid_of(dataset).counts) > 1000 * (1000 + dataset.id.get_num_chunks())


class SeriesArray(StoredArray):
    """An ElectricalSeries as it is stored.

    Parameters
    ----------
    series : h5py.Group
    kept : dict, optional
        What n1store kept of the recording when it wrote it.
    file : binary file
        The NWB file, to read chunks from.
    """

    def __init__(self, series: h5py.Group, kept: dict[str, Any] | None, file: BinaryIO):
        self.path = series.name.strip("/")
        self._dataset = series["data"]
        self.is_chunked = self._dataset.chunks is not None
        # What is linked to may be in another file.
        here = self._dataset.chunks and self._dataset.file == series.file
        codecs = pipeline_of(self._dataset) if here else None
        self._chunks = None if codecs is None else HDF5Chunks(self._dataset, codecs, file)
        self.grid = self._chunks.grid if self._chunks else _grid_of(self._dataset)
        if kept is None:
            self.attributes = _describe(series, self.grid.shape[1])
        else:
            self.attributes = kept
            check(self.grid, self.attributes)

    @property
    def codecs(self) -> list[Codec] | None:
        # Those of big-endian samples give other bytes than elsewhere.
        return self._chunks.codecs if self._chunks and self._dataset.dtype == DTYPE else None

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
        return ChunkedTraces(self.grid, self._read_chunk)

    def _read_chunk(self, index: tuple[int, int], out: np.ndarray | None) -> np.ndarray:
        if self._chunks is None:
            return self._read_through_hdf5(index)
        if index not in self._chunks.chunks and "chunk_crc32" in self.attributes:
            raise N1StoreError(f"chunk {index[0]},{index[1]}: is missing")
        return self._chunks.read_chunk(index, out)

    def _read_through_hdf5(self, index: tuple[int, int]) -> np.ndarray:
        chunk = np.zeros(self.grid.chunk_shape, DTYPE)
        samples, channels = self.grid.region(index)
        region = samples if self._dataset.ndim == 1 else (samples, channels)
        _load_filters()
        try:
            part = self._dataset[region]
        except Exception as error:
            missing = [
                f"{each.filter_id} ({each.name})"
                for each in filters_of(self._dataset)
                if not h5py.h5z.filter_avail(each.filter_id)
            ]
            why = f"needs HDF5 filter {missing[0]}, which is not here" if missing else ""
            raise N1StoreError(f"chunk {index[0]},{index[1]}: {why or one_line(error)}") from error
        chunk[: len(part), : channels.stop - channels.start] = part.reshape(len(part), -1)
        return chunk

    def _offset(self, index: tuple[int, int]) -> tuple[int, ...]:
        offset = tuple(
            position * length for position, length in zip(index, self.grid.chunk_shape, strict=True)
        )
        return offset[: self._dataset.ndim]


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


def _describe(series: h5py.Group, num_channels: int) -> dict[str, Any]:
    """Return what a series that n1store did not write says of itself."""
    if "starting_time" in series:
        rate = float(series["starting_time"].attrs["rate"])
    else:
        rate = _rate_of(series["timestamps"])
    require(0 < rate < math.inf, "its sampling rate is no positive number")
    region = series["electrodes"]
    table, rows = series.file[region.attrs["table"]], region[:]
    require(bool(np.all((rows >= 0) & (rows < len(table["id"])))), "its electrodes are not there")
    ids = [str(number) for number in table["id"][:][rows]]
    if "channel_name" in table:
        names = [name.decode() for name in table["channel_name"][:][rows]]
        ids = names if len(set(names)) == len(names) else ids
    require(len(ids) == num_channels, "it has not one electrode for each channel")
    return {"sampling_frequency": rate, "channel_ids": ids}


def _rate_of(timestamps: h5py.Dataset) -> float:
    """Return the rate in Hz that timestamps have; ValueError if they are not regular."""
    require(len(timestamps) > 1, "its sampling rate is unknown")
    first, last, block = float(timestamps[0]), float(timestamps[-1]), 1 << 20
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

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        samples, channels = key
        if self._dataset.ndim == 1:
            return self._dataset[samples].astype(DTYPE)[:, np.newaxis][:, channels]
        return self._dataset[samples, channels].astype(DTYPE)
