"""WavPack from wavpack-numcodecs, also for chunks that it cannot make smaller."""

import numpy as np
from numcodecs.compat import ensure_ndarray
from wavpack_numcodecs.wavpack import WavPack as _WavPack
from wavpack_numcodecs.wavpack import compress

from n1store.errors import N1StoreError


class WavPack(_WavPack):
    """The codec ``wavpack`` of wavpack-numcodecs: the same settings, the same stream.

    That one gives WavPack as many bytes to write to as the chunk has, and fails on noise
    and on very short chunks, whose streams are longer. This one hands over the samples in
    a larger buffer, whose length is all that limits the stream.
    """

    def encode(self, buf):
        """Return the stream of `buf`, int16 of shape (num_samples, num_channels)."""
        samples = self._prepare_data(ensure_ndarray(buf))
        if len(samples) < _MIN_SAMPLES <= samples.size:
            samples = samples.reshape(-1, 1)  # the stream does not keep the shape anyway
        num_samples, num_channels = samples.shape
        if num_samples < _MIN_SAMPLES:
            raise N1StoreError(f"WavPack takes {_MIN_SAMPLES} samples or more, not {num_samples}")
        roomy = np.zeros(2 * samples.size + 1024 * (num_channels + 1), samples.dtype)
        roomy[: samples.size] = samples.reshape(-1)
        return compress(
            *(roomy, self.level, num_samples, num_channels, self.bps, _INT16_ID),
            *(self.dynamic_noise_shaping, self.shaping_weight, self.num_encoding_threads),
        )


_MIN_SAMPLES = 16
_INT16_ID = 1  # in wavpack-numcodecs' numbering of dtypes
