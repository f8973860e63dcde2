"""n1 on one core: ratio, encoding and decoding, beside pcodec and Blosc in the same run.

python benchmarks/codec.py [--recordings FOLDER] [--pairs FOLDER] [--ephys FOLDER]
                           [--against CHECKOUT]

Recordings of the N1 are taken one by one, as whole files, and as 64 channels in chunks of 1 s;
pairs of them that were made at the same time, which pairs.json in a folder names, as two channels,
whole; recordings of other systems, .npy files of int16 (samples, channels) with their sampling
frequency in a .json file beside each, in chunks of 1 s. Where a folder is not there, synthetic ones
take its place, but no pairs. pcodec and Blosc get the codes of the N1 without what `adc` costs, and
pcodec one channel after the other.

MB/s are of CPU time, medians of rounds in which everything is measured in turn. With --against,
the core that another checkout has built is measured in the same rounds, on payloads of its own, and
a ratio above 1 says that the one of this checkout is smaller or faster.
"""

import argparse
import ctypes
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numcodecs.blosc
import numpy as np
from numcodecs import Blosc

from n1store.codecs.library.pcodec import PCodec
from n1store.codecs.native import adc_encode
from n1store.sources.wav import read_wav
from recordings import n1_recordings, working_folder

ROOT = Path(__file__).parents[1]
ROUNDS = 9
NUM_CHANNELS = 64
N1_CHUNK = 19_531
LEVELS = (1, 2, 3)
PATHS = {"best": 0, "portable": 1, "avx2": 2}  # n1_path


