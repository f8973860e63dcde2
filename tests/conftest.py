import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from n1store.cli.commands import cli
from n1store.implant.synth import synthesize

ROOT = Path(__file__).parent.parent
REAL_RECORDINGS = ROOT / "../shared/n1-data"
ZARR_VERSION = int(version("zarr").split(".")[0])
ZARR_FORMATS = [2, 3] if ZARR_VERSION >= 3 else [2]
HAS_WAVPACK = find_spec("wavpack_numcodecs") is not None

needs_wavpack = pytest.mark.skipif(not HAS_WAVPACK, reason="wavpack-numcodecs is not installed")
HAS_PCODEC = find_spec("pcodec") is not None and version("numcodecs") >= "0.16"

needs_pcodec = pytest.mark.skipif(not HAS_PCODEC, reason="pcodec needs numcodecs 0.16")
needs_zarr3 = pytest.mark.skipif(ZARR_VERSION < 3, reason="Zarr format 3 needs zarr 3 to be read")


def change_a_bit(payload):
    middle = len(payload) // 2
    return payload[:middle] + bytes([payload[middle] ^ 1]) + payload[middle + 1 :]


DAMAGES = {
    "bit": change_a_bit,
    "cut": lambda payload: payload[:-1],
    "gone": lambda payload: bytes(len(payload)),
}


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """Give a folder of a few real recordings, or of synthetic ones where there are none."""
    folder = tmp_path_factory.mktemp("recordings")
    real = sorted(REAL_RECORDINGS.glob("*.wav"))[::12]
    for path in real:
        (folder / path.name).write_bytes(path.read_bytes())
    if not real:
        synthesize(folder, num_recordings=7)
    return folder


@pytest.fixture
def run():
    """Run the command line in this process; return its result, checked for tracebacks."""

    def run(*arguments, exit_code=0):
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == exit_code, result.output
        if exit_code not in (0, 2):
            assert result.stderr.strip()
            assert "Traceback" not in result.stderr
        return result

    return run


@pytest.fixture
def run_json(run):
    """Run a command with --json and return what it printed."""
    return lambda *arguments, **options: json.loads(run(*arguments, "--json", **options).stdout)


@pytest.fixture
def fails(run):
    """Run a command that fails; return the one line that it says, which has these words."""

    def fails(*arguments, words=()):
        (line,) = run(*arguments, exit_code=1).stderr.splitlines()
        assert line.startswith("Error: ")
        assert all(str(word) in line for word in words), line
        return line.removeprefix("Error: ")

    return fails


def clean_environment(**variables):
    """Return an environment in which nobody has set anything about plugins or Python."""
    ours = ("HDF5_PLUGIN", "N1STORE_", "PYTHON")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return environment | variables


def run_alone(script, *arguments, **variables):
    """Run a script in a clean environment, in a process of its own; return what it printed."""
    result = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(script), *map(str, arguments)],
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, (result.returncode, result.stderr[-3000:])
    return result.stdout


@pytest.fixture(scope="module")
def new_path(tmp_path_factory):
    """Give a function that names a file which is not there yet."""
    folder = tmp_path_factory.mktemp("new")
    numbers = itertools.count()
    return lambda suffix=".wav": folder / f"{next(numbers)}{suffix}"


@pytest.fixture(scope="module")
def new_file(new_path):
    """Give a function that writes a file of its own."""

    def new_file(content, suffix=".wav"):
        path = new_path(suffix)
        path.write_bytes(content)
        return path

    return new_file


def read_wav_independently(path):
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    return samples, rate


def write_wav(path, samples, rate=19531, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16", **options)
    return path


def read_with_zarr_alone(store, tmp_path, imports="zarr"):
    """Read all arrays of int16 of a store in a process whose script knows zarr only."""
    script = f"""
        import sys, numpy, {imports}
        path, out = sys.argv[1:]
        if path.endswith(".zip"):
            root = zarr.open_group(zarr.storage.ZipStore(path, mode="r"), mode="r")
        else:
            root = zarr.open(path, mode="r")
        group = root["recordings"] if "recordings" in root else root
        arrays = {{name: array[:] for name, array in group.arrays() if array.ndim == 2}}
        needed = "n1store", "n1store.codecs.native", "n1store.errors"
        assert not any(name.startswith("n1store") and "codec" not in name and name not in needed
                       for name in sys.modules), sys.modules.keys()
        numpy.savez(out, **arrays)
    """
    out = tmp_path / "read.npz"
    command = [sys.executable, "-c", textwrap.dedent(script), str(store), str(out)]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=300)
    with np.load(out) as arrays:
        return dict(arrays)


@contextmanager
def time_limit(seconds):
    """Raise an exception in what hangs."""

    def stop(*_):
        pytest.fail(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
