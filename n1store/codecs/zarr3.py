"""n1store's codecs for Zarr format 3; zarr finds them through entry points."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numcodecs import get_codec
from numcodecs.abc import Codec
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec

from n1store.codecs import n1, native, simple
from n1store.codecs.library import flac
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
        return await asyncio.to_thread(_map, native.adc_encode, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(_map, native.adc_decode, chunk_data, chunk_spec)


def _map(function: Callable, chunk: NDBuffer | np.ndarray, chunk_spec: ArraySpec) -> NDBuffer:
    return chunk_spec.prototype.nd_buffer.from_numpy_array(function(_array(chunk)))


@dataclass(frozen=True)
class _Twin(ABC):
    """A codec whose metadata and fields are those of a numcodecs codec."""

    numcodecs_class: ClassVar[type[Codec]]

    is_fixed_size = False

    def __post_init__(self):
        # The same checks, and the same values, as in format 2.
        codec = self._codec()
        for name in asdict(self):
            object.__setattr__(self, name, getattr(codec, name))

    def _codec(self) -> Any:
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

    @abstractmethod
    def _encode_sync(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any: ...

    @abstractmethod
    def _decode_sync(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any: ...

    async def _encode_single(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)


@dataclass(frozen=True)
class _Payload(_Twin, ArrayBytesCodec):
    """A codec from array to bytes whose payloads say their dtype and shape."""

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


@dataclass(frozen=True)
class N1(_Payload):
    """The `n1` codec, to be given as ``serializer``; see `n1store.codecs.n1.N1`."""

    level: int = 2
    widths: str | None = None

    numcodecs_class = n1.N1


@dataclass(frozen=True)
class Flac(_Payload):
    """FLAC, to be given as ``serializer``; see `n1store.codecs.library.flac.Flac`."""

    level: int = 5

    numcodecs_class = flac.Flac


@dataclass(frozen=True)
class _Transform(_Twin, ArrayArrayCodec):
    """A codec that makes longer chunks of samples; see `n1store.codecs.simple.Transform`."""

    is_fixed_size = True

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Return the size, which depends on the shape of the chunk."""
        return 2 * math.prod(self._codec().encoded_shape(chunk_spec.shape))

    def resolve_metadata(self, chunk_spec: ArraySpec) -> ArraySpec:
        """Return what the codec behind it is given."""
        return replace(chunk_spec, shape=self._codec().encoded_shape(chunk_spec.shape))

    def _encode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        samples = _array(chunk_data)
        samples = np.ascontiguousarray(samples, samples.dtype.newbyteorder("<"))
        return self._to_buffer(self._codec().encode(samples), chunk_spec)

    def _decode_sync(self, chunk_data: NDBuffer | np.ndarray, chunk_spec: ArraySpec) -> NDBuffer:
        numbers = _array(chunk_data)
        numbers = np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<"))
        samples = self._codec().decode(numbers)
        if samples.size != math.prod(chunk_spec.shape):
            raise N1StoreError(
                f"the payload holds {samples.size} samples, "
                f"the chunk is of shape {chunk_spec.shape}"
            )
        return self._to_buffer(samples.reshape(chunk_spec.shape), chunk_spec)

    def _to_buffer(self, values: np.ndarray, chunk_spec: ArraySpec) -> NDBuffer:
        values = values.astype(_native(chunk_spec.dtype), copy=False)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(values)


@dataclass(frozen=True)
class Delta(_Transform):
    """Differences, to be given as a filter; see `n1store.codecs.simple.Delta`."""

    order: int = 1

    numcodecs_class = simple.Delta


@dataclass(frozen=True)
class LPC(_Transform):
    """To be given as a filter; see `n1store.codecs.simple.LPC`."""

    order: int = 8

    numcodecs_class = simple.LPC


@dataclass(frozen=True)
class IWT(_Transform):
    """To be given as a filter; see `n1store.codecs.simple.IWT`."""

    levels: int = 8

    numcodecs_class = simple.IWT


