"""The ratio of n1 on recordings that its code widths were not learned from.

python benchmarks/widths.py [FOLDER OF WAV FILES]

The built-in widths were learned from the recordings that n1 is measured on. Here widths are
learned from every second recording, and from the others, and each half is encoded with those of
the other half, in chunks of 1 s. Every chunk is decoded and compared.
"""

import sys
from pathlib import Path

import numpy as np

from n1store.codecs.native import n1_decode, n1_encode
from n1store.implant.training import train
from n1store.sources.wav import read_wav
from recordings import n1_recordings, working_folder

LEVEL = 2
CHUNK_SAMPLES = 19_536


def main(given: str = "") -> None:
    with working_folder() as folder:
        paths = sorted(n1_recordings(given, folder).glob("*.wav"))
        halves = paths[::2], paths[1::2]
        widths = [train(half).widths.tobytes() for half in halves]
        raw = sum(read_wav(path).traces[:].nbytes for path in paths)
        built_in = sum(encoded_bytes(path, None) for path in paths)
        other = sum(encoded_bytes(path, widths[1]) for path in halves[0])
        other += sum(encoded_bytes(path, widths[0]) for path in halves[1])
    print(f"n1:level={LEVEL}, {len(paths)} recordings in chunks of 1 s")
    print(f"built-in widths                ratio {raw / built_in:.4f}")
    print(f"widths from the other half     ratio {raw / other:.4f}")


def encoded_bytes(path: Path, widths: bytes | None) -> int:
    samples = read_wav(path).traces[:]
    total = 0
    for start in range(0, len(samples), CHUNK_SAMPLES):
        chunk = np.ascontiguousarray(samples[start : start + CHUNK_SAMPLES])
        payload = n1_encode(chunk, level=LEVEL, widths=widths)
        assert np.array_equal(n1_decode(payload, widths), chunk), path
        total += len(payload)
    return total


if __name__ == "__main__":
    main(*sys.argv[1:])
