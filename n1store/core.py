"""Binding of the compiled core, filters/core/, through ctypes, which releases the GIL."""

import ctypes
from pathlib import Path

import numpy as np

import n1store

_INT16 = np.dtype("<i2")


def _load() -> ctypes.CDLL:
    # An editable install keeps the library and the sources in two folders of one package.
    for folder in n1store.__path__:
        library = Path(folder) / "libn1store.so"
        if library.exists():
            return ctypes.CDLL(str(library))
    raise ImportError(
        "n1store's compiled core, libn1store.so, is not beside the package: "
        "run `make setup` in the checkout, or `pip install` the package"
    )


_library = _load()
for _name in ("n1_adc_encode", "n1_adc_decode"):
    _function = getattr(_library, _name)
    _function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    _function.restype = None


def adc_encode(samples: np.ndarray) -> np.ndarray:
    """Replace samples by the codes of the implant's converter (see filters/core/adc.h).

    Parameters
    ----------
    samples : ndarray of int16, any shape and strides
        Any values; those on the N1 grid become -512..511.

    Returns
    -------
    ndarray of int16
        A new array of the same shape; contiguous, in Fortran order if `samples` is.
    """
    return _map(_library.n1_adc_encode, samples)


def adc_decode(codes: np.ndarray) -> np.ndarray:
    """Inverse of `adc_encode`, with the same shapes and dtypes."""
    return _map(_library.n1_adc_decode, codes)


def _map(function, values: np.ndarray) -> np.ndarray:
    if values.dtype != _INT16:
        raise TypeError(f"adc takes little-endian int16 samples, not {values.dtype}")
    if not (values.flags.aligned and (values.flags.c_contiguous or values.flags.f_contiguous)):
        values = np.require(values, requirements=["C", "A"])
    result = np.empty_like(values, order="A")
    function(values.ctypes.data, result.ctypes.data, values.size)
    return result
