"""n1store's codecs for Zarr format 3; zarr finds them through entry points."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec

from n1store import core
from n1store.codecs import n1
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
class N1(ArrayBytesCodec):
    """The `n1` codec, to be given as ``serializer``; see `n1store.codecs.n1.N1`."""

    level: int = 2
    widths: str | None = None

    is_fixed_size = False

    def __post_init__(self):
        # The same checks and the same base64 as in format 2.
        codec = n1.N1(self.level, self.widths)
        object.__setattr__(self, "level", codec.level)
        object.__setattr__(self, "widths", codec.widths)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make the codec from its metadata."""
        return cls(**data.get("configuration", {}))

    def to_dict(self) -> dict[str, Any]:
        """Return the codec's metadata; without `widths` where they are the built-in ones."""
        configuration = {"level": self.level} | ({"widths": self.widths} if self.widths else {})
        return {"name": "n1store.n1", "configuration": configuration}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Raise NotImplementedError, as Zarr has it for sizes that depend on the samples."""
        raise NotImplementedError

    def _encode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        samples = n1.fold(chunk_data.as_numpy_array())
        payload = core.n1_encode(samples, self.level, n1.widths_from_config(self.widths))
        return chunk_spec.prototype.buffer.from_bytes(payload)

    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        payload = chunk_data.as_numpy_array()
        dtype = _native(chunk_spec.dtype)
        info = core.n1_payload_info(payload)
        # A filter such as delta may have made the chunk one-dimensional.
        shapes = n1.folded_shape(chunk_spec.shape), (math.prod(chunk_spec.shape),)
        if info.dtype != dtype.newbyteorder("<") or info.shape not in shapes:
            raise N1StoreError(
                f"the n1 payload holds {info.dtype} of shape {info.shape}, "
                f"the chunk is {dtype} of shape {chunk_spec.shape}"
            )
        samples = core.n1_decode(payload, n1.widths_from_config(self.widths))
        samples = samples.astype(dtype, copy=False).reshape(chunk_spec.shape)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(samples)

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)


def _native(dtype: Any) -> np.dtype:
    # zarr 3.0 has dtypes of NumPy, later versions have their own.
    return dtype.to_native_dtype() if hasattr(dtype, "to_native_dtype") else np.dtype(dtype)
