"""The commands and examples of the documents run, page by page, as a reader would type them.

The blocks of a page are run one after the other in a folder that is empty at first: those marked
``sh`` by a shell, those marked ``python`` each by a Python of its own.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import n1store
from documents import PAGES, ROOT, ZARR_VERSION, blocks_of, names_of
from n1store.codecs.info import codec_info

# With an older zarr, only those that tell how to read with it.
TO_RUN = [page for page in PAGES if ZARR_VERSION >= 3 or "import zarr" in page.read_text()]


@pytest.fixture(scope="session")
def all_but_n1store(tmp_path_factory):
    """Give a folder of all packages that are installed here, but for n1store."""
    folder = tmp_path_factory.mktemp("packages")
    for place in dict.fromkeys(map(os.path.realpath, sys.path)):
        if Path(place).name == "site-packages":
            for path in Path(place).iterdir():
                ours = "n1store" in path.name or path.suffix == ".pth"
                if not ours and not (folder / path.name).exists():
                    (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture
def run(all_but_n1store, tmp_path):
    """Give a function that runs a program of a language; it returns what its process did."""

    def run(language, code, without_n1store=False):
        # What tests or their users have set of these is none of the reader's.
        ours = ("HDF5_PLUGIN", "N1STORE_", "PYTHON")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        if language == "sh":
            command = ["sh", "-euc", code]
        elif without_n1store:
            # Without site-packages and their .pth files.
            command = [sys.executable, "-S", "-c", code]
            environment["PYTHONPATH"] = str(all_but_n1store)
        else:
            command = [sys.executable, "-c", code]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )

    return run


@pytest.mark.long
@pytest.mark.parametrize("page", TO_RUN, ids=names_of(TO_RUN))
def test_every_command_and_example_of_a_page_runs(page, run, tmp_path):
    for block in blocks_of(page):
        if block.language == "yaml" and block.note.startswith("file "):
            (tmp_path / block.note.removeprefix("file ")).write_text(block.code)
        if block.is_to_be_run:
            result = run(block.language, block.code, block.note == "without n1store")
            assert result.returncode == 0, f"{page}:{block.line}\n{result.stderr[-3000:]}"
    for path in (tmp_path / "back").glob("*.wav"):
        assert path.read_bytes() == (tmp_path / "data" / path.name).read_bytes()


@pytest.fixture
def wav(tmp_path):
    """Give a WAV file ``x.wav`` in the folder where programs run."""
    (path,) = n1store.synthesize(tmp_path, num_recordings=1, seconds=1)
    return path.rename(tmp_path / "x.wav")


READ_WITHOUT_N1STORE = """
import importlib.util, json, wave
import h5py, hdf5plugin, numpy, zarr

assert importlib.util.find_spec("n1store") is None
with wave.open("x.wav") as file:
    samples = numpy.frombuffer(file.readframes(file.getnframes()), "<i2")


def is_read(path):
    try:
        if path.endswith(".nwb"):
            return (h5py.File(path)["acquisition/x/data"][:, 0] == samples).all()
        return (zarr.open(path, mode="r")["recordings/x"][:, 0] == samples).all()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


print(json.dumps({path: str(is_read(path)) for path in json.load(open("paths.json"))}))
"""


def test_codecs_that_are_read_without_n1store_are_those_of_the_table(wav, run, tmp_path):
    table = re.findall(
        r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]*) \| ([^|]*) \|$",
        (ROOT / "docs/without-n1store.md").read_text(),
        re.MULTILINE,
    )
    expected = {}
    for codecs, zarr, hdf5 in table:
        for codec in re.findall(r"\w+", codecs):
            if codec_info(codec).why_missing:
                continue
            for suffix, needs in (("zarr", zarr), ("nwb", hdf5)):
                path = f"{codec}.{suffix}"
                n1store.convert(wav, tmp_path / path, codec=codec, adc=False)
                expected[path] = needs != "only with n1store"
    assert len(expected) >= 20
    (tmp_path / "paths.json").write_text(json.dumps(list(expected)))
    found = json.loads(run("python", READ_WITHOUT_N1STORE, without_n1store=True).stdout)
    for path, is_read in expected.items():
        assert (found[path] == "True") == is_read, (path, found[path])


def test_what_readers_without_n1store_are_told_is_what_the_page_says(wav, run, tmp_path):
    page = (ROOT / "docs/without-n1store.md").read_text()
    for path in ("x.zarr", "x.nwb"):
        n1store.convert(wav, tmp_path / path)
    (tmp_path / "paths.json").write_text(json.dumps(["x.zarr", "x.nwb"]))
    found = json.loads(run("python", READ_WITHOUT_N1STORE, without_n1store=True).stdout)
    if ZARR_VERSION >= 3:
        assert found["x.zarr"].partition(" Register")[0] in page
    assert "can't open directory" in found["x.nwb"] and "can't open directory" in page
