"""Writing NWB files: an ElectricalSeries for each recording.

Encoded chunks are written into a new HDF5 file first; when all are there, pynwb writes NWB's
structure around them. What the files are restored from is a string in NWB's scratch space.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from n1store.codecs.info import hdf5_readers_need, how_to_read
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError, one_line
from n1store.session.metadata import NwbMetadata
from n1store.session.session import Session
from n1store.stores.base import ArrayWriter, StoreWriter, check_small
from n1store.stores.grid import Grid
from n1store.stores.local import LocalDestination
from n1store.stores.nwb.build import Series, make_nwbfile
from n1store.stores.nwb.summary import HINT, SUMMARY_NAME, SUMMARY_PATH, origin_of
from n1store.stores.nwb.unknown import what_is_unknown
from n1store.system.parallel import Workers
from n1store.version import __version__

_UNFINISHED = "n1store_unfinished"  # a group for what has no place in NWB yet


_BLANKS = "data"  # and one for recordings without samples; a longer name would leave gaps


# Of 2016; what HDF5 keeps of its objects takes half the bytes since.
_LIBVER = ("v110", "v110")


# What NWB's structure takes is not known before: more than enough of it.
_BYTES_OF_OBJECT = 4096  # a series or an electrode


_BYTES_OF_STRUCTURE = 1024 * 1024


class NwbDestination(LocalDestination):
    """An NWB file to be written."""

    group = "acquisition"
    checksum = "fletcher32"
    chunk_seconds = None  # NWB's habit: 10 MB
    shard_seconds = 0
    is_folder = False

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
        if layout == "spikeinterface":
            raise N1StoreError("SpikeInterface's layout is one of Zarr; an .nwb file has another")
        if zarr_format is not None or shard_seconds is not None:
            raise N1StoreError("an .nwb file has neither a Zarr format nor shards")
        self._metadata = nwb or NwbMetadata()

    def prepare(self, pipeline: Pipeline) -> Pipeline:
        pipeline.hdf5((1, 1))  # raises if it cannot be described
        return pipeline.for_hdf5()

    def _create_at(self, temporary: Path, session: Session | None) -> NwbWriter:
        self._metadata.over(session or Session())  # raises if they do not go together
        return NwbWriter(temporary, self.path, self._metadata, session)


class NwbWriter(StoreWriter):
    """Writes recordings one after the other, then what makes the file NWB.

    Parameters
    ----------
    path : Path
        The file to write to.
    destination : Path
        Of which errors speak.
    metadata : NwbMetadata
        What the user says; it wins over the session.
    session : Session, optional
        What the sources say.
    """

    def __init__(
        self, path: Path, destination: Path, metadata: NwbMetadata, session: Session | None
    ):
        # The lock is on the file already; see system/atomic.py.
        try:
            self._file = h5py.File(path, "w", libver=_LIBVER, locking=False)
        except OSError as error:
            raise _failed(destination, error) from error
        self._destination = destination
        self._metadata = metadata
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
        return SeriesWriter(self._unfinished, self._blanks, path, grid, pipeline, self._finished)

    def finish(self, layout: str, recordings: dict[str, str], pipeline: Pipeline) -> None:
        """Write NWB's structure around the recordings."""
        manager = self._manager.result()
        # All but a little is on the disk then.
        synced = self._beside.submit(os.fsync, self._file.id.get_vfd_handle())
        summary = {
            "version": __version__,
            "layout": layout,
            "codec": pipeline.spec,
            "readers_need": _readers_need(pipeline),
            "recordings": {
                name: {"path": path, **self._finished[path][2]} for name, path in recordings.items()
            },
        }
        text = check_small(SUMMARY_PATH, json.dumps(summary, separators=(",", ":")).encode())
        content = np.frombuffer(text, "u1")

        import pynwb

        nwbfile = self._nwbfile(recordings.values(), content, how_to_read(_readers_need(pipeline)))
        self.unknown = what_is_unknown(nwbfile)
        # Closing the NWBHDF5IO would close the file; its manager keeps it from reading the file.
        # As all types are NWB's own, its definition, which any reader has, need not be in it.
        io = pynwb.NWBHDF5IO(file=self._structure, mode="a", manager=manager)
        options: dict[str, Any] = {"cache_spec": False}
        if int(pynwb.__version__.split(".")[0]) >= 4:
            options["expandable"] = ()  # it would make datasets that can grow, in chunks
        io.write(nwbfile, **options)
        objects = len(recordings) + len(nwbfile.electrodes)
        with self._room(len(content) + _BYTES_OF_OBJECT * objects + _BYTES_OF_STRUCTURE):
            self._copy_structure()
            for path in recordings.values():
                self._put_in_place(path, nwbfile.acquisition[path.rpartition("/")[2]])
            del self._file[_UNFINISHED]
        synced.result()

    def _nwbfile(self, paths: Iterable[str], summary: np.ndarray, hint: str) -> Any:
        """Return what is to be written, with links in the place of samples."""
        from hdmf.backends.hdf5 import H5DataIO
        from pynwb.core import ScratchData

        series, hashes = [], []
        for path in paths:
            number, grid, attributes = self._finished[path]
            one = Series(
                name=path.rpartition("/")[2],
                shape=grid.shape,
                sampling_frequency=attributes["sampling_frequency"],
                channel_ids=tuple(attributes["channel_ids"]),
                description=origin_of(attributes),
                how_to_read=hint,
                data=H5DataIO(self._blanks[number], link_data=True),
            )
            series.append(one)
            sources = attributes["sources"]
            hashes += [source["sha256"] for source in sources] or [attributes["samples_sha256"]]
        # The same files give the same identifier, and others another.
        identifier = str(uuid.uuid5(uuid.NAMESPACE_OID, " ".join(hashes)))
        nwbfile = make_nwbfile(series, self._metadata, identifier, self._session)
        nwbfile.add_scratch(
            ScratchData(
                name=SUMMARY_NAME,
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
        for name in _SCALE:
            dataset.attrs.modify(name, float(getattr(series, name)))

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        self._structure.close()
        try:
            self._file.close()
        except (OSError, RuntimeError) as closing:  # again, if writing failed before
            if error is None:
                raise _failed(self._destination, closing) from closing
        if isinstance(error, OSError) and error.filename is None:
            raise _failed(self._destination, error) from error


def _readers_need(pipeline: Pipeline) -> list[str]:
    filters = zip(pipeline.stages, pipeline.hdf5((1, 1)), strict=True)
    return hdf5_readers_need((entry, number) for (entry, _), (number, _) in filters)


def _load_pynwb() -> Any:
    import pynwb

    return pynwb.get_manager()


def _failed(path: Path, error: Exception) -> N1StoreError:
    """Return what HDF5 says in many words of a full disk and the like in those of the system."""
    why = re.search("error message = '(.*?)'", str(error))
    words = why[1] if why else getattr(error, "strerror", None) or one_line(error)
    return N1StoreError(f"{path}: {words}")


# NWB's defaults, which pynwb writes too: some readers want them to be there.
_SCALE = {"conversion": 1.0, "offset": 0.0, "resolution": -1.0}


class SeriesWriter(ArrayWriter):
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
        hint = {HINT: how_to_read(_readers_need(pipeline))}
        h5py.Dataset(blank).attrs.update({"unit": "volts", **_SCALE, **hint})
        blanks.copy(name, group)
        self._dataset = group[name].id
        self._group = group
        self._name = name
        self._path = path
        self._grid = grid
        self._indices = grid.indices()
        self._finished = finished

    def write(self, payload: bytes) -> None:
        offset = [
            position * length
            for position, length in zip(next(self._indices), self._grid.chunk_shape, strict=True)
        ]
        self._dataset.write_direct_chunk(offset, payload)

    def finish(self, attributes: dict[str, Any]) -> None:
        if next(self._indices, None) is not None:
            raise RuntimeError(f"chunks of {self._path} are missing")
        self._finished[self._path] = self._name, self._grid, attributes

    def discard(self) -> None:
        del self._group[self._name]
