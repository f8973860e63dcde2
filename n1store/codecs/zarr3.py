"""n1store's codecs for Zarr format 3; zarr finds them through entry points.

`ADC`, and a class for each other codec of the catalogue whose id begins with ``n1store.``, named as
its numcodecs class and with the same arguments: `N1`, `Flac`, `Delta`, `Blosc2` and so on.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, make_dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from zarr.abc.codec import (
    ArrayArrayCodec,
    ArrayBytesCodec,
    ArrayBytesCodecPartialDecodeMixin,
    BytesBytesCodec,
)
from zarr.abc.store import RangeByteRequest
from zarr.storage import StorePath

from n1store.codecs import native
from n1store.codecs.base import Array, folded_shape
from n1store.codecs.catalogue import CATALOGUE
from n1store.codecs.spec import Entry
from n1store.errors import N1StoreError

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer

    def __getattr__(name: str) -> Any:
        """Tell type checkers that there are classes which are not written out here."""


@dataclass(frozen=True)
class ADC(ArrayArrayCodec):
    """The `adc` permutation; see `n1store.codecs.adc.ADC`."""

    is_fixed_size = True

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make the codec from its metadata, which have no configuration."""
        return cls()

    def to_dict(self) -> dict[str, Any]:
        """Return the codec's metadata."""
        return {"name": "n1store.adc"}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Return the size, which stays as it is."""
        return input_byte_length

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(_map, native.adc_encode, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(_map, native.adc_decode, chunk_data, chunk_spec)


def _map(
    function: Callable[[Array], Array], chunk: NDBuffer | Array, chunk_spec: ArraySpec
) -> NDBuffer:
    return chunk_spec.prototype.nd_buffer.from_numpy_array(function(_array(chunk)))


@dataclass(frozen=True)
class _Twin(ABC):
    """A codec whose metadata and fields are those of a numcodecs codec."""

    entry: ClassVar[Entry]

    is_fixed_size = False

    def __post_init__(self) -> None:
        # The same checks, and the same values, as in format 2.
        codec = self._codec()
        for name in asdict(self):
            object.__setattr__(self, name, getattr(codec, name))

    def _codec(self) -> Any:
        return self.entry.codec(asdict(self))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make the codec from its metadata."""
        return cls(**data.get("configuration", {}))

    def to_dict(self) -> dict[str, Any]:
        """Return the codec's metadata, with the configuration that it has in format 2."""
        configuration = self._codec().get_config()
        return {"name": configuration.pop("id"), "configuration": configuration}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Raise NotImplementedError, as Zarr has it for sizes that depend on the samples."""
        raise NotImplementedError

    @abstractmethod
    def _encode_sync(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any: ...

    @abstractmethod
    def _decode_sync(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any: ...

    async def _encode_single(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)


@dataclass(frozen=True)
class _Transform(_Twin, ArrayArrayCodec):
    """A codec that makes longer chunks of samples; see `n1store.codecs.simple.Transform`."""

    is_fixed_size = True

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Return the size, which depends on the shape of the chunk."""
        return 2 * math.prod(self._encoded_shape(chunk_spec))

    def resolve_metadata(self, chunk_spec: ArraySpec) -> ArraySpec:
        """Return what the codec behind it is given."""
        return replace(chunk_spec, shape=self._encoded_shape(chunk_spec))

    def _encoded_shape(self, chunk_spec: ArraySpec) -> tuple[int, ...]:
        shape: tuple[int, ...] = self._codec().encoded_shape(chunk_spec.shape)
        return shape

    def _encode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        samples = _little_endian(_array(chunk_data))
        return self._to_buffer(self._codec().encode(samples), chunk_spec)

    def _decode_sync(self, chunk_data: NDBuffer | Array, chunk_spec: ArraySpec) -> NDBuffer:
        samples = self._codec().decode(_little_endian(_array(chunk_data)))
        if samples.size != math.prod(chunk_spec.shape):
            raise N1StoreError(
                f"the payload holds {samples.size} samples, "
                f"the chunk is of shape {chunk_spec.shape}"
            )
        return self._to_buffer(samples.reshape(chunk_spec.shape), chunk_spec)

    def _to_buffer(self, values: Array, chunk_spec: ArraySpec) -> NDBuffer:
        values = values.astype(_native(chunk_spec.dtype), copy=False)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(values)


@dataclass(frozen=True)
class _Payload(_Twin, ArrayBytesCodec):
    """A codec from array to bytes whose payloads say their dtype and shape."""

    def _encode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        samples = _little_endian(_array(chunk_data))
        return chunk_spec.prototype.buffer.from_bytes(self._codec().encode(samples))

    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        samples = self._codec().decode(chunk_data.as_numpy_array())
        dtype = _native(chunk_spec.dtype)
        # A filter such as delta may have made the chunk one-dimensional.
        shapes = folded_shape(chunk_spec.shape), (math.prod(chunk_spec.shape),)
        if samples.dtype != dtype.newbyteorder("<") or samples.shape not in shapes:
            raise N1StoreError(
                f"the payload holds {samples.dtype} of shape {samples.shape}, "
                f"the chunk is {dtype} of shape {chunk_spec.shape}"
            )
        samples = samples.astype(dtype, copy=False).reshape(chunk_spec.shape)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(samples)


