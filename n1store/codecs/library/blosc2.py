"""Blosc2, by the package blosc2: frames as HDF5's registered filter 32026 stores them."""

from __future__ import annotations

import blosc2

from n1store.codecs.base import check_settings
from n1store.codecs.library.base import LibraryCodec

_CODECS = {
    "zstd": blosc2.Codec.ZSTD,
    "lz4": blosc2.Codec.LZ4,
    "lz4hc": blosc2.Codec.LZ4HC,
    "zlib": blosc2.Codec.ZLIB,
    "blosclz": blosc2.Codec.BLOSCLZ,
}
_FILTERS = {
    "none": [blosc2.Filter.NOFILTER],
    "shuffle": [blosc2.Filter.SHUFFLE],
    "bitshuffle": [blosc2.Filter.BITSHUFFLE],
    "delta": [blosc2.Filter.DELTA],
    # Differences of bytes, of which those of like weight must be neighbours.
    "bytedelta": [blosc2.Filter.SHUFFLE, blosc2.Filter.BYTEDELTA],
}
# Blosc2 is told once, for the process, to let go of Python's lock while it works.
blosc2.set_releasegil(True)

CNAMES = tuple(_CODECS)
FILTERS = tuple(_FILTERS)
LEVELS = range(10)


class Blosc2(LibraryCodec):
    """Blosc2; a payload is a contiguous frame of one chunk, which says how to decode it.

    Parameters
    ----------
    cname : str
        The compressor: zstd, lz4, lz4hc, zlib or blosclz.
    clevel : int
        0 does not compress, 5 is the default, 9 makes the smallest.
    filter : str
        What stands in front of it: none, shuffle, bitshuffle, delta (from the samples of the
        first block) or bytedelta (shuffle, and then differences of neighbouring bytes).
    typesize : int
        Bytes of a sample.

    Raises
    ------
    N1StoreError
        If any of them is none that there is.
    """

    codec_id = "n1store.blosc2"

    def __init__(
        self, cname: str = "zstd", clevel: int = 5, filter: str = "bitshuffle", typesize: int = 2
    ):
        settings = {
            "cname": (cname, CNAMES),
            "clevel": (clevel, LEVELS),
            "filter": (filter, FILTERS),
            "typesize": (typesize, range(1, 256)),
        }
        check_settings(self.name, settings)
        self.cname = cname
        self.clevel = int(clevel)
        self.filter = filter
        self.typesize = int(typesize)

    def _compress(self, content: memoryview) -> bytes:
        # Bytes of another codec need not be whole samples.
        whole = len(content) % self.typesize == 0
        filters = _FILTERS[self.filter]
        settings = blosc2.CParams(
            codec=_CODECS[self.cname],
            clevel=self.clevel,
            typesize=self.typesize if whole else 1,
            filters=filters,
            filters_meta=[0] * len(filters),
            nthreads=1,  # chunks are encoded in parallel
        )
        frame = blosc2.SChunk(
            chunksize=max(len(content), self.typesize),
            data=content if len(content) else None,
            contiguous=True,
            cparams=settings,
            dparams=blosc2.DParams(nthreads=1),
        )
        payload: bytes = frame.to_cframe()
        return payload

    def _decompress(self, payload: memoryview) -> bytes:
        content = bytes(payload)  # older versions do not keep it for as long as the frame
        frame = blosc2.schunk_from_cframe(content)
        # Others' chunks of several dimensions are cut into blocks, whose samples are neighbours.
        if "b2nd" in frame.meta:
            samples: bytes = blosc2.ndarray_from_cframe(content)[...].tobytes()
            return samples
        # The frame itself would decode them without letting go of Python's lock.
        chunks = (frame.get_chunk(number) for number in range(frame.nchunks))
        return b"".join(blosc2.decompress2(chunk, nthreads=1) for chunk in chunks)
