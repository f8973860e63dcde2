"""Gains and offsets on their way: given, kept in every kind of store, and used when reading."""

import pickle
from datetime import datetime

import h5py
import numpy as np
import pytest
import zarr

import make_nwb
import n1store
from installed import ZARR_FORMATS
from make_wav import on_grid, write_wav
from n1store import N1StoreError, NwbMetadata

SAMPLES = on_grid(30_000, 3, 1)
RATE = 20_000
GIVEN = NwbMetadata(gain_to_uv=0.195, offset_to_uv=-3.5)
MICROVOLTS = SAMPLES.astype(np.float32) * np.float32(0.195) - np.float32(3.5)
STORES = {
    **{f"zarr {number}": ("x.zarr", {"zarr_format": number}) for number in ZARR_FORMATS},
    "zip": ("x.zarr.zip", {}),
    "spikeinterface": ("x.zarr", {"layout": "spikeinterface"}),
    "channels": ("x.zarr", {"layout": "channels"}),
    "nwb": ("x.nwb", {}),
}


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    return write_wav(tmp_path_factory.mktemp("wav") / "rat.wav", SAMPLES, RATE)


def recording_of(store):
    (recording,) = store.values()
    return recording


@pytest.mark.parametrize("kind", STORES)
def test_a_gain_is_kept_in_every_store(wav, tmp_path, kind):
    """And goes on from there into NWB, and back."""
    name, options = STORES[kind]
    first, second, third = tmp_path / "1" / name, tmp_path / "2.nwb", tmp_path / "3.zarr"
    first.parent.mkdir()
    n1store.convert(wav, first, nwb=GIVEN, **options)
    assert n1store.convert(first, second).lost == []
    assert n1store.convert(second, third).lost == []
    for path in (first, second, third):
        with n1store.open(path) as store:
            recording = recording_of(store)
            np.testing.assert_allclose(recording.gain_to_uV, [0.195] * 3, rtol=1e-12)
            np.testing.assert_allclose(recording.offset_to_uV, [-3.5] * 3, rtol=1e-12)
            np.testing.assert_array_equal(recording.traces[:], SAMPLES)
            assert recording.traces_uV().dtype == np.float32
            np.testing.assert_allclose(recording.traces_uV(), MICROVOLTS, rtol=1e-5, atol=1e-3)
            np.testing.assert_array_equal(
                recording.traces_uV(slice(5, 9), [2, 0]), recording.traces_uV()[5:9, [2, 0]]
            )
            np.testing.assert_array_equal(recording.traces_uV(7, 1), recording.traces_uV()[7, 1])
            copy = pickle.loads(pickle.dumps(recording))
            np.testing.assert_array_equal(copy.gain_to_uV, recording.gain_to_uV)
    assert n1store.verify(first, [wav]).problems == []


def test_zarr_alone_finds_the_gain(wav, tmp_path):
    n1store.convert(wav, tmp_path / "x.zarr", nwb=GIVEN)
    attributes = zarr.open(tmp_path / "x.zarr", mode="r")["recordings/rat"].attrs
    assert attributes["gain_to_uV"] == [0.195] * 3
    assert attributes["offset_to_uV"] == [-3.5] * 3
    n1store.convert(wav, tmp_path / "si.zarr", nwb=GIVEN, layout="spikeinterface")
    properties = zarr.open(tmp_path / "si.zarr", mode="r")["properties"]
    assert properties["gain_to_uV"][:].tolist() == [0.195] * 3
    assert properties["offset_to_uV"][:].tolist() == [-3.5] * 3


@pytest.mark.parametrize("kind", STORES)
def test_a_gain_that_is_unknown(wav, tmp_path, kind):
    name, options = STORES[kind]
    n1store.convert(wav, tmp_path / name, **options)
    with n1store.open(tmp_path / name) as store:
        recording = recording_of(store)
        assert recording.gain_to_uV is recording.offset_to_uV is None
        with pytest.raises(N1StoreError, match="its gain is unknown"):
            recording.traces_uV()


