"""NWB files read and written past HDF5's pipeline and through it, by h5py and pynwb.

python benchmarks/nwb.py [SECONDS [CODEC...]]

The recording is synthetic, of 64 channels and 60 s; chunks are of 10 MB, for which HDF5's cache of
decoded chunks is too small. Both ways are timed in turn, each time with the file opened anew, and
what they give is compared. What is read has adc in front of most codecs, as n1store writes it; what
is written has the codec alone, as pynwb's H5DataIO takes one filter. Seconds are medians of wall
times; a ratio is that of the medians, and beside it the lowest and the highest of the rounds.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  so that h5py reads Blosc and Zstandard
import numpy as np

import n1store
from n1store.codecs.hdf5_filters import FILTERS_BY_ID
from n1store.system.parallel import available_cores
from recordings import (
    N1STORE,
    NUM_CHANNELS,
    SAMPLING_FREQUENCY,
    wide_recording,
    working_folder,
)

CODECS = ("n1", "wavpack", "flac", "blosc", "zstd", "gzip:level=4")  # 4 is h5py's default
ROUNDS = 5
WINDOWS = 10

# What both import first is left out of the time that they print.
CONVERT = """
import sys
import pynwb
import n1store.conversion.convert, n1store.stores.nwb.writer
wav, nwb, codec = sys.argv[1:]
print(n1store.convert(wav, nwb, codec=codec, adc=False, overwrite=True).seconds)
"""

PYNWB = """
import json, sys, time
from datetime import UTC, datetime
import hdf5plugin
import numpy as np
from pynwb import NWBHDF5IO, H5DataIO, NWBFile
from pynwb.ecephys import ElectricalSeries
wav, nwb, channels, rate, settings = sys.argv[1:]
started = time.perf_counter()
traces = np.fromfile(wav, "<i2", offset=44).reshape(-1, int(channels))
file = NWBFile("a benchmark", "benchmark", datetime(2026, 1, 1, tzinfo=UTC))
device = file.create_device("implant")
group = file.create_electrode_group("group", "all", "unknown", device=device)
for _ in range(int(channels)):
    file.add_electrode(group=group, location="unknown")
electrodes = file.create_electrode_table_region(list(range(int(channels))), "all")
settings = json.loads(settings)
settings |= {key: tuple(settings[key]) for key in settings if isinstance(settings[key], list)}
data = H5DataIO(traces, allow_plugin_filters=True, **settings)
series = ElectricalSeries("traces", data, electrodes, rate=float(rate))
file.add_acquisition(series)
with NWBHDF5IO(nwb, "w") as io:
    io.write(file)
