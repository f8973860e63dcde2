"""What is here: places, versions, and marks of the tests that need what is not everywhere."""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import h5py
import pytest

ROOT = Path(__file__).parents[2]
REAL_RECORDINGS = ROOT / "../shared/n1-data"

ZARR_VERSION = int(version("zarr").split(".")[0])
ZARR_FORMATS = [2, 3] if ZARR_VERSION >= 3 else [2]
needs_zarr3 = pytest.mark.skipif(ZARR_VERSION < 3, reason="Zarr format 3 needs zarr 3 to be read")

IS_ZARR_30 = version("zarr").startswith("3.0.")

HAS_WAVPACK = find_spec("wavpack_numcodecs") is not None
needs_wavpack = pytest.mark.skipif(
    not HAS_WAVPACK or IS_ZARR_30,
    reason="wavpack-numcodecs is not installed, or zarr 3.0, which does not go with it, is",
)
needs_big_endian = pytest.mark.skipif(IS_ZARR_30, reason="zarr 3.0 has no big-endian data types")

HAS_PCODEC = find_spec("pcodec") is not None and version("numcodecs") >= "0.16.4"
needs_pcodec = pytest.mark.skipif(not HAS_PCODEC, reason="pcodec needs numcodecs 0.16.4")

needs_h5py_316 = pytest.mark.skipif(
    h5py.version.version_tuple[:2] < (3, 16),
    reason="h5py before 3.16 writes no table of widths, and gives back 16 cd_values at most",
)
