"""What the benchmarks work on: recordings, and a folder for what they write."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import n1store

N1STORE = str(Path(sys.executable).with_name("n1store"))
"""The command line of the Python that runs the benchmark."""

NUM_RECORDINGS = 84
NUM_CHANNELS, SAMPLING_FREQUENCY = 64, 20_000


@contextmanager
def working_folder() -> Iterator[Path]:
    """Give a folder on the disk of the current one, as /tmp may be in memory; remove it then."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        yield Path(folder)


def n1_recordings(given: str, folder: Path) -> Path:
    """Return the folder of WAV files that was given; if there is none, make synthetic ones."""
    if given and Path(given).is_dir():
        return Path(given)
    n1store.synthesize(folder / "recordings", num_recordings=NUM_RECORDINGS)
    return folder / "recordings"


def wide_recording(folder: Path, seconds: float) -> Path:
    """Make a WAV file of 64 channels at 20 kHz."""
    (wav,) = n1store.synthesize(
        folder, 1, seconds, num_channels=NUM_CHANNELS, sampling_frequency=SAMPLING_FREQUENCY
    )
    return wav
