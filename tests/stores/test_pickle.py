"""Stores, recordings and traces go to other processes, which open what they are of anew."""

import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import n1store
from make_wav import on_grid, write_wav

SAMPLES = {name: on_grid(700, 3, seed) for seed, name in enumerate(("one", "two"))}


@pytest.fixture(params=[".zarr", ".zarr.zip", ".nwb"])
def store(request, tmp_path, monkeypatch):
    for name, samples in SAMPLES.items():
        write_wav(tmp_path / f"{name}.wav", samples, 1000)
    n1store.convert([tmp_path / "one.wav", tmp_path / "two.wav"], tmp_path / f"x{request.param}")
    monkeypatch.chdir(tmp_path)
    with n1store.open(f"x{request.param}") as opened:  # a path that other folders do not have
        yield opened


def test_all_of_a_store(store, monkeypatch):
    traces = {name: recording.traces for name, recording in store.items()}
    attributes = {name: recording.attributes for name, recording in store.items()}
    pickled = pickle.dumps((store, dict(store), traces))
    monkeypatch.chdir("/")
    again, recordings, traces = pickle.loads(pickled)
    assert list(again) == list(SAMPLES)
    for name, samples in SAMPLES.items():
        np.testing.assert_array_equal(again[name].traces[5:20, 1:], samples[5:20, 1:])
        np.testing.assert_array_equal(recordings[name].traces[:], samples)
        np.testing.assert_array_equal(traces[name][-10:], samples[-10:])
        assert recordings[name].attributes == attributes[name]
    again.close()


def test_a_wav_file(tmp_path, monkeypatch):
    recording = n1store.read_wav(write_wav(tmp_path / "x.wav", SAMPLES["one"], 1000))
    again = pickle.loads(pickle.dumps(recording))
    np.testing.assert_array_equal(again.traces[:], SAMPLES["one"])


def total(traces):
    return os.getpid(), int(traces[:].sum())


@pytest.mark.slow
def test_in_another_process(store):
    traces = [store[name].traces for name in SAMPLES]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        for samples, (process, found) in zip(
            SAMPLES.values(), processes.map(total, traces), strict=True
        ):
            assert process != os.getpid()
            assert found == samples.sum()
