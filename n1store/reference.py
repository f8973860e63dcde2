"""Reference files, with which zarr reads the datasets of an HDF5 file where they are.

The format is kerchunk's, version 1, which fsspec's reference file system reads: the keys of a
Zarr format 2 store, each with its content or with the place of its bytes in another file.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numcodecs import VLenUTF8
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes

from n1store.codecs.pipeline import split_compressor
from n1store.errors import N1StoreError, one_line
from n1store.stores.nwb.chunks import (
    chunk_map,
    decode_chunk,
    filters_of,
    is_hardly_written,
    is_plain,
    pipeline_of,
    read_payload,
)
from n1store.stores.nwb.objects import why_not_opened
from n1store.stores.nwb.values import read_values
from n1store.system.atomic import replacing

# Datasets without chunks get some of about this size, so that a window can be read alone.
_CHUNK_BYTES = 1 << 20
_MAX_TEXT_BYTES = 1 << 24
_LARGEST = {"b": 1, "i": 8, "u": 8, "f": 8, "c": 16}
"""Bytes of the largest numbers that Zarr has, by the kinds of NumPy's dtypes."""


@dataclass
class Reference:
    """What is in a reference file.

    Attributes
    ----------
    path : Path
        Of the reference file.
    url : str
        Where it says that the HDF5 file is.
    arrays : int
        Datasets that it has.
    chunks : int
        Chunks that it has the places of.
    inlined : int
        Chunks, texts and small values that it holds itself.
    left_out : list of str
        A line for each dataset that zarr cannot read, or not in place.
    attributes_left_out : int
        Attributes that JSON cannot hold, such as references to objects.
    links_left_out : int
        Soft and external links, which Zarr does not have.
    """

    path: Path
    url: str
    arrays: int = 0
    chunks: int = 0
    inlined: int = 0
    left_out: list[str] = field(default_factory=list)
    attributes_left_out: int = 0
    links_left_out: int = 0

    def how_to_open(self) -> str:
        """Return the Python expression that opens it."""
        remote = re.match("https?://", self.url) and int(version("zarr").split(".")[0]) >= 3
        options = ', storage_options={"remote_options": {"asynchronous": True}}' if remote else ""
        return f'zarr.open_group("reference::{self.path}", mode="r"{options})'

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**vars(self), "path": str(self.path)}


def write_reference(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    url: str | None = None,
    overwrite: bool = False,
) -> Reference:
    """Write a file with which zarr reads the datasets of an HDF5 file where they are.

    Parameters
    ----------
    source : path-like
        An HDF5 file, such as one of NWB.
    destination : path-like
        The reference file to write, of JSON. It appears when it is complete.
    url : str, optional
        Where readers will find the HDF5 file, as fsspec takes it: an address such as
        ``https://…`` or ``s3://…``, or a path. By default the file's absolute path.
    overwrite : bool
        Whether to replace `destination` where it exists.

    Returns
    -------
    Reference
        With a line on each dataset that had to be left out.

    Raises
    ------
    N1StoreError
        If `source` is no HDF5 file or cannot be read, or `destination` exists.

    Examples
    --------
    >>> n1store.reference.write_reference("out.nwb", "refs.json")  # doctest: +SKIP
    >>> zarr.open_group("reference::refs.json", mode="r")  # doctest: +SKIP

    Of a file on the web, with zarr 3:

    >>> options = {"remote_options": {"asynchronous": True}}
    >>> zarr.open_group("reference::refs.json", mode="r", storage_options=options)  # doctest: +SKIP
    """
    source, destination = Path(source), Path(destination)
    if destination.exists() and source.exists() and destination.samefile(source):
        raise N1StoreError(f"{destination}: is the HDF5 file itself")
    reference = Reference(destination, url or str(source.absolute()))
    with replacing(destination, overwrite=overwrite) as temporary:
        content = {"version": 1, "refs": _references(source, reference)}
        temporary.write_text(json.dumps(content, separators=(",", ":")))
    return reference


def _references(source: Path, reference: Reference) -> dict[str, Any]:
    if not source.is_file():
        raise N1StoreError(f"{source}: no such file")
    try:
        file = h5py.File(source, "r")
    except BlockingIOError as error:
        raise N1StoreError(f"{source}: another process has it open for writing") from error
    except OSError as error:
        raise N1StoreError(f"{source}: {why_not_opened(error)}") from error
    try:
        with file, source.open("rb", buffering=0) as content:
            return _Translator(file, content, reference).translate()
    except N1StoreError:
        raise
    except Exception as error:  # whatever HDF5 makes of a damaged file
        raise N1StoreError(f"{source}: is damaged: {one_line(error)}") from error


class _LeftOut(Exception):  # noqa: N818 - no error, but why a dataset is not in the file
    pass


