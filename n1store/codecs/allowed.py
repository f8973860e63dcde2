"""Which codecs a file may name, and with which settings.

numcodecs and zarr make any codec that a file names, of any package that is installed, with any
settings that the file gives. Some run what they read, as `pickle` does. So what is read from a
file is held against this list before a codec is made of it, whichever library makes it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from n1store.codecs.catalogue import CATALOGUE
from n1store.errors import N1StoreError

VARIABLE = "N1STORE_ALLOW_CODECS"
"""The environment variable that allows more: their ids, separated by commas."""

# Of numcodecs, beside those of the catalogue: they turn numbers or bytes into others.
_OF_NUMCODECS = (
    *("adler32", "astype", "base64", "bitround", "delta", "fixedscaleoffset", "fletcher32"),
    *("jenkins_lookup3", "packbits", "quantize", "shuffle", "zfpy"),
)
# Of the Zarr format 3 specification, beside those that numcodecs has too.
_OF_ZARR = ("bytes", "endian", "sharding_indexed", "transpose")
ALLOWED = frozenset([*(entry.codec_id for entry in CATALOGUE.values()), *_OF_NUMCODECS, *_OF_ZARR])

_DTYPES = ("dtype", "astype", "encode_dtype", "decode_dtype")
# Far more than any encoder writes: xz -9 has 2**26 bytes, and no machine so many cores.
_MOST = {"dict_size": 2**27, "num_encoding_threads": 2**10, "num_decoding_threads": 2**10}


_DEEPEST = 16  # of settings within settings; a codec of shards within shards has 5


def check(codec: Any) -> None:
    """Raise N1StoreError unless a file may name this codec.

    Parameters
    ----------
    codec : object
        What a file says, as JSON has it: of numcodecs and Zarr format 2, with an ``id`` and
        settings; or of Zarr format 3, with a ``name`` and a ``configuration``, or a name alone.
    """
    _check(codec, 0)


def _check(codec: Any, depth: int) -> None:
    if isinstance(codec, str):
        codec = {"name": codec}
    if not isinstance(codec, Mapping):
        raise N1StoreError("what stands for a codec is none")
    # Format 3 goes by the name, all else by the id; one beside the other would hide it.
    names = [codec[key] for key in ("id", "name") if key in codec]
    if not names or not all(isinstance(name, str) for name in names):
        raise N1StoreError("the configuration of a codec has an id")
    more = os.environ.get(VARIABLE, "").replace(",", " ").split()
    for name in names:
        if name.removeprefix("numcodecs.") not in ALLOWED and name not in more:
            raise N1StoreError(
                f"codec {name!r} is not made because a file names it: n1store does not know that "
                f"it runs nothing it reads. If you do, set {VARIABLE}={name}"
            )
    _check_settings(names, codec, depth)


def _check_settings(names: list[str], settings: Mapping[str, Any], depth: int) -> None:
    if depth > _DEEPEST:
        raise N1StoreError(f"codec {names[0]} has settings that are nested too deeply")
    for key, value in settings.items():
        parts = value if isinstance(value, list | tuple) else [value]
        if "sharding_indexed" in names and key in ("codecs", "index_codecs"):
            for codec in parts:
                _check(codec, depth + 1)
            continue
        if key in _DTYPES and not _is_number(value):
            raise N1StoreError(f"codec {names[0]} is for numbers, and not of dtype {value!r}")
        if key in _MOST and isinstance(value, int) and value > _MOST[key]:
            raise N1StoreError(f"codec {names[0]} has {key} of at most {_MOST[key]}, not {value}")
        for part in parts:
            if isinstance(part, Mapping):
                _check_settings(names, part, depth + 1)


def _is_number(dtype: Any) -> bool:
    try:
        return np.dtype(dtype).kind in "biufc"
    except (TypeError, ValueError):
        return False
