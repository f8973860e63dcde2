"""The simple codecs of filters/core/generic/simple.h as numcodecs codecs.

Transforms make of samples other numbers, which the codec behind them stores in less; coders store
any bytes in less. Their classes, such as `Delta` and `RLE`, are made from the rows of
simple_table.py. All payloads are specified in filters/format/codecs.md.
"""

from __future__ import annotations

import math
from dataclasses import make_dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numcodecs.compat import ensure_contiguous_ndarray, ensure_ndarray

from n1store.codecs import native
from n1store.codecs.base import Array, OwnCodec, decode_into, folded_shape, samples_of
from n1store.codecs.simple_table import SIMPLE_CODECS, SimpleRow
from n1store.errors import N1StoreError

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Tell type checkers that there are classes which are not written out here."""


class Simple(OwnCodec):
    """A codec of the core."""

    @classmethod
    def _core(cls) -> native.SimpleCodec:
        """Return what does the work."""
        return native.simple_codec(cls.codec_id.removeprefix("n1store."))

    def _decode(self, payload: Array, out: Any) -> Any:
        """Return the bytes of a C-contiguous payload, or `out` if it is given."""
        core = self._core()
        if out is None:
            return core.decode(payload)
        shape = (core.decoded_size(payload),)
        return decode_into(out, self._payload, "u1", shape, lambda to: core.decode(payload, to))


class Transform(Simple):
    """A codec from samples to numbers of the same dtype, with at most one parameter.

    What decoding needs to know, also how many channels there are, is in frames that it adds in
    front. Sums and differences wrap around, so that any samples are lossless.

    Attributes
    ----------
    parameter : str
        What its parameter is called; empty if it has none.
    """

    parameter: ClassVar[str]

    @classmethod
    def values(cls) -> range:
        """Return the values of its parameter; 0 alone if it has none."""
        return cls._core().parameters

    def __post_init__(self) -> None:
        if self._value not in self.values():
            least, most = self.values()[0], self.values()[-1]
            raise N1StoreError(
                f"{self.name} has {self.parameter} {least} to {most}, not {self._value!r}"
            )
        if self.parameter:
            setattr(self, self.parameter, int(self._value))

    @property
    def _value(self) -> Any:
        return getattr(self, self.parameter) if self.parameter else 0

    def encode(self, buf: Any) -> Array:
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
        words = "little-endian integers of 16 bits"
        samples = np.ascontiguousarray(samples_of(buf, self.name, _DTYPES, words))
        if samples.size == 0:
            return samples
        num_channels = (*samples.shape, 1)[1]
        numbers = self._core().encode(samples, num_channels, self._value)
        return numbers.view(samples.dtype).reshape(-1, *samples.shape[1:])

    def decode(self, buf: Any, out: Any = None) -> Any:
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
            raise N1StoreError(f"{self._payload} is not of {channels} channels")
        return samples.reshape(-1, *channels)

    def encoded_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of what `encode` returns for a chunk of this shape."""
        num_samples, *channels = folded_shape(shape)
        num_channels = (*channels, 1)[0]
        size = self._core().bound(2 * num_samples * num_channels, num_channels, self._value)
        return size // (2 * num_channels), *channels


_DTYPES = [np.dtype("<i2"), np.dtype("<u2")]


class Coder(Simple):
    """A codec from bytes to bytes, without parameters."""

    def encode(self, buf: Any) -> bytes:
        """Return the payload of a contiguous buffer."""
        return self._core().encode(ensure_contiguous_ndarray(buf)).tobytes()

    def decode(self, buf: Any, out: Any = None) -> Any:
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


def _class_of(row: SimpleRow) -> type[Simple]:
    """Return the class of a codec, whose only argument is its parameter."""
    parameter = row.parameter
    return make_dataclass(
        row.class_name,
        [(parameter.name, int, parameter.default)] if parameter else [],
        bases=(Transform if row.kind == "array-array" else Coder,),
        namespace={
            "__doc__": row.docstring,
            "__module__": __name__,
            "codec_id": row.codec_id,
            "parameter": parameter.name if parameter else "",
        },
        # numcodecs compares and shows codecs by their configurations.
        eq=False,
        repr=False,
    )


CODECS: tuple[type[Simple], ...] = tuple(map(_class_of, SIMPLE_CODECS))
globals().update({codec.__name__: codec for codec in CODECS})
