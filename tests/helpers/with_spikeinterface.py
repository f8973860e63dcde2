"""Stores as SpikeInterface reads them, and stores of zarr 3 in an environment with zarr 2.

Run by `make test-compat` in an environment of its own.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spikeinterface
import zarr

from n1store import open as open_store
from n1store.errors import NotHereError

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = ROOT / "../shared/n1-data"
WRITERS = {
    "this environment": Path(sys.executable).with_name("n1store"),
    "zarr 3": ROOT / ".venv/bin/n1store",
}

pytestmark = pytest.mark.parametrize("writer", WRITERS)


@pytest.fixture(scope="module")
def wavs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wavs")
    if RECORDINGS.exists():
        for path in sorted(RECORDINGS.glob("*.wav"))[:5]:
            (folder / path.name).write_bytes(path.read_bytes())
    else:
        n1store("this environment", "synth", folder, "--recordings", 5)
    return folder


def n1store(writer, *arguments):
    subprocess.run([WRITERS[writer], *map(str, arguments)], check=True)


def read_independently(path):
    import soundfile

    return soundfile.read(path, dtype="int16", always_2d=True)


def test_zarr_is_the_old_one(writer):
    assert zarr.__version__.startswith("2.")


@pytest.mark.parametrize("codec", ["n1", "wavpack", "blosc", "delta+zstd", "lzma:preset=1"])
def test_format_2_reads_with_zarr_2(writer, wavs, tmp_path, codec):
    for store in (tmp_path / "out.zarr", tmp_path / "out.zarr.zip"):
        n1store(writer, "convert", wavs, store, "--codec", codec, "--zarr-format", 2)
        root = zarr.open(str(store), mode="r")
        for path in wavs.iterdir():
            samples, _ = read_independently(path)
            np.testing.assert_array_equal(root[f"recordings/{path.stem}"][:], samples)


@pytest.mark.parametrize("codec", ["n1", "wavpack", "blosc"])
def test_spikeinterface_reads_its_layout(writer, wavs, tmp_path, codec):
    store = tmp_path / "out.zarr"
    layout = ["--layout", "spikeinterface"]
    n1store(writer, "convert", wavs, store, "--codec", codec, *layout)
    for recording in (
        spikeinterface.load(store),
        spikeinterface.core.read_zarr(store),
    ):
        assert recording.get_num_segments() == 5
        assert list(recording.get_channel_ids()) == ["0"]
        for segment, path in enumerate(sorted(wavs.iterdir())):
            samples, rate = read_independently(path)
            assert recording.get_sampling_frequency() == rate
            traces = recording.get_traces(segment_index=segment)
            np.testing.assert_array_equal(traces, samples)
            window = recording.get_traces(segment_index=segment, start_frame=100, end_frame=30_000)
            np.testing.assert_array_equal(window, samples[100:30_000])


def test_spikeinterface_knows_gains_from_nwb(writer, wavs, tmp_path):
    nwb, store = tmp_path / "in.nwb", tmp_path / "out.zarr"
    n1store(writer, "convert", wavs, nwb, "--gain-to-uv", 0.5, "--offset-to-uv", -3)
    n1store(writer, "convert", nwb, store, "--layout", "spikeinterface")
    recording = spikeinterface.load(store)
    np.testing.assert_allclose(recording.get_channel_gains(), [0.5])
    np.testing.assert_allclose(recording.get_channel_offsets(), [-3])
    samples, _ = read_independently(min(wavs.iterdir()))
    microvolts = recording.get_traces(segment_index=0, return_in_uV=True)
    np.testing.assert_allclose(microvolts, samples * 0.5 - 3, rtol=1e-5)


@pytest.mark.parametrize("codec", ["n1", "zstd", "blosc"])
def test_n1store_reads_format_3_without_zarr_3(writer, wavs, tmp_path, codec):
    store = tmp_path / "out.zarr"
    n1store(writer, "convert", wavs, store, "--codec", codec, "--zarr-format", 3)
    n1store("this environment", "verify", store, wavs)
    with open_store(store) as recordings:
        assert sorted(recordings) == sorted(path.stem for path in wavs.iterdir())
        for path in wavs.iterdir():
            samples, _ = read_independently(path)
            np.testing.assert_array_equal(recordings[path.stem].traces[:], samples)
        with pytest.raises(NotHereError, match="cannot read Zarr format 3: pip install 'zarr>=3'"):
            recordings.library_array(next(iter(recordings)))
