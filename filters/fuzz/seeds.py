"""Write what the fuzz targets begin with: `.venv/bin/python filters/fuzz/seeds.py`.

The payloads, corpus/decode/, are those of today's encoder, so they are to be written anew when
the format or the encoder has changed. Inputs that once failed lie in the same folders, under the
names that libFuzzer gave them, and stay.
"""

import struct
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np

from n1store.codecs import native

CORPUS = Path(__file__).parent / "corpus"

MAX_LEN = 4096  # as in the Makefile: what is longer, libFuzzer would cut off

# As in fuzz.h.
WIDTHS = bytes(16 + k * 13 % 33 for k in range(native.NUM_CODES))


def arrays() -> Iterator[tuple[str, np.ndarray]]:
    """Give small arrays that need all that the format has."""
    rng = np.random.default_rng(0)

    def noise(low, high, *shape):
        return rng.integers(low, high, shape).astype("<i2")

    def walk(amplitude, *shape):
        steps = rng.normal(0, amplitude, shape)
        for i in range(1, len(steps)):
            steps[i] += 0.9 * steps[i - 1]
        return np.clip(np.round(steps), -32768, 32767).astype("<i2")

    yield "nothing", np.zeros(0, "<i2")
    yield "no-channels", np.zeros((7, 0), "<i2")
    yield "one-sample", np.array([-32768], "<i2")
    yield "silent", np.zeros(1000, "<i2")
    yield "constant-u1", np.full((300, 2), 200, "u1")
    yield "n1", native.adc_decode(walk(8, 1500))
    yield "n1-short", native.adc_decode(walk(8, 40))
    yield "n1-clipped", native.adc_decode(np.clip(walk(300, 600), -512, 511).astype("<i2"))
    yield "n1-spikes", native.adc_decode(np.where(noise(0, 90, 600) == 0, 511, walk(4, 600)))
    yield "n1-and-off-it", np.concatenate([native.adc_decode(walk(8, 400)), walk(8, 400)])
    yield "channels", native.adc_decode(walk(6, 300, 3))
    common = walk(20, 500, 1)
    yield "alike", np.hstack([common, common // 2 + noise(-1, 2, 500, 1)])
    delayed = np.roll(common, 2, axis=0) // 2 - np.roll(common, 1, axis=0) // 3
    both = np.hstack([common, delayed + walk(1, 500, 1)])
    yield "n1-alike", native.adc_decode(both)
    yield "n1-and-other-alike", np.hstack([native.adc_decode(both), both * 20, both[:, :1] * 20])
    yield "walk-i1", np.clip(walk(3, 900), -128, 127).astype("i1")
    yield "walk-u2", (walk(60, 700).astype(int) + 32768).astype("<u2")
    yield "wide", walk(3000, 400)
    yield "steps", walk(5, 800) * 48 + 5
    yield "palette", np.sort(noise(-9000, 9000, 30))[np.clip(walk(4, 900), -15, 14) + 15]
    yield "square", np.tile(np.repeat([-32768, 32767], 20).astype("<i2"), 20)
    yield "ramp", np.arange(-2000, 2000, 5).astype("<i2")
    yield "noise-4-bits", noise(-8, 8, 500)
    yield "noise-16-bits", noise(-32768, 32768, 200)
    yield "n1-long", native.adc_decode(walk(0.4, 9000))
    yield "wide-long", np.where(noise(0, 99, 9000) == 0, noise(-9000, 9000, 9000), 77)
    yield "two-blocks", np.full(2**18 + 1, 5, "i1")
    yield "silent-then-noise", np.concatenate([np.zeros(500, "<i2"), noise(-300, 300, 300)])
    yield (
        "few-words-and-rare-ones",
        np.where(noise(0, 30, 1100) == 0, noise(-99, 99, 1100), walk(4, 1100)),
    )
    yield "other-words-then", np.concatenate([walk(3, 600), 300 + walk(20, 600)])
    yield "differences", np.diff(native.adc_decode(walk(8, 1000)))


def payloads() -> Iterator[tuple[str, bytes]]:
    """Give each array's payload at each level, and one made with a table of widths."""
    for name, samples in arrays():
        for level in (1, 2, 3):
            payload = native.n1_encode(samples, level)
            if len(payload) <= MAX_LEN:
                yield f"{name}-{level}", payload
        if name == "n1":
            yield f"{name}-widths", native.n1_encode(samples, 2, WIDTHS)


def samples() -> Iterator[tuple[str, bytes]]:
    """Give inputs of samples.c."""
    for name, array in arrays():
        dtype = ["int16", "uint16", "int8", "uint8"].index(array.dtype.name)
        num_channels = array.shape[1] if array.ndim == 2 else 1
        head = bytes([dtype | (array.ndim - 1) << 2, num_channels, 1])
        yield name, head + array[:200].tobytes()


SHAPES = ("constant", "walk", "noise", "ramp", "square", "spikes", "alike", "bytes")
GRIDS = ("identity", "n1", "steps", "irregular-steps")


def signals() -> Iterator[tuple[str, bytes]]:
    """Give inputs of signals.c."""
    for (grid, grid_name), (shape, shape_name) in product(enumerate(GRIDS), enumerate(SHAPES)):
        dtype, level = (0, 0, 1, 2)[shape % 4] if grid == 0 else 0, (grid + shape) % 3
        head = dtype | (shape_name == "alike") << 2 | level << 3
        stretch = bytes([shape, 3 + shape % 3, 20, 9])
        yield (
            f"{grid_name}-{shape_name}",
            struct.pack("<BBHBBBB", head, 2, 1500, 0, grid, 40, shape) + stretch,
        )
    grid_walk, silence, noise = bytes([1, 3, 20, 8]), bytes([0, 0, 0, 9]), bytes([2, 9, 0, 7])
    heads = {
        "mixed": (8, 0, 2000, 0, 1, 0, 1),
        "mixed-widths": (8 | 2 << 5, 0, 2000, 0, 1, 0, 1),
        "mixed-own-widths": (8 | 3 << 5, 0, 2000, 0, 1, 0, 1),
        "mixed-17-channels": (8 | 4, 8, 60, 0, 1, 0, 1),
        "mixed-long": (8, 0, 9000, 0, 1, 0, 1),
    }
    for name, head in heads.items():
        yield name, struct.pack("<BBHBBBB", *head) + grid_walk + silence + noise


def simple_inputs() -> Iterator[tuple[str, int, native.SimpleCodec, np.ndarray, int]]:
    """Give a name, a codec's number and the codec, an array for it and its parameter."""
    chosen = {
        "one-sample": 1,
        "silent": 200,
        "n1": 1100,
        "n1-short": 40,
        "channels": 200,
        "square": 200,
        "n1-spikes": 200,
        "noise-16-bits": 200,
        "few-words-and-rare-ones": 1100,
        "other-words-then": 1200,
        "differences": 999,
    }
    for number, name in enumerate(native.simple_codec_names()):
        codec = native.simple_codec(name)
        for array_name, array in arrays():
            if array_name in chosen:
                for parameter in {codec.parameters[0], codec.parameters[-1]}:
                    yield (
                        f"{name}-{parameter}-{array_name}",
                        number,
                        codec,
                        array[: chosen[array_name]],
                        parameter,
                    )


def simple_payloads() -> Iterator[tuple[str, bytes]]:
    """Give inputs of simple_decode.c."""
    for name, number, codec, array, parameter in simple_inputs():
        num_channels = array.shape[1] if array.ndim == 2 else 1
        yield name, bytes([number]) + codec.encode(array, num_channels, parameter).tobytes()


def simple_samples() -> Iterator[tuple[str, bytes]]:
    """Give inputs of simple_samples.c."""
    for name, number, codec, array, parameter in simple_inputs():
        num_channels = array.shape[1] if array.ndim == 2 else 1
        counted = parameter - codec.parameters[0]
        yield name, bytes([number, num_channels - 1, counted]) + array.tobytes()


TARGETS = {
    "decode": payloads,
    "samples": samples,
    "signals": signals,
    "simple_decode": simple_payloads,
    "simple_samples": simple_samples,
}

for target, inputs in TARGETS.items():
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    written = [(folder / name).write_bytes(content) for name, content in inputs()]
    print(f"{folder}: {len(written)} inputs, {sum(written)} bytes")