class _Translator:
    def __init__(self, file: h5py.File, content: BinaryIO, reference: Reference):
        self._file = file
        self._content = content
        self._reference = reference
        self._metadata: dict[str, Any] = {}
        self._refs: dict[str, Any] = {}

    def translate(self) -> dict[str, Any]:
        self._add("", self._file)
        self._file.visititems(self._add)
        self._file.visititems_links(self._count_link)
        # Without it, zarr 3 does not list what is in the groups of a reference file.
        consolidated = {"zarr_consolidated_format": 1, "metadata": self._metadata}
        files = {**self._metadata, ".zmetadata": consolidated}
        return {key: json.dumps(content) for key, content in files.items()} | self._refs

    def _add(self, path: str, item: h5py.Group | h5py.Dataset) -> None:
        prefix = f"{path}/" if path else ""
        if isinstance(item, h5py.Group):
            self._metadata[f"{prefix}.zgroup"] = {"zarr_format": 2}
        elif isinstance(item, h5py.Dataset):
            try:
                array, chunks = self._array(item)
            except _LeftOut as reason:
                self._reference.left_out.append(f"{path}: {reason}")
                return
            self._metadata[f"{prefix}.zarray"] = array
            self._refs |= {f"{prefix}{key}": place for key, place in chunks.items()}
            self._reference.arrays += 1
            inlined = sum(isinstance(place, str) for place in chunks.values())
            self._reference.inlined += inlined
            self._reference.chunks += len(chunks) - inlined
        else:
            return  # a data type that has a name of its own
        if attributes := self._attributes(item):
            self._metadata[f"{prefix}.zattrs"] = attributes

    def _count_link(self, path: str, link: Any) -> None:
        self._reference.links_left_out += not isinstance(link, h5py.HardLink)

    def _attributes(self, item: h5py.Group | h5py.Dataset) -> dict[str, Any]:
        attributes = {}
        for name in item.attrs:
            try:
                attributes[name] = _json_value(item.attrs[name])
            except (TypeError, ValueError, OSError):
                self._reference.attributes_left_out += 1
        return attributes

    def _array(self, dataset: h5py.Dataset) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a dataset's Zarr metadata and its chunks; _LeftOut says why there are none."""
        if dataset.shape is None:
            raise _LeftOut("has no values")
        if dataset.is_virtual or dataset.external:
            raise _LeftOut("its values are in other files or datasets")
        if is_hardly_written(dataset):
            raise _LeftOut("nearly all of it was never written")
        if is_plain(dataset):
            if dataset.dtype.itemsize > _LARGEST[dataset.dtype.kind]:
                raise _LeftOut(f"zarr has no {dataset.dtype.name}")
            layout = dataset.id.get_create_plist().get_layout()
            if layout == h5py.h5d.CHUNKED:
                return self._chunked(dataset)
            if layout == h5py.h5d.COMPACT:
                return self._compact(dataset)
            return self._contiguous(dataset)
        if dataset.id.get_type().get_class() == h5py.h5t.STRING:
            return self._text(dataset)
        raise _LeftOut(f"zarr cannot read {_type_name(dataset)} in place")

    def _chunked(self, dataset: h5py.Dataset) -> tuple[dict[str, Any], dict[str, Any]]:
        codecs = pipeline_of(dataset)
        if codecs is None:
            unknown = next(each for each in filters_of(dataset) if each.codec is None)
            name = f" ({unknown.name})" if unknown.name else ""
            no_codec = f"zarr has no codec for HDF5 filter {unknown.filter_id}{name}"
            raise _LeftOut(unknown.lacks or no_codec)
        stored = chunk_map(dataset, self._content)
        # A Zarr array has the same codecs for all chunks: those that most of them went through.
        masks = Counter(chunk.filter_mask for chunk in stored.values())
        mask = masks.most_common(1)[0][0] if masks else 0
        used = [codec for number, codec in enumerate(codecs) if not mask >> number & 1]
        chunks: dict[str, Any] = {}
        for index, chunk in stored.items():
            if chunk.filter_mask == mask:
                chunks[_key(index)] = [self._reference.url, chunk.offset, chunk.size]
                continue
            try:
                payload = read_payload(self._content, chunk)
                values = decode_chunk(
                    payload, codecs, chunk.filter_mask, dataset.chunks, dataset.dtype
                )
                chunks[_key(index)] = _inline(_encode(values, used))
            except Exception as error:  # whatever the codecs make of damaged bytes
                raise _LeftOut(f"chunk {_key(index)}: {one_line(error)}") from error
        return _array_metadata(dataset, dataset.chunks, used), chunks

    def _compact(self, dataset: h5py.Dataset) -> tuple[dict[str, Any], dict[str, Any]]:
        values = np.asarray(dataset[()], dataset.dtype).tobytes()
        return (
            _array_metadata(dataset, _at_least_one(dataset.shape)),
            {_key(0 for _ in dataset.shape): _inline(values)} if values else {},
        )

    def _contiguous(self, dataset: h5py.Dataset) -> tuple[dict[str, Any], dict[str, Any]]:
        offset = dataset.id.get_offset()
        if offset is None or not dataset.size:  # never written, so that zarr fills it
            return _array_metadata(dataset, _at_least_one(dataset.shape)), {}
        url = self._reference.url
        if not dataset.shape:
            return _array_metadata(dataset, ()), {"0": [url, offset, dataset.nbytes]}
        row_bytes = dataset.nbytes // len(dataset)
        rows = _rows(len(dataset), row_bytes)
        shape = (rows, *dataset.shape[1:])
        size = rows * row_bytes
        file_size = os.fstat(self._content.fileno()).st_size
        chunks: dict[str, Any] = {}
        for number, first in enumerate(range(0, len(dataset), rows)):
            key, start = _key((number, *(0,) * (dataset.ndim - 1))), offset + number * size
            # Zarr wants as many bytes of the last chunk as of others, and ignores what they are.
            if start + size <= file_size:
                chunks[key] = [url, start, size]
            else:
                last = np.zeros(shape, dataset.dtype)
                last[: len(dataset) - first] = dataset[first:]
                chunks[key] = _inline(last.tobytes())
        return _array_metadata(dataset, shape), chunks

    def _text(self, dataset: h5py.Dataset) -> tuple[dict[str, Any], dict[str, Any]]:
        if 4 * dataset.size > _MAX_TEXT_BYTES:  # which is how long each is, before its letters
            raise _LeftOut(f"more than {_MAX_TEXT_BYTES >> 20} MiB of text")
        if not dataset.size:
            texts = np.empty(0, object)
        else:
            try:
                texts = read_values(dataset).reshape(-1)
            except UnicodeDecodeError:
                raise _LeftOut("its text is not in UTF-8") from None
            except Exception as error:  # a filter that is not here, or damage
                raise _LeftOut(one_line(error)) from error
        payload = bytes(VLenUTF8().encode(texts))
        if len(payload) > _MAX_TEXT_BYTES:
            raise _LeftOut(f"more than {_MAX_TEXT_BYTES >> 20} MiB of text")
        metadata = _array_metadata(dataset, _at_least_one(dataset.shape), [VLenUTF8()])
        chunks = {_key(0 for _ in dataset.shape): _inline(payload)} if texts.size else {}
        return metadata | {"dtype": "|O", "fill_value": ""}, chunks


