"""The simple codecs of filters/core/simple.h as numcodecs codecs.

Transforms make of samples other numbers, which the codec behind them stores in less; coders store
any bytes in less. Each is a class that says what is its own. All payloads are specified in
filters/FORMAT.md.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray, ensure_ndarray, ndarray_copy

from n1store.codecs import native
from n1store.codecs.n1 import fold, folded_shape
from n1store.errors import N1StoreError


class _Simple(Codec):
    """A codec of the core, which has the name that `codec_id` ends in.

    Attributes
    ----------
    filter_id : int
        The number of its HDF5 filter.
    """

    filter_id: ClassVar[int]

    @classmethod
    def _core(cls) -> native.SimpleCodec:
        """Return what does the work."""
        return native.simple_codec(cls.codec_id.removeprefix("n1store."))

    def _decode(self, payload: np.ndarray, out) -> np.ndarray:
        """Return the bytes of a C-contiguous payload; what has become of `out` if it is given."""
        if out is None:
            return self._core().decode(payload)
        target, size = ensure_ndarray(out), self._core().decoded_size(payload)
        if target.nbytes != size:
            raise N1StoreError(
                f"the {self._core().name} payload holds {size} bytes, out has {target.nbytes}"
            )
        if target.flags.c_contiguous and target.flags.writeable:
            self._core().decode(payload, target.reshape(-1).view("u1"))
            return out
        return ndarray_copy(self._core().decode(payload), out)


class Transform(_Simple):
    """A codec from samples to numbers of the same dtype, with one parameter.

    What decoding needs to know, also how many channels there are, is in frames that it adds in
    front. Sums and differences wrap around, so that any samples are lossless.

    Attributes
    ----------
    parameter : str
        What its parameter is called.
    """

    parameter: ClassVar[str]

    @classmethod
    def values(cls) -> range:
        """Return the values of its parameter."""
        return cls._core().parameters

    def __init__(self, value: int):
        if value not in self.values():
            least, most = self.values()[0], self.values()[-1]
            raise N1StoreError(
                f"{self._core().name} has {self.parameter} {least} to {most}, not {value!r}"
            )
        setattr(self, self.parameter, int(value))

    def encode(self, buf) -> np.ndarray:
        """Return the numbers for a chunk.

        Parameters
        ----------
        buf : ndarray of int16 or uint16, little-endian, in C order
            The first axis is time. All others are taken together as channels.

        Returns
        -------
        ndarray
            Of the same dtype and of shape (num_samples + added frames,) or (num_samples + added
            frames, num_channels).

        Raises
        ------
        N1StoreError
            If the chunk is of another dtype, big-endian, or in Fortran order.
        """
        chunk = ensure_ndarray(buf)
        # Zarr format 2 takes what is decoded for the bytes of its own dtype and order.
        in_order = chunk.flags.c_contiguous or not chunk.flags.f_contiguous
        if chunk.dtype not in _DTYPES or not in_order:
            raise N1StoreError(
                f"{self._core().name} takes little-endian integers of 16 bits in C order, not "
                f"{chunk.dtype} in {'C' if in_order else 'Fortran'} order"
            )
        samples = np.ascontiguousarray(fold(np.atleast_1d(chunk)))
        if samples.size == 0:
            return samples
        num_channels = (*samples.shape, 1)[1]
        numbers = self._core().encode(samples, num_channels, getattr(self, self.parameter))
        return numbers.view(samples.dtype).reshape(-1, *samples.shape[1:])

    def decode(self, buf, out=None):
        """Return the samples of a chunk.

        Parameters
        ----------
        buf : buffer
            What `encode` returned, or its bytes.
        out : buffer, optional
            To decode into; of as many bytes as the samples, whatever its dtype and shape.

        Returns
        -------
        ndarray
            `out` if it is given; else (num_samples,) or (num_samples, num_channels) as `buf`, or
            flat and of int16 for bytes.

        Raises
        ------
        N1StoreError
            If the numbers are damaged or of another codec, or if `out` is of another size.
        """
        numbers = np.ascontiguousarray(ensure_ndarray(buf))
        decoded = self._decode(numbers, out)
        if out is not None:
            return decoded
        if numbers.dtype not in _DTYPES:
            return decoded.view("<i2")
        samples, channels = decoded.view(numbers.dtype), numbers.shape[1:]
        if samples.size == 0:
            return samples.reshape(0, *channels)
        if samples.size % math.prod(channels):
            raise N1StoreError(f"the {self._core().name} payload is not of {channels} channels")
        return samples.reshape(-1, *channels)

    def encoded_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of what `encode` returns for a chunk of this shape."""
        num_samples, *channels = folded_shape(shape)
        num_channels = (*channels, 1)[0]
        size = self._core().bound(
            2 * num_samples * num_channels, num_channels, getattr(self, self.parameter)
        )
        return size // (2 * num_channels), *channels


