"""What a codec is to this benchmark."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Codec:
    """A codec with its parameters, a row of the results.

    Attributes
    ----------
    name, parameters : str
        What the results call it.
    encode : callable
        From a chunk, C-contiguous int16 of shape (num_samples,) or (num_samples,
        num_channels), to its payload.
    decode : callable
        From a payload and the chunk's shape back to the chunk.
    max_channels : int
        1 for those that take one channel at a time.
    slow : bool
        Whether it is timed in fewer rounds, and not on the samples themselves beside the codes.
    maps_itself : bool
        Whether it maps the N1's samples to the converter's codes itself.
    """

    name: str
    parameters: str
    encode: Callable[[np.ndarray], bytes]
    decode: Callable[[bytes, tuple[int, ...]], np.ndarray]
    max_channels: int = 1
    slow: bool = False
    maps_itself: bool = False

    @property
    def label(self) -> str:
        """Name and parameters."""
        return f"{self.name} {self.parameters}"
