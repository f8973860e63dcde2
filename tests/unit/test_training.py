"""Code widths are learned from recordings, and what cannot be learned from is said."""

import json
import math
import re

import numpy as np
import pytest
import soundfile

from installed import REAL_RECORDINGS, ROOT
from make_wav import write_wav
from n1store import N1StoreError
from n1store.codecs.native import adc_decode
from n1store.codecs.widths import load_widths
from n1store.implant.synth import N1_CONVERTER, Converter, conversion_table, synthesize
from n1store.implant.training import (
    cell_edges,
    expected_counts,
    fit_piece,
    train,
    train_to_file,
)

HEADER = ROOT / "filters/core/n1/widths.h"


def true_widths(converter=N1_CONVERTER):
    """Return the code widths of a synthesizer's converter in an unknown unit."""
    return np.bincount((conversion_table(converter) >> 6) + 512, minlength=1024)


def relative(widths, codes):
    return widths[codes] / widths[codes].mean()


def noise(num_samples, scale=20, seed=0):
    """Return samples on the grid, each correlated with the one before."""
    rng = np.random.default_rng(seed)
    white = rng.normal(0, scale, num_samples + 1)
    return adc_decode(np.rint(white[1:] + white[:-1]).clip(-512, 511).astype(np.int16))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return synthesize(tmp_path_factory.mktemp("synthetic"), 4, seconds=3, seed=2)


@pytest.fixture(scope="module")
def trained(files):
    return train(files)


@pytest.mark.long
def test_finds_the_widths_of_another_converter(tmp_path):
    weights = (0.8, 2.3, 3.7, 8.1, 15.6, 32.3, 64.1, 128.2, 256.1, 512.1)
    other = Converter(weights, settling_error=-0.15)
    synthesize(tmp_path, 8, seed=1, converter=other)
    truth = true_widths(other)
    result = train(tmp_path)
    codes = slice(512 - 20, 512 + 50)
    error = relative(result.widths, codes) - relative(truth, codes)
    error_before = relative(true_widths(), codes) - relative(truth, codes)
    assert np.std(error_before) > 0.3
    assert np.std(error) < 0.06
    assert result.ratio > 1.01 * result.flat_ratio


@pytest.mark.long
def test_finds_the_widths_from_equal_ones(tmp_path):
    synthesize(tmp_path, 8, seed=1)
    codes = slice(512 - 20, 512 + 50)
    learned = relative(train(tmp_path, initial_widths=np.ones(1024)).widths, codes)
    assert np.std(learned - relative(true_widths(), codes)) < 0.06


def test_what_is_learned(trained, files):
    assert (trained.widths.dtype, trained.widths.shape) == (np.uint8, (1024,))
    assert abs(int(trained.widths[256:768].sum()) - 512 * 32) <= 1
    assert trained.widths[511] < 2  # code -1, which hardly occurs
    for values in (trained.reflections, trained.spreads):
        assert (values.dtype, values.shape) == (np.int16, (32,))
    assert (trained.num_recordings, trained.num_samples) == (4, 4 * 58593)
    assert trained.left_out == []


def test_reflections_are_arc_sines_of_correlations(tmp_path):
    path = write_wav(tmp_path / "noise.wav", noise(200_000))
    correlations = np.arcsin([1 / 2, -1 / 3, 1 / 4, -1 / 5])  # of a moving average of two
    result = train(path)
    assert result.reflections[:4] / 1024 == pytest.approx(correlations, abs=0.02)
    assert np.all((result.spreads > 0) & (result.spreads < 20))


def test_order_of_files_and_workers_make_no_difference(trained, files):
    again = train([files[2], files[0], files[3], files[1]], workers=1)
    assert again.to_json() == trained.to_json()
    assert again.to_header() == trained.to_header()


def test_channels_are_recordings(trained, files, tmp_path):
    samples = np.stack([soundfile.read(path, dtype="int16")[0] for path in files], axis=1)
    dead = np.full((len(samples), 1), adc_decode(np.int16([0]))[0])
    path = write_wav(tmp_path / "all.wav", np.hstack([samples[:, :2], dead, samples[:, 2:]]))
    result = train(path)
    assert result.left_out == [f"{path}, channel 2: is silent: it holds 1 different values"]
    assert np.array_equal(result.widths, trained.widths)
    assert np.array_equal(result.reflections, trained.reflections)
    assert result.samples_sha256 == trained.samples_sha256
    assert result.num_samples == trained.num_samples
    assert result.num_recordings == 1


def test_other_samples_have_another_sha256(trained, files):
    assert train(files[:2]).samples_sha256 != trained.samples_sha256


