"""The rivals, one file each.

To add one: a file here with `CODECS`, a list of `Codec`, and `VERSION`, what it was measured
with, which raises ImportError where its package or library is missing; and its row below.
"""

from importlib import import_module

from codec import Codec

# In the order of the results, and what to do about one that is missing.
RIVALS = {
    "pcodec": "make bench-codec installs it",
    "flac": "apt-get install flac",
    "wavpack": "apt-get install wavpack libwavpack-dev && pip install wavpack-numcodecs",
    "bzip3": "apt-get install bzip3",
    "numcodecs": "install n1store again",
}


def load() -> tuple[list[Codec], list[str], list[str]]:
    """Return the codecs that are installed, their versions, and a line on each that is not."""
    codecs: list[Codec] = []
    versions, missing = [], []
    for name, remedy in RIVALS.items():
        try:
            rival = import_module(f"rivals.{name}")
        except (ImportError, OSError, AttributeError) as error:
            missing.append(f"{name} is not measured ({error}); to change that: {remedy}")
            continue
        codecs += rival.CODECS
        versions.append(rival.VERSION)
    return codecs, versions, missing
