"""What the codecs from bytes to bytes have in common whose work a library does."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy

from n1store.errors import N1StoreError, one_line


class LibraryCodec(Codec):
    """A codec from bytes to bytes with one parameter, a level, or none.

    Attributes
    ----------
    levels : range
        The levels that there are; none if it has no such parameter.
    """

    levels: ClassVar[range] = range(0)

    def __init__(self, level: int):
        if level not in self.levels:
            raise N1StoreError(
                f"{self._name} has levels {self.levels[0]} to {self.levels[-1]}, not {level!r}"
            )
        self.level = int(level)

    @property
    def _name(self) -> str:
        return self.codec_id.removeprefix("n1store.")

    @abstractmethod
    def _compress(self, content: memoryview) -> bytes:
        """Return the payload of these bytes."""

    @abstractmethod
    def _decompress(self, payload: memoryview) -> bytes | np.ndarray:
        """Return the bytes of a payload; any Exception says that it is damaged."""

    def encode(self, buf) -> bytes:
        """Return the payload of a contiguous buffer."""
        return self._compress(_bytes_of(buf))

    def decode(self, buf, out=None):
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
            raise N1StoreError(f"the {self._name} payload is damaged: {one_line(error)}") from error
        if out is None:
            return content
        size = ensure_contiguous_ndarray(out).nbytes
        if size != content.size:
            raise N1StoreError(
                f"the {self._name} payload holds {content.size} bytes, out has {size}"
            )
        return ndarray_copy(content, out)


def _bytes_of(buf) -> memoryview:
    return memoryview(ensure_contiguous_ndarray(buf)).cast("B")
