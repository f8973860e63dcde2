"""The README's table: compression ratios of the codecs on a folder of recordings.

python benchmarks/ratios.py FOLDER

Chunks of 1 s, with and without `adc`; every store is verified against the WAV files.
"""

import sys
import tempfile
from pathlib import Path

import n1store
from n1store.sizes import StoreSizes

CODECS = (
    "n1",
    "n1:level=1",
    "wavpack",
    "delta+blosc",
    "blosc",
    "lzma",
    "bz2",
    "zstd",
    "gzip",
    "lz4",
)


def main(recordings: str) -> None:
    print("| `--codec` | ratio | ratio without `adc` | worst chunk | best chunk |")
    print("|---|---|---|---|---|")
    for codec in CODECS:
        mapped = measure(recordings, codec, adc=True)
        # n1 has the map inside.
        raw = "" if codec[:2] == "n1" else f"{ratio(measure(recordings, codec, adc=False)):.2f}"
        chunks = mapped.chunk_ratios()
        print(
            f"| `{codec}` | {ratio(mapped):.2f} | {raw} "
            f"| {chunks['min']:.2f} | {chunks['max']:.2f} |"
        )


def measure(recordings: str, codec: str, adc: bool) -> StoreSizes:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "out.zarr"
        sizes = n1store.convert(recordings, store, codec=codec, adc=adc).sizes
        assert n1store.verify(store, [recordings]).problems == []
    return sizes


def ratio(sizes: StoreSizes) -> float:
    return sizes.raw_bytes / sizes.stored_bytes


if __name__ == "__main__":
    main(*sys.argv[1:])