def test_silence_within_a_recording(tmp_path):
    samples = noise(100_000)
    samples[15_000:70_000] = samples[0]
    result = train(write_wav(tmp_path / "pause.wav", samples))
    without = train(write_wav(tmp_path / "shorter.wav", np.delete(samples, slice(15_000, 70_000))))
    stuck = (samples[0] >> 6) + 512
    assert int(result.widths[stuck]) == pytest.approx(int(without.widths[stuck]), abs=2)
    assert result.ratio == pytest.approx(without.ratio, rel=0.01)


def test_noise_finer_than_the_cells(tmp_path):
    samples = noise(50_000, scale=0.1)
    samples[::1000] = noise(50)
    path = write_wav(tmp_path / "quiet.wav", samples)
    with pytest.raises(N1StoreError, match="hardly any noise"):
        train(path)


def test_model_adds_up():
    """Compare what is done with spectra and tables with the definition, on a small piece."""
    codes = (noise(3000, scale=8).astype(np.intp) >> 6) + 512
    edges = cell_edges(np.random.default_rng(0).uniform(0.2, 2, 1024))
    fit = fit_piece(codes, edges)

    voltages = (edges[codes] + edges[codes + 1]) / 2
    centred = voltages - voltages.mean()
    r = np.array([centred[lag:] @ centred[: len(centred) - lag] for lag in range(33)])
    matrix = r[np.abs(np.subtract.outer(np.arange(32), np.arange(32)))]
    predictor = np.linalg.solve(matrix, r[1:])
    assert fit.reflections[0] == pytest.approx(r[1] / r[0])
    assert fit.reflections[-1] == pytest.approx(predictor[-1], abs=1e-6)
    predicted = np.array([centred[t - 32 : t][::-1] @ predictor for t in range(32, len(codes))])
    predicted += voltages.mean()
    lower, upper = np.percentile(voltages[32:] - predicted, [25, 75])
    z = (edges[None, 400:624] - predicted[:, None]) / (upper - lower) * 1.349
    mass = np.diff((1 + np.vectorize(math.erf)(z / math.sqrt(2))) / 2, axis=1)

    expected = expected_counts(edges, fit.spectrum)[400:623]
    assert expected == pytest.approx(mass.sum(axis=0), rel=0.001, abs=0.01)
    assert np.array_equal(fit.counted, np.bincount(codes[32:], minlength=1024))
    probability = mass[np.arange(len(mass)), codes[32:] - 400]
    share = 1 / 8192
    bits = -np.log2(probability * (1 - share) + share / 1024).sum()
    assert fit.bits == pytest.approx(bits, rel=1e-4)


USELESS = {
    "clipped": (np.where(np.arange(50_000) % 50, noise(50_000), 32767), "clipped in 2.0%"),
    "off grid": (noise(50_000) + np.int16(1), "off its grid"),
    "short": (noise(4000), "too short: 4000 samples"),
    "empty": (noise(0), "too short: 0 samples"),
    "silent": (noise(50_000, scale=1), "silent: it holds 12 different"),
}


@pytest.mark.parametrize("kind", USELESS)
def test_useless_recordings_are_left_out(kind, trained, files, tmp_path, run):
    samples, reason = USELESS[kind]
    path = write_wav(tmp_path / "useless.wav", samples.astype(np.int16))
    result = train([path, *files])
    (line,) = result.left_out
    assert line.startswith(f"{path}: ")
    assert reason in line
    assert result.to_json() == trained.to_json()

    output = tmp_path / "widths.json"
    failure = run("train", path, "-o", output, exit_code=1)
    assert failure.stderr.count("\n") == 1
    assert str(path) in failure.stderr
    assert reason in failure.stderr
    assert [left.name for left in tmp_path.iterdir()] == ["useless.wav"]


def test_unreadable_recording_is_an_error(files, tmp_path, run):
    path = tmp_path / "broken.wav"
    path.write_bytes(files[0].read_bytes()[:5000])
    result = run("train", *files, path, "-o", tmp_path / "widths.json", exit_code=1)
    assert str(path) in result.stderr
    assert [left.name for left in tmp_path.iterdir()] == ["broken.wav"]


@pytest.mark.parametrize("sources", [[], ["missing"]])
def test_no_sources(sources, tmp_path):
    with pytest.raises(N1StoreError, match=r"no such file|no sources"):
        train([tmp_path / source for source in sources])


def test_no_workers(files):
    with pytest.raises(N1StoreError, match="worker"):
        train(files, workers=0)


def test_command_line(trained, files, tmp_path, run, run_json):
    output = tmp_path / "widths.json"
    result = run("train", *files, "-o", output)
    assert "4 recordings" in result.stdout
    assert f"{trained.ratio:.3f}, with equal widths {trained.flat_ratio:.3f}" in result.stdout
    assert load_widths(output) == trained.widths.tobytes()
    content = json.loads(output.read_text())
    assert (content["format"], content["version"]) == ("n1store-widths", 1)
    assert content["reflections"] == trained.reflections.tolist()
    assert content["samples_sha256"] == trained.samples_sha256

    before = output.read_bytes()
    assert "--overwrite" in run("train", files[0], "-o", output, exit_code=1).stderr
    assert output.read_bytes() == before
    printed = run_json("train", files[0], "-o", output, "--overwrite", "--workers", 1)
    assert printed == {
        "file": str(output),
        **json.loads(output.read_text()),
        "left_out": [],
    }
    assert output.read_bytes() != before
    assert [left.name for left in tmp_path.iterdir()] == ["widths.json"]


