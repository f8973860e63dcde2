"""n1store's codecs for Zarr format 3; zarr finds them through entry points."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numcodecs.abc import Codec
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec

from n1store import core
from n1store.codecs import flac, n1
from n1store.errors import N1StoreError

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer


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
        return await asyncio.to_thread(_map, core.adc_encode, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(_map, core.adc_decode, chunk_data, chunk_spec)


def _map(function: Callable, chunk: NDBuffer | np.ndarray, chunk_spec: ArraySpec) -> NDBuffer:
    # wavpack-numcodecs 0.3 hands over a bare ndarray.
    values = chunk if isinstance(chunk, np.ndarray) else chunk.as_numpy_array()
    return chunk_spec.prototype.nd_buffer.from_numpy_array(function(values))


@dataclass(frozen=True)
class _Payload(ArrayBytesCodec):
    """A numcodecs codec from array to bytes whose payloads say their dtype and shape."""

    numcodecs_class: ClassVar[type[Codec]]

    is_fixed_size = False

    def __post_init__(self):
        # The same checks, and the same values, as in format 2.
        codec = self._codec()
        for name in asdict(self):
            object.__setattr__(self, name, getattr(codec, name))

    def _codec(self) -> Codec:
        return self.numcodecs_class(**asdict(self))

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

    def _encode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        samples = chunk_data.as_numpy_array()
        samples = np.ascontiguousarray(samples, samples.dtype.newbyteorder("<"))
        return chunk_spec.prototype.buffer.from_bytes(self._codec().encode(samples))

    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        samples = self._codec().decode(chunk_data.as_numpy_array())
        dtype = _native(chunk_spec.dtype)
        # A filter such as delta may have made the chunk one-dimensional.
        shapes = n1.folded_shape(chunk_spec.shape), (math.prod(chunk_spec.shape),)
        if samples.dtype != dtype.newbyteorder("<") or samples.shape not in shapes:
            raise N1StoreError(
                f"the payload holds {samples.dtype} of shape {samples.shape}, "
                f"the chunk is {dtype} of shape {chunk_spec.shape}"
            )
        samples = samples.astype(dtype, copy=False).reshape(chunk_spec.shape)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(samples)

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)


@dataclass(frozen=True)
class N1(_Payload):
    """The `n1` codec, to be given as ``serializer``; see `n1store.codecs.n1.N1`."""

    level: int = 2
    widths: str | None = None

    numcodecs_class = n1.N1


@dataclass(frozen=True)
class Flac(_Payload):
    """FLAC, to be given as ``serializer``; see `n1store.codecs.flac.Flac`."""

    level: int = 5

    numcodecs_class = flac.Flac


def _native(dtype: Any) -> np.dtype:
    # zarr 3.0 has dtypes of NumPy, later versions have their own.
    return dtype.to_native_dtype() if hasattr(dtype, "to_native_dtype") else np.dtype(dtype)
