"""The `adc` permutation as a numcodecs codec."""

from numcodecs.abc import Codec
from numcodecs.compat import ensure_ndarray, ndarray_copy

from n1store.codecs import native
from n1store.errors import N1StoreError


class ADC(Codec):
    """Map the N1's 16-bit samples to the 10-bit codes of its converter, and back.

    A permutation of all int16 values, hence lossless on any input. To be put in front of
    a compressor: it makes WavPack's ratio 3.3 instead of 1.5. It has no parameters.
    """

    codec_id = "n1store.adc"

    def encode(self, buf):
        """Return the codes of `buf`, an int16 array of any shape, as a new array like it."""
        return native.adc_encode(ensure_ndarray(buf))

    def decode(self, buf, out=None):
        """Return the samples of `buf`, as an int16 array of its shape, or flat for bytes."""
        codes = ensure_ndarray(buf)
        if codes.dtype != "<i2":
            codes = codes.view("<i2")
        if out is None:
            return native.adc_decode(codes)
        target = ensure_ndarray(out)
        if target.nbytes != codes.nbytes:
            raise N1StoreError(f"there are {codes.nbytes} bytes of codes, out has {target.nbytes}")
        if codes.flags.c_contiguous and target.flags.c_contiguous:
            samples = target.reshape(-1).view("<i2")
            if samples.flags.aligned and samples.flags.writeable:
                native.adc_decode(codes.reshape(-1), samples)
                return out
        return ndarray_copy(native.adc_decode(codes), out)
