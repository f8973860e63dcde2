"""Pipelines: strings such as ``adc+delta+zstd:level=9``, and what they do to a chunk."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ensure_ndarray

from n1store.codecs.base import Array
from n1store.codecs.catalogue import CATALOGUE, find, find_id
from n1store.codecs.hdf5_filters import FILTERS, CdValues, Content, Filter
from n1store.codecs.spec import Entry
from n1store.errors import N1StoreError

_MOST_STAGES = 32  # as many as HDF5 has filters, and more than help


@dataclass(frozen=True)
class Pipeline:
    """Codecs in the order in which they encode a chunk.

    Attributes
    ----------
    spec : str
        The string that makes it again, also where the files named in the one that it was made
        from are not at hand.
    stages : tuple of (Entry, Codec)
        Arrays to arrays first, then at most one from array to bytes, then bytes to bytes.
    loss : str
        The stage with which samples come back changed; empty for a lossless pipeline.
    """

    spec: str
    stages: tuple[tuple[Entry, Codec], ...]
    loss: str = ""

    @classmethod
    def parse(cls, spec: str, *, read_files: bool = True) -> Pipeline:
        """Make the pipeline that a string describes.

        Stages are joined by ``+``; a stage is ``name`` or ``name:parameter=value,…``.

        Parameters
        ----------
        spec : str
        read_files : bool
            Whether it may name files; one that was found in a store may not.

        Raises
        ------
        N1StoreError
            If a name or parameter is unknown, a value is out of range, a codec is not
            installed, or the stages do not fit together.
        """
        stages, texts, loss = [], [], ""
        if spec.count("+") >= _MOST_STAGES:
            raise N1StoreError(
                f"a pipeline has {_MOST_STAGES} stages at most, and not {spec.count('+') + 1}"
            )
        for text in spec.split("+"):
            name, _, parameters = text.strip().partition(":")
            entry = find(name)
            values = entry.parse_parameters(parameters, read_files)
            stages.append((entry, entry.build(**values)))
            settings = ",".join(f"{key}={value}" for key, value in values.items())
            texts.append(f"{name}:{settings}" if settings else name)
            if entry.loses_with in values:
                if len(texts) > 1:
                    raise N1StoreError(
                        f"codec {name} cannot be lossy behind {texts[0]}, which would make other "
                        "samples of small errors; put it first"
                    )
                loss = texts[0]
        order = ["array-array", "array-bytes", "bytes-bytes"]
        for (first, _), (second, _) in pairwise(stages):
            step = order.index(second.kind) - order.index(first.kind)
            if step < 0 or (step == 0 and second.kind == "array-bytes"):
                raise N1StoreError(
                    f"codec {second.name} cannot follow {first.name}, which already gives bytes"
                )
        return cls("+".join(texts), tuple(stages), loss)

    @property
    def names(self) -> list[str]:
        """Names of the stages."""
        return [entry.name for entry, _ in self.stages]

    def encode(self, chunk: Array) -> bytes:
        """Return the bytes to store for a C-contiguous chunk of int16."""
        encoded: Any = chunk
        for _, codec in self.stages:
            encoded = codec.encode(encoded)
        payload: bytes = ensure_bytes(encoded)
        return payload

    def decode(self, payload: bytes, shape: tuple[int, ...]) -> Array:
        """Return the chunk of int16 and of this shape that was encoded to `payload`."""
        decoded: Any = payload
        for _, codec in reversed(self.stages):
            decoded = codec.decode(decoded)
        samples: Array = ensure_ndarray(decoded)
        if samples.dtype.itemsize > 1 and samples.dtype != "<i2":
            raise N1StoreError(f"the chunk holds {samples.dtype}, not int16")
        return samples.reshape(-1).view("<i2").reshape(shape)

    def zarr2(self) -> list[dict[str, Any]]:
        """Return the codecs of a Zarr format 2 array of these chunks: filters, then compressor."""
        return [_without_defaults(entry.zarr2_metadata(codec)) for entry, codec in self.stages]

    def for_hdf5(self) -> Pipeline:
        """Return the pipeline whose bytes HDF5's filters read."""
        stages = ((entry, entry.for_hdf5(codec)) for entry, codec in self.stages)
        return Pipeline(self.spec, tuple(stages), self.loss)

    def hdf5(self, chunk_shape: tuple[int, int]) -> list[tuple[int, CdValues]]:
        """Return the filters of an HDF5 dataset of these chunks, each its id and its cd_values.

        Parameters
        ----------
        chunk_shape : tuple of int
            (num_samples, num_channels) of a chunk of int16.

        Raises
        ------
        N1StoreError
            If HDF5 has not one for each codec, or does not find n1store's plugin of one.
        """
        num_bytes = 2 * math.prod(chunk_shape)
        samples = Content(np.dtype("<i2"), chunk_shape[1], num_bytes)
        any_bytes = Content(np.dtype("u1"), None, num_bytes)
        filters = []
        for entry, codec in self.stages:
            hdf5_filter = _hdf5_filter(entry)
            content = any_bytes if entry.kind == "bytes-bytes" else samples
            cd_values = hdf5_filter.cd_values(codec.get_config(), content)
            filters.append((hdf5_filter.filter_id, cd_values))
        return filters

    def zarr3(self) -> list[dict[str, Any]]:
        """Return the codecs of a Zarr format 3 array of these chunks."""
        codecs = [(entry.kind, entry.zarr3_metadata(codec)) for entry, codec in self.stages]
        if all(kind != "array-bytes" for kind, _ in codecs):
            to_bytes = {"name": "bytes", "configuration": {"endian": "little"}}
            position = sum(kind == "array-array" for kind, _ in codecs)
            codecs.insert(position, ("array-bytes", to_bytes))
        return [metadata for _, metadata in codecs]


