"""What the codecs from bytes to bytes have in common whose work a library does."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy

from n1store.codecs.base import Array, OwnCodec, check_size, level_of
from n1store.errors import N1StoreError, one_line


class LibraryCodec(OwnCodec):
    """A codec from bytes to bytes with one parameter, a level, or none.

    Attributes
    ----------
    levels : range
        The levels that there are; none if it has no such parameter.
    """

    levels: ClassVar[range] = range(0)

    def __init__(self, level: int):
        self.level = level_of(self.name, level, self.levels)

    @abstractmethod
    def _compress(self, content: memoryview) -> bytes:
        """Return the payload of these bytes."""

    @abstractmethod
    def _decompress(self, payload: memoryview) -> bytes | Array:
        """Return the bytes of a payload; any Exception says that it is damaged."""

    def encode(self, buf: Any) -> bytes:
        """Return the payload of a contiguous buffer."""
        return self._compress(_bytes_of(buf))

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the bytes of a payload.

        Parameters
        ----------
        buf : contiguous buffer
            What `encode` returned.
        out : buffer, optional
            To copy them into; of as many bytes.

        Returns
        -------
        ndarray of uint8
            Flat; `out` if it is given.

        Raises
        ------
        N1StoreError
            If the payload is damaged, as far as the library notices, or if `out` is of another
            size.
        """
        try:
            content = np.frombuffer(self._decompress(_bytes_of(buf)), "u1")
        except Exception as error:  # libraries have exceptions of their own
            raise N1StoreError(f"{self._payload} is damaged: {one_line(error)}") from error
        if out is not None:
            check_size(out, self._payload, content.size)
        return ndarray_copy(content, out)


def _bytes_of(buf: Any) -> memoryview:
    return memoryview(ensure_contiguous_ndarray(buf)).cast("B")
