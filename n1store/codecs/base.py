"""What n1store's numcodecs codecs have in common: what they are given, and where they decode to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from numcodecs.abc import Codec
from numcodecs.compat import ensure_ndarray, ndarray_copy

from n1store.errors import N1StoreError

Array = npt.NDArray[Any]

DTYPES = tuple(np.dtype(name) for name in ("<i2", "<u2", "i1", "u1"))
"""Dtypes of samples, by the number that stands for each in payloads and in cd_values."""


class OwnCodec(Codec):  # type: ignore[misc]  # numcodecs has no types
    """A numcodecs codec of n1store."""

    codec_id: ClassVar[str]

    @property
    def name(self) -> str:
        """What users call it."""
        return self.codec_id.removeprefix("n1store.")

    @property
    def _payload(self) -> str:
        return f"the {self.name} payload"


def level_of(name: str, level: Any, levels: range) -> int:
    """Return a level as an integer; N1StoreError if the codec of that name has no such level."""
    if level not in levels:
        raise N1StoreError(f"{name} has levels {levels[0]} to {levels[-1]}, not {level!r}")
    return int(level)


def check_settings(name: str, settings: dict[str, tuple[Any, Sequence[Any]]]) -> None:
    """Raise N1StoreError for the first setting whose value is not among those that there are."""
    for setting, (value, values) in settings.items():
        if value not in values:
            known = f"in {values}" if isinstance(values, range) else ", ".join(values)
            raise N1StoreError(f"{name} has {setting} {known}, not {value!r}")


def samples_of(buf: Any, name: str, dtypes: Sequence[np.dtype[Any]], words: str) -> Array:
    """Return a chunk's samples of shape (num_samples,) or (num_samples, num_channels).

    Parameters
    ----------
    buf : buffer
        An array of any strides, whose first axis is time, and all others together the channels.
    name : str
        Of the codec that is to encode it.
    dtypes : sequence of numpy.dtype
        That the codec takes; `words` says the same.

    Raises
    ------
    N1StoreError
        If the chunk is of another dtype, or in Fortran order: Zarr format 2 takes what is decoded
        for bytes of its own dtype and order, and would read back other samples, without an error.
    """
    chunk = ensure_ndarray(buf)
    in_order = chunk.flags.c_contiguous or not chunk.flags.f_contiguous
    if chunk.dtype not in dtypes or not in_order:
        little = chunk.dtype.newbyteorder("<")
        remedy = f"; numpy.ascontiguousarray(chunk, '{little.str}') makes it so"
        raise N1StoreError(
            f"{name} takes {words} in C order, not "
            f"{chunk.dtype} in {'C' if in_order else 'Fortran'} order"
            f"{remedy if little in dtypes else ''}"
        )
    return fold(chunk)


def fold(chunk: Array) -> Array:
    """Return a chunk of any number of dimensions with one or two."""
    return chunk if chunk.ndim in (1, 2) else chunk.reshape(folded_shape(chunk.shape))


def folded_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a payload: time, and all other axes together."""
    if len(shape) < 2:
        return shape or (1,)
    return shape[0], math.prod(shape[1:])


def decode_into(
    out: Any,
    what: str,
    dtype: npt.DTypeLike,
    shape: tuple[int, ...],
    decode: Callable[[Array | None], Array],
) -> Any:
    """Decode a payload into a buffer, without a copy where that lies as an array of the samples.

    Parameters
    ----------
    out : buffer or None
        Of as many bytes as the samples, whatever its dtype and shape.
    what : str
        The payload, for an error.
    dtype, shape
        Of the samples.
    decode : callable
        Decodes into the array that it is given, of this dtype and shape, in C order; or into a
        new one for None. Returns the array.

    Returns
    -------
    buffer
        `out`; a new array if that is None.

    Raises
    ------
    N1StoreError
        If `out` has another size.
    """
    if out is None:
        return decode(None)
    dtype = np.dtype(dtype)
    target = ensure_ndarray(out)
    check_size(target, what, dtype.itemsize * math.prod(shape))
    if target.flags.c_contiguous and target.flags.writeable:
        samples = target.reshape(-1).view(dtype).reshape(shape)
        if samples.flags.aligned:
            decode(samples)
            return out
    return ndarray_copy(decode(None), out)


def check_size(out: Any, what: str, size: int) -> None:
    """Raise N1StoreError if a buffer to decode a payload into is not of this size."""
    num_bytes = ensure_ndarray(out).nbytes
    if num_bytes != size:
        raise N1StoreError(f"{what} holds {size} bytes, out has {num_bytes}")
