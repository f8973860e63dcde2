"""The `n1` codec as a numcodecs codec."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Any

import numpy as np
from numcodecs.compat import ensure_contiguous_ndarray

from n1store.codecs import native
from n1store.codecs.base import DTYPES, OwnCodec, decode_into, level_of, samples_of
from n1store.errors import N1StoreError

LEVELS = range(1, 4)
MAX_BLOCK_SAMPLES = 1 << 18


class N1(OwnCodec):
    """n1store's own lossless codec for neural recordings, with the map of `adc` inside.

    A payload says its dtype and shape itself, and ends in error if a bit of its samples has
    changed: neither `adc` in front nor a checksum behind are needed.

    Parameters
    ----------
    level : int
        1 is fast, 2 the default, 3 the smallest. Decoding does not depend on it.
    widths : str or bytes, optional
        A table of `native.NUM_CODES` code widths to use instead of the built-in one, as bytes
        or in base64. What was encoded with a table can only be decoded with it.
    block_samples : int
        The most samples of a channel in a block, the least that can be decoded; 0 for as many as
        suit, which is smallest. Decoding does not depend on it.

    Raises
    ------
    N1StoreError
        If there is no such level or block, or `widths` is no such table.
    """

    codec_id = "n1store.n1"

    def __init__(self, level: int = 2, widths: str | bytes | None = None, block_samples: int = 0):
        self.level = level_of("n1", level, LEVELS)
        if block_samples not in range(MAX_BLOCK_SAMPLES + 1):
            raise N1StoreError(
                f"n1 has blocks of up to {MAX_BLOCK_SAMPLES} samples, not {block_samples!r}"
            )
        self.block_samples = int(block_samples)
        self._widths = widths_from_config(widths)
        self.widths = None if self._widths is None else base64.b64encode(self._widths).decode()

    @property
    def table_of_widths(self) -> bytes | None:
        """The code widths as bytes; None for the built-in ones."""
        return self._widths

    def get_config(self) -> dict[str, Any]:
        """Return the configuration; without `widths` and `block_samples` that are the defaults."""
        config: dict[str, Any] = {"id": self.codec_id, "level": self.level}
        if self.widths is not None:
            config["widths"] = self.widths
        if self.block_samples:
            config["block_samples"] = self.block_samples
        return config

    def encode(self, buf: Any) -> bytes:
        """Return the payload of a chunk.

        Parameters
        ----------
        buf : ndarray of int16, uint16, int8 or uint8, little-endian, or any buffer
            The first axis is time. All others are taken together as channels.

        Raises
        ------
        N1StoreError
            If the chunk is of another dtype, big-endian, or in Fortran order.
        """
        words = "little-endian integers of 8 or 16 bits"
        samples = samples_of(buf, "n1", DTYPES, words)
        return native.n1_encode(samples, self.level, self._widths, block_samples=self.block_samples)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the samples of a payload.

        Parameters
        ----------
        buf : contiguous buffer
        out : buffer, optional
            To decode into; of as many bytes as the samples, whatever its dtype and shape.

        Returns
        -------
        ndarray
            `out` if it is given; else of the payload's dtype, and its shape, which is
            (num_samples,) or (num_samples, num_channels).

        Raises
        ------
        N1StoreError
            If the payload is damaged, of a newer version, or needs another table of widths, or
            if `out` is of another size.
        """
        payload = ensure_contiguous_ndarray(buf)
        if out is None:
            return native.n1_decode(payload, self._widths)
        info = native.n1_payload_info(payload)
        return decode_into(
            out,
            self._payload,
            info.dtype,
            info.shape,
            lambda to: native.n1_decode(payload, self._widths, out=to),
        )


@lru_cache
def widths_from_config(widths: str | bytes | None) -> bytes | None:
    """Return a table of code widths from its base64, of either alphabet, or as it is."""
    if widths is None:
        return None
    try:
        if isinstance(widths, str):
            widths = base64.b64decode(widths.translate(_STANDARD_ALPHABET), validate=True)
    except (binascii.Error, ValueError):
        raise N1StoreError("n1's table of code widths is not in base64") from None
    if len(widths) != native.NUM_CODES:
        raise N1StoreError(
            f"n1's table of code widths has {native.NUM_CODES} bytes, not {len(widths)}"
        )
    try:
        native.n1_encode(np.zeros(1, "u1"), widths=widths)
    except N1StoreError:
        raise N1StoreError(
            "n1's code widths are in units of 1/32 of the mean width, and these are far above"
        ) from None
    return widths


_STANDARD_ALPHABET = str.maketrans("-_", "+/")
