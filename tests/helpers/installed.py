"""What is here: places, versions, and marks of the tests that need what is not everywhere."""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REAL_RECORDINGS = ROOT / "../shared/n1-data"

ZARR_VERSION = int(version("zarr").split(".")[0])
ZARR_FORMATS = [2, 3] if ZARR_VERSION >= 3 else [2]
needs_zarr3 = pytest.mark.skipif(ZARR_VERSION < 3, reason="Zarr format 3 needs zarr 3 to be read")

HAS_WAVPACK = find_spec("wavpack_numcodecs") is not None
needs_wavpack = pytest.mark.skipif(not HAS_WAVPACK, reason="wavpack-numcodecs is not installed")

HAS_PCODEC = find_spec("pcodec") is not None and version("numcodecs") >= "0.16"
needs_pcodec = pytest.mark.skipif(not HAS_PCODEC, reason="pcodec needs numcodecs 0.16")