def _without_defaults(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return what format 2 says of a codec, without what readers other than zarr do not know."""
    is_default = configuration.get("checksum") is False  # of zstd
    return {key: configuration[key] for key in configuration if key != "checksum" or not is_default}


def _hdf5_filter(entry: Entry) -> Filter:
    """Return the HDF5 filter of a codec; N1StoreError if there is none, or not here."""
    if not entry.hdf5:
        with_filters = ", ".join(each.name for each in CATALOGUE.values() if each.hdf5)
        raise N1StoreError(
            f"HDF5 has no filter for codec {entry.name}; it has one for {with_filters}"
        )
    hdf5_filter = FILTERS[entry.hdf5]
    if hdf5_filter.brought_by == "n1store":
        try:
            from n1store.codecs import hdf5
        except ImportError as error:
            raise N1StoreError(str(error)) from error
        hdf5.require(hdf5_filter)
    return hdf5_filter


def without_tables(spec: str) -> str:
    """Return a pipeline's string to be shown, tables of code widths cut short.

    Each is of 1,368 characters.
    """
    return re.sub(r"(=[\w-]{8})[\w-]{1000,}=*", r"\1…", spec)


def split_compressor(codecs: Sequence[Codec]) -> tuple[list[Codec], Codec | None]:
    """Return the filters of a Zarr format 2 array of these codecs, and the compressor.

    What gives the bytes to store is the compressor, as readers other than zarr want it; but for a
    checksum alone, which zarr 2.18 cannot decode as one.
    """
    *others, last = codecs or [None]
    entry = find_id(last.codec_id) if last is not None else None
    if entry is None or entry.kind == "array-array" or (entry.group == "checksum" and not others):
        return list(codecs), None
    return others, last


def split_checksum(codecs: Sequence[Codec]) -> tuple[list[Codec], Codec | None]:
    """Return codecs in the order in which they encode without the checksum at their end, and it."""
    *others, last = codecs or [None]
    entry = find_id(last.codec_id) if last is not None else None
    if entry is not None and entry.group == "checksum":
        return others, last
    return list(codecs), None
