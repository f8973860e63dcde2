"""pcodec as numcodecs has it, from the version on that decodes what a checksum stood behind."""

from importlib.metadata import version

from numcodecs.pcodec import PCodec

if tuple(map(int, version("numcodecs").split(".")[:3])) < (0, 16, 4):
    raise ImportError(f"numcodecs {version('numcodecs')} takes pcodec's chunks as bytes only")

__all__ = ["PCodec"]