def test_name_must_say_the_form(files, tmp_path, run):
    result = run("train", *files, "-o", tmp_path / "widths.txt", exit_code=1)
    assert ".json or .h" in result.stderr
    assert not list(tmp_path.iterdir())


def test_progress_reaches_the_end(files):
    calls = []
    train(files, progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert {total for _, total in calls} == {calls[-1][0]}
    assert calls[-1][0] == 5 * 2 * 4 * 58593


def numbers(header, name):
    (body,) = re.findall(rf"{name}\[\d+\] = {{([^}}]*)}};", header)
    return np.array([int(number) for number in re.findall(r"-?\d+", body)])


def test_header(trained, files, tmp_path):
    path = tmp_path / "widths.h"
    train_to_file(files, path)
    header = path.read_text()
    assert header == trained.to_header()
    assert np.array_equal(numbers(header, "N1_WIDTHS"), trained.widths)
    assert np.array_equal(numbers(header, "N1_REFLECTIONS"), trained.reflections)
    assert max(map(len, header.splitlines())) <= 100


def test_built_in_widths_are_those_of_the_implant():
    header = HEADER.read_text()
    widths = numbers(header, "N1_WIDTHS")
    assert widths.shape == (1024,)
    assert abs(widths[256:768].sum() - 512 * 32) <= 1
    codes = slice(512 - 100, 512 + 100)
    assert np.std(relative(widths, codes) - relative(true_widths(), codes)) < 0.1
    assert numbers(header, "N1_REFLECTIONS").shape == (32,)


@pytest.mark.long
@pytest.mark.skipif(not REAL_RECORDINGS.exists(), reason="learned from real recordings")
def test_built_in_widths_are_learned():
    assert train(REAL_RECORDINGS).to_header() == HEADER.read_text()


def test_load_widths(tmp_path):
    widths = np.arange(1024) % 256
    path = tmp_path / "widths.json"
    path.write_text(
        json.dumps({"format": "n1store-widths", "version": 1, "widths": widths.tolist()})
    )
    assert load_widths(path) == widths.astype(np.uint8).tobytes()
    assert load_widths(str(path)) == load_widths(path)


def changed(**changes):
    content = {"format": "n1store-widths", "version": 1, "widths": [32] * 1024}
    return json.dumps(content | changes).encode()


BAD_FILES = {
    "empty": (b"", "is not a file of code widths"),
    "text": (b"hello", "is not a file of code widths"),
    "not UTF-8": (b"\xff\xfe\x00", "is not a file of code widths"),
    "cut off": (changed()[:-100], "is not a file of code widths"),
    "deep": (b"[" * 200_000, "is not a file of code widths"),
    "huge number": (b"1" * 10_000, "is not a file of code widths"),
    "huge": (b" " * (1 << 20) + changed(), "too large"),
    "a list": (b"[1, 2]", '"format": "n1store-widths"'),
    "another format": (changed(format="widths"), '"format": "n1store-widths"'),
    "newer": (changed(version=2), "version 2, .*update n1store"),
    "no version": (changed(version=None), "version None"),
    "no widths": (changed(widths=None), "no list of 1024 widths"),
    "text for widths": (changed(widths="a" * 1024), "no list of 1024 widths"),
    "too few": (changed(widths=[32] * 1023), "no list of 1024 widths"),
    "negative": (changed(widths=[-1] + [32] * 1023), "integers from 0 to 255"),
    "too wide": (changed(widths=[256] + [32] * 1023), "integers from 0 to 255"),
    "fractions": (changed(widths=[32.0] * 1024), "integers from 0 to 255"),
    "booleans": (changed(widths=[True] * 1024), "integers from 0 to 255"),
    "not a number": (changed(widths=[math.nan] * 1024), "integers from 0 to 255"),
    "nothing occurs": (changed(widths=[0] * 1024), "not all 0"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files_of_widths(kind, tmp_path):
    content, reason = BAD_FILES[kind]
    path = tmp_path / "widths.json"
    path.write_bytes(content)
    with pytest.raises(N1StoreError, match=reason) as error:
        load_widths(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["missing.json", ".", "a\0b"])
def test_files_of_widths_that_cannot_be_read(name, tmp_path):
    with pytest.raises(N1StoreError, match="cannot be read"):
        load_widths(f"{tmp_path}/{name}")
