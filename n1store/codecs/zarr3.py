"""n1store's codecs for Zarr format 3; zarr finds them through entry points."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from zarr.abc.codec import ArrayArrayCodec

from n1store import core

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import NDBuffer


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