def test_gains_of_channels(tmp_path):
    nwbfile, series = make_nwb.make_bare(3)
    gains = {"conversion": 1e-6, "channel_conversion": [0.1, 0.2, 0.3], "offset": 2e-6}
    nwbfile.add_acquisition(series("x", SAMPLES, **gains))
    nwbfile.add_acquisition(series("bare", SAMPLES))
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    n1store.convert(path, tmp_path / "x.zarr")
    for each in (path, tmp_path / "x.zarr"):
        with n1store.open(each) as store:
            np.testing.assert_allclose(store["x"].gain_to_uV, [0.1, 0.2, 0.3])
            np.testing.assert_allclose(store["x"].offset_to_uV, [2, 2, 2])
            # As NWB has it, samples of a file that says nothing else are volts.
            np.testing.assert_allclose(store["bare"].gain_to_uV, [1e6] * 3)


@pytest.mark.parametrize(
    "damage",
    [
        lambda series: series["data"].attrs.__setitem__("conversion", "much"),
        lambda series: series["data"].attrs.modify("conversion", np.nan),
        lambda series: series["data"].attrs.__setitem__("offset", [1.0, 2.0]),
        lambda series: series.create_dataset("channel_conversion", (2**40,), "<f8", chunks=(8,)),
        lambda series: series.create_group("channel_conversion"),
        lambda series: series.__setitem__("channel_conversion", h5py.ExternalLink("a", "/b")),
    ],
)
def test_a_damaged_gain_keeps_nobody_from_the_samples(wav, tmp_path, damage):
    path = tmp_path / "x.nwb"
    n1store.convert(wav, path, nwb=GIVEN)
    with h5py.File(path, "a") as file:
        damage(file["acquisition/rat"])
    with n1store.open(path) as store:
        assert store["rat"].gain_to_uV is None
        np.testing.assert_array_equal(store["rat"].traces[:], SAMPLES)


def test_the_command_takes_it_for_zarr(wav, tmp_path, run, fails):
    options = "--gain-to-uv", 0.195, "--offset-to-uv", -3.5
    run("convert", wav, tmp_path / "x.zarr", *options)
    with n1store.open(tmp_path / "x.zarr") as store:
        assert store["rat"].gain_to_uV.tolist() == [0.195] * 3
    fails("convert", wav, tmp_path / "y.zarr", *options, "--subject-id", "a", words=["y.zarr"])


def test_windows_in_seconds(wav, tmp_path):
    n1store.convert(wav, tmp_path / "x.zarr")
    with n1store.open(tmp_path / "x.zarr") as store:
        recording = store["rat"]
        assert recording.seconds(0.5, 1) == slice(10_000, 20_000)
        assert recording.seconds(1) == slice(20_000, 30_000)
        assert recording.seconds(1, 99) == slice(20_000, 30_000)
        window = recording.traces[recording.seconds(0.25, 0.75), 1]
        np.testing.assert_array_equal(window, SAMPLES[5_000:15_000, 1])
        assert recording.traces[recording.seconds(7, 8)].shape == (0, 3)
        for wrong in ((-1, 2), (2, 1), (float("nan"), 2), (1, float("nan")), (float("inf"),)):
            with pytest.raises(ValueError, match="no window"):
                recording.seconds(*wrong)


def test_the_zone_that_was_taken_is_said(wav, tmp_path, run):
    yaml = tmp_path / "x.yaml"
    yaml.write_text("NWBFile: {session_start_time: 2024-05-17T14:03:00}")
    start = "--session-start-time"
    for options in ([start, "2024-05-17T14:03"], ["--metadata", yaml]):
        result = run("convert", wav, tmp_path / "x.nwb", "--overwrite", *options)
        (line,) = result.stderr.splitlines()
        assert line.startswith("session_start_time: names no time zone; that of this machine")
        zone = datetime.fromisoformat("2024-05-17T14:03").astimezone().isoformat()[-6:]
        assert line.endswith(f"2024-05-17 14:03:00{zone}")
    result = run("convert", wav, tmp_path / "y.nwb", start, "2024-05-17T14:03+02:00")
    assert result.stderr == ""
