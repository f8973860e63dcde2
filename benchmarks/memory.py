"""Memory that converting a 4 GB, 64-channel WAV file takes, worker processes included.

python benchmarks/memory.py [GIGABYTES]

The file is made first. Memory is the sum of the proportional set sizes of the command and
its children, sampled every 50 ms; the store is verified against the file.
"""

import subprocess
import sys
import time
from pathlib import Path

import n1store
from recordings import (
    N1STORE,
    NUM_CHANNELS,
    SAMPLING_FREQUENCY,
    wide_recording,
    working_folder,
)

LIMIT = 500e6


def main(gigabytes: str = "4") -> None:
    # A little over, so that at the full size the file needs the 64-bit sizes of RF64.
    seconds = 1.01 * float(gigabytes) * 2**30 / (2 * NUM_CHANNELS * SAMPLING_FREQUENCY)
    with working_folder() as folder:
        started = time.perf_counter()
        wav = wide_recording(folder, seconds)
        size = wav.stat().st_size
        print(f"{size / 1e9:.2f} GB made in {time.perf_counter() - started:.0f} s", flush=True)
        for codec in ("blosc", "wavpack"):
            store = str(folder / "out.zarr")
            command = [N1STORE, "convert", str(wav), store, "--codec", codec, "--overwrite"]
            started = time.perf_counter()
            with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
                peak = 0
                while process.poll() is None:
                    peak = max(peak, memory_bytes(process.pid))
                    time.sleep(0.05)
            elapsed = time.perf_counter() - started
            assert process.returncode == 0
            print(f"{codec}: peak {peak / 1e6:.0f} MB, {size / 1e6 / elapsed:.0f} MB/s", flush=True)
            assert peak < LIMIT
            assert n1store.verify(store, [wav]).problems == []


def memory_bytes(pid: int) -> int:
    """Return the memory of a process and its descendants, shared pages counted once."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended meanwhile
    own = sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return own + sum(memory_bytes(int(child)) for child in children)


if __name__ == "__main__":
    main(*sys.argv[1:])