print(time.perf_counter() - started)
"""


def main(seconds: str = "60", *codecs: str) -> None:
    codecs = codecs or CODECS
    with working_folder() as folder:
        wav = wide_recording(folder, float(seconds))
        samples = np.fromfile(wav, "<i2", offset=44).reshape(-1, NUM_CHANNELS)
        print(
            f"{NUM_CHANNELS} channels, {float(seconds):g} s, {samples.nbytes / 1e6:.0f} MB; "
            f"medians of {ROUNDS} rounds on {available_cores()} cores, "
            f"load {os.getloadavg()[0]:.1f}"
        )
        head("read", "h5py")
        for codec in codecs:
            nwb = folder / "read.nwb"
            n1store.convert(wav, nwb, codec=codec, overwrite=True)
            compare_reading(codec, nwb, samples)
        head("written", "pynwb")
        for codec in codecs:
            compare_writing(codec, wav, folder, samples)
        print(f"\nload at the end {os.getloadavg()[0]:.1f}")


def compare_reading(codec: str, nwb: Path, samples: np.ndarray) -> None:
    """Time reading of everything, and of windows of 1 s at random."""
    with n1store.open(nwb) as store:
        ((name, path),) = store.attributes["recordings"].items()
    length = min(SAMPLING_FREQUENCY, len(samples))
    starts = np.random.default_rng(0).integers(len(samples) - length + 1, size=WINDOWS)
    everything = [slice(None)]
    windows = [slice(start, start + length) for start in starts]

    def through_hdf5(parts: list[slice]) -> list[np.ndarray]:
        with h5py.File(nwb) as file:
            dataset = file[f"{path}/data"]
            return [dataset[part] for part in parts]

    def past_hdf5(parts: list[slice]) -> list[np.ndarray]:
        with n1store.open(nwb) as store:
            traces = store[name].traces
            return [traces[part] for part in parts]

    for what, parts in (("everything", everything), (f"{WINDOWS} windows of 1 s", windows)):
        times = []
        for turn in range(1 + ROUNDS):
            seconds = []
            for read in (through_hdf5, past_hdf5):
                elapsed, result = timed(read, parts)
                for part, window in zip(parts, result, strict=True):
                    assert np.array_equal(window, samples[part]), (codec, read, part)
                del result, window
                seconds.append(elapsed)
            if turn:  # the first round loads plugins and starts threads
                times.append(seconds)
        report(codec, what, times)


def compare_writing(codec: str, wav: Path, folder: Path, samples: np.ndarray) -> None:
    """Time the writing alone, in programs that have imported pynwb, and whole commands."""
    own, theirs = folder / "n1store.nwb", folder / "pynwb.nwb"
    convert = [sys.executable, "-c", CONVERT, str(wav), str(own), codec]
    subprocess.run(convert, check=True, stdout=subprocess.DEVNULL)
    filters, shape, chunk = contents(own, "acquisition/synth-000/data", samples)
    (number, values), *checksum = filters
    settings = {
        "chunks": shape,
        "compression": "gzip" if number == 1 else number,
        "compression_opts": values[0] if number == 1 else values,
        "fletcher32": checksum == [(3, ())],
    }
    pynwb = [sys.executable, "-W", "ignore", "-c", PYNWB, str(wav), str(theirs)]
    pynwb += [str(NUM_CHANNELS), str(SAMPLING_FREQUENCY), json.dumps(settings)]
    command = [N1STORE, "convert", str(wav), str(own), "--codec", codec, "--no-adc", "--overwrite"]
    writing, whole = [], []
    for _ in range(ROUNDS):
        for nwb in (own, theirs):
            nwb.unlink(missing_ok=True)
        whole_pynwb, printed_pynwb = timed(run, pynwb)
        _, printed = timed(run, convert)
        own.unlink()
        whole_n1store, _ = timed(run, command)
        writing.append([float(printed_pynwb), float(printed)])
        whole.append([whole_pynwb, whole_n1store])
    assert contents(own, "acquisition/synth-000/data", samples) == (filters, shape, chunk)
    their_filters, their_shape, their_chunk = contents(theirs, "acquisition/traces/data", samples)
    assert (their_filters, their_shape) == (filters, shape), (their_filters, filters)
    # Of the libraries behind others' filters there are two versions.
    if FILTERS_BY_ID[number].brought_by == "n1store":
        assert their_chunk == chunk, codec
    assert abs(len(their_chunk) / len(chunk) - 1) < 0.03, (codec, len(their_chunk), len(chunk))
    report(codec, "the writing alone", writing)
    report(codec, "whole programs", whole)


def contents(nwb: Path, path: str, samples: np.ndarray) -> tuple[list, tuple[int, ...], bytes]:
    """Return filters, chunk shape and the first chunk of a dataset that must hold these samples."""
    with h5py.File(nwb) as file:
        dataset = file[path]
        assert np.array_equal(dataset[:], samples), nwb
        properties = dataset.id.get_create_plist()
        filters = [properties.get_filter(index) for index in range(properties.get_nfilters())]
        return (
            [(number, values) for number, _, values, _ in filters],
            dataset.chunks,
            dataset.id.read_direct_chunk((0, 0))[1],
        )


def run(command: list[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def timed(function: Callable, argument: list) -> tuple[float, object]:
    started = time.perf_counter()
    result = function(argument)
    return time.perf_counter() - started, result


def head(what: str, library: str) -> None:
    print(f"\n| codec | {what} | {library} s | n1store s | ratio | of a round |")
    print("|---|---|---|---|---|---|", flush=True)


def report(codec: str, what: str, times: list[list[float]]) -> None:
    """Print medians of seconds, theirs and n1store's, and how many times as fast that is."""
    theirs, own = (statistics.median(column) for column in zip(*times, strict=True))
    ratios = [slow / fast for slow, fast in times]
    print(
        f"| `{codec}` | {what} | {theirs:.2f} | {own:.2f} | {theirs / own:.2f} "
        f"| {min(ratios):.2f} to {max(ratios):.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
