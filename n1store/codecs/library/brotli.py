"""Brotli (RFC 7932), by the package brotli."""

from __future__ import annotations

import brotli

from n1store.codecs.library.base import LibraryCodec

LEVELS = range(12)


class Brotli(LibraryCodec):
    """Brotli; a payload is one stream, as RFC 7932 has it.

    Parameters
    ----------
    level : int
        Brotli's quality: 0 is fast, 9 the default, 11 the smallest and many times as slow.
        Decoding does not depend on it.

    Raises
    ------
    N1StoreError
        If there is no such level.
    """

    codec_id = "n1store.brotli"
    levels = LEVELS

    def __init__(self, level: int = 9):
        super().__init__(level)

    def _compress(self, content: memoryview) -> bytes:
        payload: bytes = brotli.compress(content, quality=self.level)
        return payload

    def _decompress(self, payload: memoryview) -> bytes:
        content: bytes = brotli.decompress(payload)
        return content