def _rows(count: int, row_bytes: int) -> int:
    """Return how many rows to have in a chunk, so that none are left over if that is possible."""
    most = max(1, _CHUNK_BYTES // row_bytes)
    if count <= most:
        return count
    candidates = np.arange(most, most // 2, -1)
    return int(candidates[np.argmin(count % candidates)])


def _array_metadata(
    dataset: h5py.Dataset, chunks: tuple[int, ...], codecs: list[Codec] | None = None
) -> dict[str, Any]:
    dtype = dataset.dtype
    filters, compressor = split_compressor(codecs or [])
    return {
        "zarr_format": 2,
        "shape": dataset.shape,
        "chunks": chunks,
        "dtype": dtype.str,
        "fill_value": _fill_value(dataset.fillvalue.item()) if dtype.kind in _LARGEST else None,
        "order": "C",
        "filters": [codec.get_config() for codec in filters] if filters else None,
        "compressor": None if compressor is None else compressor.get_config(),
        "dimension_separator": ".",
    }


def _fill_value(value: Any) -> Any:
    if isinstance(value, complex):
        return [_fill_value(value.real), _fill_value(value.imag)]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _at_least_one(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(length, 1) for length in shape)


def _key(index: Any) -> str:
    return ".".join(map(str, index)) or "0"


def _inline(content: bytes) -> str:
    return f"base64:{base64.b64encode(content).decode()}"


def _encode(values: np.ndarray, codecs: list[Codec]) -> bytes:
    # As the filters take them, which know no order of bytes but this.
    encoded: Any = np.ascontiguousarray(values).view(values.dtype.newbyteorder("<"))
    for codec in codecs:
        encoded = codec.encode(encoded)
    return bytes(ensure_bytes(encoded))


def _json_value(value: Any) -> Any:
    """Return an attribute as JSON has it; TypeError or ValueError if it does not."""
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.names:
            raise TypeError("JSON has no records")
        value = value.tolist()
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list | tuple):
        return [_json_value(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("JSON has only finite numbers")
    if value is None or not isinstance(value, str | bool | int | float):
        raise TypeError(f"JSON has no {type(value).__name__}")
    return value


def _type_name(dataset: h5py.Dataset) -> str:
    names: Mapping[int, str] = {
        h5py.h5t.COMPOUND: "records of several fields",
        h5py.h5t.VLEN: "lists of different lengths",
        h5py.h5t.OPAQUE: "opaque bytes",
        h5py.h5t.ARRAY: "arrays as elements",
        h5py.h5t.REFERENCE: "references to objects",
    }
    return names.get(dataset.id.get_type().get_class(), "numbers of this type")
