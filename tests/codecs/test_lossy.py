"""Lossy mode: only when asked for, said everywhere, and what is stored is still checked."""

import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import n1store
from installed import ZARR_FORMATS, needs_wavpack
from make_wav import noise, write_wav
from n1store import N1StoreError
from n1store.cli.commands import cli
from n1store.codecs.pipeline import Pipeline
from n1store.study.results import load_results

pytestmark = needs_wavpack

LOSSY = "wavpack:bps=3.0"
SHAPES = {"one": (5000, 1), "two": (3001, 2), "many": (700, 70)}


def invoke(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def wavs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wavs")
    for seed, (name, shape) in enumerate(SHAPES.items()):
        write_wav(folder / f"{name}.wav", noise(*shape, seed) // 16, 20_000)
    return folder


@pytest.fixture(scope="module", params=[*ZARR_FORMATS, "nwb"])
def store(request, wavs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    path = folder / ("out.nwb" if request.param == "nwb" else "out.zarr")
    options = {} if request.param == "nwb" else {"zarr_format": request.param}
    n1store.convert(wavs, path, codec="wavpack:bps=3", chunk_seconds=0.02, **options)
    return path


def test_samples_differ_a_little_and_take_less(wavs, store):
    with n1store.open(store) as opened:
        for name, shape in SHAPES.items():
            original, _ = soundfile.read(wavs / f"{name}.wav", dtype="int16", always_2d=True)
            error = opened[name].traces[:].astype(float) - original
            assert opened[name].traces.shape == shape
            assert 0 < np.sqrt(np.mean(error**2)) < original.std() / 4
            # As the library itself reads it.
            np.testing.assert_array_equal(opened.library_array(name)[:], opened[name].traces[:])
        lossless = store.with_name(f"lossless{store.suffix}")
        sizes = n1store.convert(wavs, lossless, codec="wavpack", chunk_seconds=0.02).sizes
        assert n1store.sizes.measure_sizes(opened).stored_bytes < 0.7 * sizes.stored_bytes
    assert sizes.lossy == {}


def test_it_is_said_everywhere(wavs, store):
    shown = invoke("info", store)
    assert f"LOSSY             3 recordings, by {LOSSY}" in shown.output
    content = json.loads(invoke("info", store, "--json").output)
    assert content["lossy"] == {LOSSY: 3}
    assert content["recordings"]["one"]["lossy"] == LOSSY
    assert "3 of them LOSSY" in invoke("verify", store).output
    with n1store.open(store) as opened:
        assert {recording.attributes["lossy"] for recording in opened.values()} == {LOSSY}
    converted = invoke("convert", wavs, store.with_name("again.zarr"), "--codec", "wavpack:bps=3")
    assert "LOSSY" in converted.output
    assert "lossy" in invoke("codecs", "wavpack").output
    assert f"LOSSY: 3 recordings, by {LOSSY}" in invoke("bench", store, "--windows", "3").output


# Of one kind of store only: all say of their recordings what they lost, as is tested above, and a
# comparison takes long.
@pytest.mark.slow
def test_a_comparison_says_it(wavs, tmp_path):
    store, results = tmp_path / "out.zarr", tmp_path / "results"
    n1store.convert(wavs, store, codec="wavpack:bps=3", chunk_seconds=0.02)
    compared = ("compare", store, "-o", results, "--codecs", "lz4", "--repeats", "1")
    assert f"LOSSY: there are samples not as recorded, but as {LOSSY}" in invoke(*compared).output
    assert load_results(results).data.lossy == [LOSSY]


def test_what_is_stored_is_checked(store):
    assert n1store.verify(store).problems == []
    assert n1store.verify(store).lossy == 3
    assert invoke("bench", store, "--windows", "3").exit_code == 0


def test_wav_files_are_not_made_of_it(wavs, store, tmp_path):
    exported = invoke("export", store, tmp_path / "out")
    assert exported.exit_code == 1
    assert f"stored lossy, by {LOSSY}" in exported.output
    assert list((tmp_path / "out").iterdir()) == []
    compared = invoke("verify", store, wavs)
    assert compared.exit_code == 1
    assert "stored lossy" in compared.output
    assert "not in the store" not in compared.output


@pytest.mark.parametrize("ending", ["zarr", "nwb"])
def test_what_is_made_of_it_stays_marked(store, tmp_path, ending):
    with n1store.open(store) as opened:
        samples = {name: recording.traces[:] for name, recording in opened.items()}
    path = tmp_path / f"next.{ending}"
    n1store.convert(store, path, codec="n1")
    n1store.convert(store, tmp_path / f"same.{ending}", codec="wavpack:bps=3")
    n1store.convert(path, tmp_path / f"worse.{ending}", codec="wavpack:bps=2.5")
    with n1store.open(path) as opened:
        for name, recording in opened.items():
            assert recording.attributes["lossy"] == LOSSY
            np.testing.assert_array_equal(recording.traces[:], samples[name])
    with n1store.open(tmp_path / f"worse.{ending}") as opened:
        for recording in opened.values():
            assert recording.attributes["lossy"] == f"{LOSSY}, then wavpack:bps=2.5"
    for each in ("next", "same", "worse"):
        assert n1store.verify(tmp_path / f"{each}.{ending}").problems == []


def test_an_array_of_several_files(wavs, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.wav").write_bytes((wavs / "one.wav").read_bytes())
    n1store.convert(folder, tmp_path / "x.zarr", codec="wavpack:bps=4", layout="channels")
    assert n1store.verify(tmp_path / "x.zarr").problems == []


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("adc+wavpack:bps=3", "put it first"),
        ("delta+wavpack:bps=3", "put it first"),
        ("wavpack:bps=2", "a number from 2.25 to 16.0"),
        ("wavpack:bps=", "a number from 2.25 to 16.0"),
        ("wavpack:bps=nan", "a number from 2.25 to 16.0"),
        ("wavpack:bps=1e1", "a number from 2.25 to 16.0"),
    ],
)
def test_what_cannot_be(wavs, tmp_path, spec, words):
    with pytest.raises(N1StoreError, match=words):
        Pipeline.parse(spec)
    result = invoke("convert", wavs, tmp_path / "x.zarr", "--codec", spec)
    assert result.exit_code == 1
    assert words in result.output
    assert list(tmp_path.iterdir()) == []


def test_no_pipeline_is_lossy_by_itself():
    assert Pipeline.parse("wavpack:level=4").loss == ""
    assert Pipeline.parse("adc+wavpack").loss == ""
    assert Pipeline.parse("wavpack:bps=3,level=1").loss == "wavpack:bps=3.0,level=1"


def test_streams_are_those_of_wavpack_numcodecs():
    from wavpack_numcodecs.wavpack import WavPack

    from n1store.codecs.library.wavpack import WavPack as Ours

    samples = noise(30_000, 3, 1) // 32
    for settings in (
        {"bps": 3},
        {"bps": 2.25, "level": 4},
        {"bps": 5.5, "dynamic_noise_shaping": False, "shaping_weight": -0.5},
    ):
        assert Ours(**settings).encode(samples) == bytes(WavPack(**settings).encode(samples))