class Info(ctypes.Structure):
    """n1_info of filters/core/n1/n1.h, of int16 in two dimensions."""

    _fields_ = (
        ("version", ctypes.c_uint32),
        ("dtype", ctypes.c_uint32),
        ("ndim", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("num_samples", ctypes.c_uint64),
        ("num_channels", ctypes.c_uint64),
    )


class Core:
    """The n1 codec that a checkout has built."""

    def __init__(self, checkout: Path, path: str):
        libraries = sorted(checkout.glob("build/*/libn1store.so"))
        if not libraries:
            raise SystemExit(f"{checkout} has no build/*/libn1store.so: run `make setup` there")
        self.library = ctypes.CDLL(str(libraries[0].resolve()))
        self.library.n1_encode.restype = self.library.n1_decode.restype = ctypes.c_int64
        self.path = PATHS[path]

    def encode(self, chunk: np.ndarray, level: int) -> bytes:
        info = Info(0, 0, 2, 0, *chunk.shape)
        payload = np.empty(chunk.nbytes + 1024, np.uint8)
        room = ctypes.c_size_t(payload.size)
        size = self.library.n1_encode(
            ctypes.c_void_p(chunk.ctypes.data),
            ctypes.byref(info),
            level,
            None,
            self.path,
            ctypes.c_void_p(payload.ctypes.data),
            room,
        )
        assert size > 0, size
        return payload[:size].tobytes()

    def decode(self, payload: bytes, out: np.ndarray) -> None:
        size = self.library.n1_decode(
            payload,
            ctypes.c_size_t(len(payload)),
            None,
            self.path,
            ctypes.c_void_p(out.ctypes.data),
            ctypes.c_size_t(out.nbytes),
        )
        assert size == out.nbytes, size


@dataclass
class Candidate:
    """A codec as it is measured.

    Attributes
    ----------
    encode : callable
        From a chunk to its payload.
    decode : callable
        From a payload into an array like the chunk.
    prepare : callable
        From a chunk to what the codec is given for it.
    """

    name: str
    encode: Callable[[np.ndarray], Any]
    decode: Callable[[Any, np.ndarray], Any]
    prepare: Callable[[np.ndarray], np.ndarray] = np.ascontiguousarray
    size: int = 0
    encode_seconds: list[float] = field(default_factory=list)
    decode_seconds: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recordings", type=Path, default=ROOT / "../shared/n1-data")
    parser.add_argument("--pairs", type=Path, default=ROOT / "../shared/n1-pairs")
    parser.add_argument("--ephys", type=Path, default=ROOT / "../shared/ephys")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="built by make setup")
    parser.add_argument("--only", default="", metavar="TEXT", help="that a data set's name has")
    parser.add_argument("--levels", type=int, nargs="+", default=LEVELS, choices=LEVELS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--path", default="best", choices=PATHS, help="of n1")
    arguments = parser.parse_args()
    cores = {"": Core(ROOT, arguments.path)}
    if arguments.against:
        cores[" of " + arguments.against.resolve().name] = Core(arguments.against, arguments.path)
    numcodecs.blosc.use_threads = False
    print(f"MB/s of CPU time, medians of {arguments.rounds} rounds")
    print("\n| data | codec | ratio | encode | decode | new/old: ratio | encode | decode |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with working_folder() as folder:
        for name, is_n1, chunks in data_sets(arguments, folder):
            if arguments.only not in name:
                continue
            candidates = [
                of_core(core, f"n1 level {level}{suffix}", level)
                for level in arguments.levels
                for suffix, core in cores.items()
            ]
            candidates += others(is_n1)
            measure(candidates, chunks, arguments.rounds)
            report(name, candidates, sum(chunk.nbytes for chunk in chunks), len(cores) > 1)


def data_sets(arguments: argparse.Namespace, folder: Path) -> list[tuple[str, bool, list]]:
    """Return names of data sets, whether they are of the N1, and their chunks."""
    paths = sorted(n1_recordings(str(arguments.recordings), folder).glob("*.wav"))
    files = [read_wav(path).traces[:] for path in paths]
    columns = [file[:, 0] for file in files[:NUM_CHANNELS]]
    shortest = min(map(len, columns))
    wide = np.stack([column[:shortest] for column in columns], axis=1)
    sets = [
        ("N1, one channel", True, files),
        (f"N1, {len(columns)} channels", True, in_chunks(wide, N1_CHUNK)),
    ]
    pairs = pairs_of(arguments.pairs, arguments.recordings)
    if pairs:
        sets.append((f"N1, {len(pairs)} pairs", True, pairs))
    arrays = sorted(arguments.ephys.glob("*.npy"))
    for path in arrays:
        about = json.loads(path.with_suffix(".json").read_text())
        rate = about.get("sampling_frequency_hz") or about["fs_hz"]
        sets.append((path.stem, False, in_chunks(np.load(path), round(rate))))
    if not arrays:
        sets += [
            ("32 synthetic channels", False, in_chunks(other_system(45_000, 32), 30_000)),
            ("384 synthetic channels", False, in_chunks(other_system(2_500, 384), 2_500)),
        ]
    return sets


def pairs_of(folder: Path, recordings: Path) -> list[np.ndarray]:
    """Return recordings made at the same time, as two channels, where both files are there."""
    pairs = []
    names = json.loads((folder / "pairs.json").read_text()) if folder.exists() else []
    for pair in names:
        found = [
            path for name in pair for path in (folder / name, recordings / name) if path.exists()
        ]
        if len(found) == 2:
            columns = [read_wav(path).traces[:][:, 0] for path in found]
            length = min(map(len, columns))
            pairs.append(np.stack([column[:length] for column in columns], axis=1))
    return pairs


def other_system(num_samples: int, num_channels: int) -> np.ndarray:
    """Return noise of a wide band that neighbouring channels partly share, in steps of 1."""
    noise = np.random.default_rng(0).normal(0, 30, (num_samples + 8, num_channels))
    smooth = sum(0.7**lag * noise[lag : lag + num_samples] for lag in range(8))
    shared = smooth.mean(axis=1, keepdims=True) * num_channels**0.5
    return np.rint(smooth + shared).astype("<i2")


def in_chunks(samples: np.ndarray, length: int) -> list[np.ndarray]:
    """Return chunks of this many samples; what is left, if it is less than half of one, is not."""
    starts = range(0, max(len(samples) - length // 2, 1), length)
    return [np.ascontiguousarray(samples[start : start + length]) for start in starts]


def of_core(core: Core, name: str, level: int) -> Candidate:
    return Candidate(name, lambda chunk: core.encode(chunk, level), core.decode)


def others(is_n1: bool) -> list[Candidate]:
    codes = adc_encode if is_n1 else np.ascontiguousarray
    pcodec, blosc = PCodec(level=8), Blosc("zstd", 5, Blosc.BITSHUFFLE)
    return [
        Candidate("pcodec 8", pcodec.encode, pcodec.decode, lambda chunk: codes(chunk).T.ravel()),
        Candidate("Blosc zstd bitshuffle", blosc.encode, blosc.decode, codes),
    ]


def measure(candidates: list[Candidate], chunks: list[np.ndarray], rounds: int) -> None:
    """Add the seconds of each round to the candidates, which take turns."""
    inputs = [[candidate.prepare(chunk) for chunk in chunks] for candidate in candidates]
    for number in range(1 + rounds):
        for candidate, given in zip(candidates, inputs, strict=True):
            started = time.process_time()
            payloads = [candidate.encode(chunk) for chunk in given]
            encoded = time.process_time()
            outs = [np.full_like(chunk, number) for chunk in given]
            ready = time.process_time()
            for payload, out in zip(payloads, outs, strict=True):
                candidate.decode(payload, out)
            decoded = time.process_time()
            for chunk, out in zip(given, outs, strict=True):
                assert np.array_equal(chunk, out), candidate.name
            candidate.size = sum(map(len, payloads))
            if number:  # the first round warms up
                candidate.encode_seconds.append(encoded - started)
                candidate.decode_seconds.append(decoded - ready)


def report(name: str, candidates: list[Candidate], num_bytes: int, has_old: bool) -> None:
    for index, candidate in enumerate(candidates):
        speeds = [
            f"{num_bytes / 1e6 / statistics.median(seconds):.0f}"
            for seconds in (candidate.encode_seconds, candidate.decode_seconds)
        ]
        compared = ["", "", ""]
        if has_old and candidate.name.startswith("n1") and " of " not in candidate.name:
            old = candidates[index + 1]
            compared = [
                f"{old.size / candidate.size:.4f}",
                times_as_fast(candidate.encode_seconds, old.encode_seconds),
                times_as_fast(candidate.decode_seconds, old.decode_seconds),
            ]
        cells = [name, candidate.name, f"{num_bytes / candidate.size:.3f}", *speeds, *compared]
        print("| " + " | ".join(cells) + " |", flush=True)


def times_as_fast(new: list[float], old: list[float]) -> str:
    """Return the median over rounds of how many times as fast the new one is."""
    return f"{statistics.median(b / a for a, b in zip(new, old, strict=True)):.2f}"


if __name__ == "__main__":
    main()
