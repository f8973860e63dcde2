"""What converting costs beside encoding alone, and how soon the command line answers.

python benchmarks/conversion.py [FOLDER OF WAV FILES]

Whole commands are timed, start-up included, in turn with a bare loop that reads the same
files and encodes the same chunks; the store is verified. CPU time is user and system time
of the process and its children. Medians; the figures to look at are the ratios.
"""

import os
import resource
import statistics
import subprocess
import sys
import time

import n1store
from recordings import N1STORE, n1_recordings, working_folder

REPEATS = 7

BARE_LOOP = """
import sys
from pathlib import Path
import numpy as np
from n1store.codecs.pipeline import Pipeline
pipeline = Pipeline.parse(sys.argv[2])
for path in sorted(Path(sys.argv[1]).glob("*.wav")):
    samples = np.fromfile(path, "<i2", offset=44)[:, None]
    for start in range(0, len(samples), 19536):
        pipeline.encode(samples[start : start + 19536])
"""


def main(given: str = "") -> None:
    with working_folder() as folder:
        recordings = n1_recordings(given, folder)
        print(f"{'codec':<10}{'bare loop':>12}{'convert':>12}{'ratio':>8}   CPU seconds, median")
        for codec in ("blosc", "zstd"):
            store = folder / f"{codec}.zarr"
            bare, whole = [], []
            for _ in range(REPEATS):
                loop = [sys.executable, "-c", BARE_LOOP, str(recordings), f"adc+{codec}"]
                bare.append(cpu_seconds(loop))
                command = [N1STORE, "convert", str(recordings), str(store), "--codec", codec]
                whole.append(cpu_seconds([*command, "--overwrite"]))
            assert n1store.verify(store, [recordings]).problems == []
            low, high = statistics.median(bare), statistics.median(whole)
            print(f"{codec:<10}{low:>12.3f}{high:>12.3f}{high / low:>8.2f}")
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        subprocess.run([N1STORE, "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    print(f"n1store --help answers in {statistics.median(seconds):.3f} s")


def cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main(*sys.argv[1:])