@dataclass(frozen=True)
class _Coder(_Twin, BytesBytesCodec):
    """A codec from bytes to bytes; see `n1store.codecs.simple.Coder`."""

    def _encode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        encoded = self._codec().encode(chunk_data.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(encoded)

    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        decoded = self._codec().decode(chunk_data.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(decoded.tobytes())


@dataclass(frozen=True)
class RLE(_Coder):
    """To be given as a compressor; see `n1store.codecs.simple.RLE`."""

    numcodecs_class = simple.RLE


@dataclass(frozen=True)
class PackBits10(_Coder):
    """To be given as a compressor; see `n1store.codecs.simple.PackBits10`."""

    numcodecs_class = simple.PackBits10


@dataclass(frozen=True)
class Huffman(_Coder):
    """To be given as a compressor; see `n1store.codecs.simple.Huffman`."""

    numcodecs_class = simple.Huffman


@dataclass(frozen=True)
class Arithmetic(_Coder):
    """To be given as a compressor; see `n1store.codecs.simple.Arithmetic`."""

    numcodecs_class = simple.Arithmetic


@dataclass(frozen=True)
class RANS(_Coder):
    """To be given as a compressor; see `n1store.codecs.simple.RANS`."""

    numcodecs_class = simple.RANS


class _Registered(_Twin):
    """A codec whose library may be missing, so that numcodecs finds it when it is used."""

    codec_id: ClassVar[str]

    def _codec(self) -> Any:
        return get_codec({"id": self.codec_id, **asdict(self)})


@dataclass(frozen=True)
class Alac(_Registered, _Payload):
    """ALAC, to be given as ``serializer``; see `n1store.codecs.library.alac.Alac`."""

    codec_id = "n1store.alac"


@dataclass(frozen=True)
class Bitshuffle(_Registered, _Coder):
    """To be given as a compressor; see `n1store.codecs.library.bitshuffle.Bitshuffle`."""

    cname: str = "lz4"
    clevel: int = 3
    typesize: int = 2
    nelems: int = 0

    codec_id = "n1store.bitshuffle"


@dataclass(frozen=True)
class Blosc2(_Registered, _Coder):
    """Blosc2, to be given as a compressor; see `n1store.codecs.library.blosc2.Blosc2`."""

    cname: str = "zstd"
    clevel: int = 5
    filter: str = "bitshuffle"
    typesize: int = 2

    codec_id = "n1store.blosc2"


@dataclass(frozen=True)
class Brotli(_Registered, _Coder):
    """Brotli, to be given as a compressor; see `n1store.codecs.library.brotli.Brotli`."""

    level: int = 9

    codec_id = "n1store.brotli"


@dataclass(frozen=True)
class Bzip3(_Registered, _Coder):
    """bzip3, to be given as a compressor; see `n1store.codecs.library.bzip3.Bzip3`."""

    codec_id = "n1store.bzip3"


@dataclass(frozen=True)
class LZ4HC(_Registered, _Coder):
    """LZ4HC, to be given as a compressor; see `n1store.codecs.library.lz4hc.LZ4HC`."""

    level: int = 9

    codec_id = "n1store.lz4hc"


@dataclass(frozen=True)
class LZF(_Registered, _Coder):
    """LZF, to be given as a compressor; see `n1store.codecs.library.lzf.LZF`."""

    codec_id = "n1store.lzf"


def _array(chunk: NDBuffer | np.ndarray) -> np.ndarray:
    # wavpack-numcodecs 0.3 hands over a bare ndarray.
    return chunk if isinstance(chunk, np.ndarray) else chunk.as_numpy_array()


def _native(dtype: Any) -> np.dtype:
    # zarr 3.0 has dtypes of NumPy, later versions have their own.
    return dtype.to_native_dtype() if hasattr(dtype, "to_native_dtype") else np.dtype(dtype)
