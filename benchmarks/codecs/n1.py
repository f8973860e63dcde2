"""n1, at each level, and with a table of code widths other than the built-in one."""

from functools import partial

import numpy as np

from codec import Codec
from n1store.codecs.native import n1_decode, n1_encode

MAX_CHANNELS = 1 << 16  # more than any recording here has


def level(number: int, widths: bytes | None = None, remark: str = "") -> Codec:
    def decode(payload: bytes, _: tuple[int, ...]) -> np.ndarray:
        return n1_decode(payload, widths)

    encode = partial(n1_encode, level=number, widths=widths)
    parameters = f"level {number}{remark}"
    return Codec("n1", parameters, encode, decode, MAX_CHANNELS, maps_itself=True)


CODECS = [level(1), level(2), level(3)]