_DTYPES = [np.dtype("<i2"), np.dtype("<u2")]


class Delta(Transform):
    """Each sample minus the one before it in its channel.

    Parameters
    ----------
    order : int
        How often: 1, or 2 for differences of the differences.
    """

    codec_id = "n1store.delta"
    filter_id = 52789
    parameter = "order"

    def __init__(self, order: int = 1):
        super().__init__(order)


class LPC(Transform):
    """Each sample minus what a linear predictor, fitted to its channel, makes of those before it.

    Parameters
    ----------
    order : int
        Samples that a prediction is made from, 1 to 32.
    """

    codec_id = "n1store.lpc"
    filter_id = 52790
    parameter = "order"

    def __init__(self, order: int = 8):
        super().__init__(order)


class IWT(Transform):
    """The reversible 5/3 wavelet transform along time, as JPEG 2000 has it (ISO/IEC 15444-1).

    Parameters
    ----------
    levels : int
        How often, 1 to 8; each time the smooth half is transformed again.
    """

    codec_id = "n1store.iwt"
    filter_id = 52791
    parameter = "levels"

    def __init__(self, levels: int = 8):
        super().__init__(levels)


class Coder(_Simple):
    """A codec from bytes to bytes, without parameters."""

    def encode(self, buf) -> bytes:
        """Return the payload of a contiguous buffer."""
        return self._core().encode(ensure_contiguous_ndarray(buf)).tobytes()

    def decode(self, buf, out=None):
        """Return the bytes of a payload.

        Parameters
        ----------
        buf : contiguous buffer
            What `encode` returned.
        out : buffer, optional
            To decode into; of as many bytes.

        Returns
        -------
        ndarray of uint8
            Flat; `out` if it is given.

        Raises
        ------
        N1StoreError
            If the payload is damaged or of another codec, or if `out` is of another size.
        """
        return self._decode(ensure_contiguous_ndarray(buf), out)


class RLE(Coder):
    """Runs of the same 16-bit number, as PackBits of Apple's Technical Note TN1023 has them."""

    codec_id = "n1store.rle"
    filter_id = 52792


class PackBits10(Coder):
    """16-bit numbers from -512 to 511 in 10 bits each, in blocks; others as they are."""

    codec_id = "n1store.packbits10"
    filter_id = 52793


class Huffman(Coder):
    """Canonical Huffman codes of 16-bit numbers or pairs of them, in blocks with tables."""

    codec_id = "n1store.huffman"
    filter_id = 52794


class Arithmetic(Coder):
    """Adaptive arithmetic coding of 16-bit numbers, by range coders that learn as they go."""

    codec_id = "n1store.arithmetic"
    filter_id = 52795


class RANS(Coder):
    """Range asymmetric numeral systems (rANS), in blocks with tables of shares."""

    codec_id = "n1store.rans"
    filter_id = 52796


CODECS: tuple[type[_Simple], ...] = (Delta, LPC, IWT, RLE, PackBits10, Huffman, Arithmetic, RANS)
