"""cd_values of the HDF5 filter that is any codec of numcodecs; see filters/format/stores.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from n1store.codecs.allowed import check
from n1store.codecs.spec import Configuration
from n1store.errors import N1StoreError, one_line

DTYPES = tuple(
    np.dtype(name) for name in ("<i2", "<u2", "i1", "u1", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8")
)
"""What a codec can be given, by the number that stands for it."""

_HEAD = 4  # size of the configuration, dtype, channels, bytes of a chunk
_MOST = 250  # programs that list filters take 256 values at most


def to_cd_values(
    configuration: Configuration, dtype: np.dtype[Any], num_channels: int | None, chunk_bytes: int
) -> tuple[int, ...]:
    """Return the cd_values for a codec's configuration and what it is to be given.

    `num_channels` is None for a flat array, `chunk_bytes` 0 where it is not known.

    Raises
    ------
    N1StoreError
        If it is refused or too long, or is nothing that JSON can hold.
    """
    check(configuration)
    try:
        text = json.dumps(
            configuration, separators=(",", ":"), sort_keys=True, default=np.generic.item
        ).encode()
    except (TypeError, ValueError) as error:
        raise N1StoreError(
            f"the configuration of codec {configuration['id']} does not fit into JSON: "
            f"{one_line(error)}"
        ) from error
    packed = np.frombuffer(text + bytes(-len(text) % 4), "<u4").tolist()
    if len(packed) > _MOST:
        raise N1StoreError(
            f"the configuration of codec {configuration['id']} has {len(text)} bytes; "
            f"HDF5 has room for {4 * _MOST}"
        )
    return len(text), DTYPES.index(dtype), num_channels or 0, chunk_bytes, *packed


def configuration_of(cd_values: Sequence[int]) -> Configuration:
    """Return the codec's configuration in cd_values; ValueError or N1StoreError if it is none."""
    size = cd_values[0]
    text = np.array(cd_values[_HEAD:], "<u4").tobytes()
    if size > len(text):
        raise ValueError("the configuration is cut off")
    try:
        configuration: Configuration = json.loads(text[:size])
    except RecursionError:
        raise ValueError("the configuration is nested too deeply") from None
    check(configuration)
    return configuration