@dataclass(frozen=True)
class _PartsOfPayload(_Payload, ArrayBytesCodecPartialDecodeMixin):
    """One whose payloads are decoded in parts, where zarr wants parts; see `n1.h`.

    zarr asks for them where no other codec stands beside this one.
    """

    async def _decode_partial_single(
        self, byte_getter: Any, selection: Any, chunk_spec: ArraySpec
    ) -> NDBuffer | None:
        part = _Part.of(selection, chunk_spec.shape)
        payload = await _needed_of(byte_getter, chunk_spec, part)
        if payload is None:
            return None
        return await asyncio.to_thread(self._decode_part, payload, part, selection, chunk_spec)

    def _decode_part(
        self, payload: Array, part: _Part | None, selection: Any, chunk_spec: ArraySpec
    ) -> NDBuffer:
        dtype = _native(chunk_spec.dtype)
        info = native.n1_payload_info(payload)
        if part is None or (info.shape, info.dtype) != (chunk_spec.shape, dtype.newbyteorder("<")):
            buffer = chunk_spec.prototype.buffer.from_array_like(payload)
            samples = self._decode_sync(buffer, chunk_spec).as_numpy_array()[selection]
        else:
            widths = self._codec().table_of_widths
            samples = native.n1_decode_part(payload, part.rows, part.channels, widths)
            samples = samples[part.selection].astype(dtype, copy=False)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(np.asarray(samples))


@dataclass(frozen=True)
class _Part:
    """The samples and channels that zarr selects of a chunk, and which they are of these."""

    rows: range
    channels: Array
    selection: tuple[Any, Any]

    @classmethod
    def of(cls, selection: Any, shape: tuple[int, ...]) -> _Part | None:
        """Return the part for a selection; None if all of the chunk is to be decoded for it."""
        if len(shape) != 2 or not isinstance(selection, tuple) or len(selection) != 2:
            return None
        rows, channels = (
            np.arange(length)[each] if isinstance(each, slice) else np.unique(np.asarray(each))
            for each, length in zip(selection, shape, strict=True)
        )
        if not rows.size or not channels.size:
            return None
        first, last = int(rows[0]), int(rows[-1])
        of_rows, of_channels = selection
        return cls(
            range(first, last + 1),
            channels.astype(np.uint32),
            (
                slice(None, None, of_rows.step) if isinstance(of_rows, slice) else of_rows - first,
                slice(None)
                if isinstance(of_channels, slice)
                else np.searchsorted(channels, of_channels),
            ),
        )


async def _needed_of(byte_getter: Any, chunk_spec: ArraySpec, part: _Part | None) -> Array | None:
    """Return a payload, of which all bytes are there that a part needs; None if it is not stored.

    Only what is stored by itself is read in parts: what is in a shard is in memory.
    """

    async def get(begin: int, end: int) -> Array:
        request = RangeByteRequest(begin, end)
        content = await byte_getter.get(chunk_spec.prototype, request)
        return np.zeros(0, np.uint8) if content is None else content.as_numpy_array()

    if part is not None and isinstance(byte_getter, StorePath):
        beginning = await get(0, _BEGINNING_BYTES)
        index_size = native.n1_index_size(beginning) if beginning.size else 0
        if index_size > len(beginning):
            beginning = await get(0, index_size)
        if index_size:
            num_samples = native.n1_payload_info(beginning).shape[0]
            size = int(native.n1_part_ranges(beginning, range(num_samples))[-1, 1])
            ranges = native.n1_part_ranges(beginning, part.rows, part.channels).tolist()
            if 2 * sum(end - begin for begin, end in ranges) < size:
                payload = np.empty(size, np.uint8)
                for begin, end in ranges:
                    content = await get(begin, end)
                    payload[begin : begin + len(content)] = content
                return payload
    whole = await byte_getter.get(chunk_spec.prototype)
    return None if whole is None else whole.as_numpy_array()


_BEGINNING_BYTES = 1 << 12


@dataclass(frozen=True)
class _Coder(_Twin, BytesBytesCodec):
    """A codec from bytes to bytes."""

    def _encode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        encoded = self._codec().encode(chunk_data.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(encoded)

    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        decoded = self._codec().decode(chunk_data.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(decoded.tobytes())


def _array(chunk: NDBuffer | Array) -> Array:
    # wavpack-numcodecs 0.3 hands over a bare ndarray.
    return chunk if isinstance(chunk, np.ndarray) else chunk.as_numpy_array()


def _little_endian(values: Array) -> Array:
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<"))


def _native(dtype: Any) -> np.dtype[Any]:
    # zarr 3.0 has dtypes of NumPy, later versions have their own.
    native_dtype: np.dtype[Any] = np.dtype(
        dtype.to_native_dtype() if hasattr(dtype, "to_native_dtype") else dtype
    )
    return native_dtype


def _base_of(entry: Entry) -> type[_Twin]:
    return _PartsOfPayload if entry.in_parts else _BASES[entry.kind][0]


_BASES = {
    "array-array": (_Transform, "a filter"),
    "array-bytes": (_Payload, "``serializer``"),
    "bytes-bytes": (_Coder, "a compressor"),
}


def _class_of(entry: Entry) -> type[_Twin]:
    """Return the class of a codec, whose fields are the arguments of the numcodecs class."""
    module, _, class_name = entry.home.partition(":")
    role = _BASES[entry.kind][1]
    defaults = {parameter.name: parameter.default for parameter in entry.parameters}
    settings = {**defaults, **entry.settings}
    return make_dataclass(
        class_name,
        [(name, Any, field(default=value)) for name, value in settings.items()],
        bases=(_base_of(entry),),
        namespace={
            "__doc__": f"`{entry.name}`, to be given as {role}; see `{module}.{class_name}`.",
            "__module__": __name__,
            "entry": entry,
        },
        frozen=True,
    )


globals().update(
    {
        entry.home.partition(":")[2]: _class_of(entry)
        for entry in CATALOGUE.values()
        if entry.codec_id.startswith("n1store.") and entry.name != "adc"
    }
)
