"""Freeze payloads of `n1`, which every later version must decode.

`python tests/helpers/frozen.py` is run once for each version of the format, when it is released.
It writes tests/format/data/v<version>/: the samples, which are made by integer arithmetic alone,
and their payloads at each level. What stands there is never replaced.
"""

import sys
from pathlib import Path

import numpy as np

from n1store.codecs import native
from n1store.system.atomic import replacing

FROZEN = Path(__file__).parents[1] / "format/data"
WIDTHS = np.arange(native.NUM_CODES) * 13 % 33 + 16


def noise(count, low, high, seed=1):
    """Return whole numbers from low to high - 1."""
    numbers = []
    for _ in range(count):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        numbers.append(low + (seed >> 33) % (high - low))
    return np.array(numbers)


def walk(count, amplitude, seed=1):
    """Return what wanders about 0 as recordings do."""
    values, value = [], 0
    for step in noise(count, -amplitude, amplitude + 1, seed):
        value += int(step) - value // 8
        values.append(value)
    return np.array(values)


def signal(count, amplitude):
    """Return what a linear prediction of order 4 leaves nearly normal noise of, in 1/32 code."""
    values = [0, 0, 0, 0]
    for step in noise(4 * count, -amplitude, amplitude + 1).reshape(count, 4).sum(axis=1):
        before = 18 * values[-1] - 9 * values[-2] + 8 * values[-3] - 4 * values[-4]
        values.append(before // 16 + int(step))
    return np.array(values[4:])


def converted(positions, widths):
    """Return the samples that a converter of such code widths makes of positions in 1/32 code."""
    edges = np.cumsum(widths) - np.cumsum(widths)[511]
    return n1_grid(np.searchsorted(edges, positions, side="right") - 511)


def built_in_widths():
    header = (FROZEN.parents[2] / "filters/core/n1/widths.h").read_text()
    table = header[header.index("N1_WIDTHS") :].split("{")[1].split("}")[0]
    return np.array([int(number) for number in table.split(",") if number.strip()])


def n1_grid(codes):
    return native.adc_decode(np.clip(codes, -512, 511).astype("<i2"))


def arrays():
    """Return what to freeze, by name: all that the format has, in few samples."""
    quiet, loud = walk(1500, 12), walk(1000, 200)
    common = walk(400, 60)
    values = np.unique(noise(25, -9000, 9000))
    arrays = {
        "nothing": np.zeros(0, "<i2"),
        "no-channels": np.zeros((5, 0), "<i2"),
        "one-sample": np.array([-32768], "<i2"),
        "few-samples": n1_grid(quiet[:20]),
        "silent": np.zeros((3000, 2), "<i2"),
        "constant": np.full(70_000, 12345, "<i2"),
        "n1": n1_grid(quiet),
        "n1-widths": converted(signal(3000, 150), WIDTHS),
        "n1-converter": converted(signal(3000, 150), built_in_widths()),
        "n1-16-lanes": converted(signal(9000, 150), built_in_widths()),
        "n1-converter-some-off-it": converted(signal(3000, 150), built_in_widths())
        + (noise(3000, 0, 200) == 0),
        "n1-converter-spikes": np.where(
            noise(3000, 0, 400) == 0,
            n1_grid(noise(3000, -512, 512)),
            converted(signal(3000, 90), built_in_widths()),
        ),
        "smooth": np.cumsum(walk(1500, 9)),
        "off-the-grid-16-lanes": walk(9000, 150),
        "n1-channels": n1_grid(walk(1200, 15).reshape(400, 3)),
        "n1-many-channels": n1_grid(walk(40 * 17, 15).reshape(40, 17)),
        "channels-of-a-silent-end": np.concatenate(
            [n1_grid(walk(1200, 15).reshape(300, 4)), np.zeros((90, 4), "<i2")]
        ),
        "n1-clipped": n1_grid(loud),
        "n1-spikes": n1_grid(np.where(noise(1000, 0, 90) == 0, 511, walk(1000, 8))),
        "n1-then-off-it": np.concatenate([n1_grid(quiet[:500]), loud[:300]]),
        "n1-with-silence": n1_grid(np.concatenate([quiet[:600], np.zeros(900, int), quiet[:500]])),
        "off-the-grid": walk(1000, 40),
        "wide": np.clip(walk(500, 8000), -32768, 32767),
        "steps": walk(1000, 9) * 48 + 5,
        "few-values": values[np.clip(walk(1200, 4) + len(values) // 2, 0, len(values) - 1)],
        "n1-alike": n1_grid(
            np.stack([common, np.roll(common, 2) // 2 - common // 3 + walk(400, 2)], axis=1)
        ),
        "n1-and-others-alike": np.concatenate(
            [
                n1_grid(np.stack([walk(2000, 20), np.roll(walk(2000, 20), 2) // 2], axis=1)),
                walk(2000, 20).reshape(2000, 1) * 40 + noise(4000, -40, 41).reshape(2000, 2),
            ],
            axis=1,
        ),
        "near-identical": np.stack([common, common // 2 + noise(400, -1, 2)], axis=1),
        "uint16": (walk(600, 90) + 32768).astype("<u2"),
        "int8": np.clip(walk(800, 6), -128, 127).astype("i1"),
        "uint8": np.clip(walk(800, 30).reshape(400, 2) + 128, 0, 255).astype("u1"),
        "square": np.where(np.arange(900) // 40 % 2, -32768, 32767),
        "ramp": np.arange(-32768, 32768, 90),
        "noise-4-bits": noise(600, -8, 8),
        "noise-12-bits": noise(300, -2048, 2048),
        "noise-16-bits": noise(200, -32768, 32768),
    }
    return {
        name: values if values.dtype.itemsize <= 2 else values.astype("<i2")
        for name, values in arrays.items()
    }


def main():
    payloads = {
        f"{name}-{level}": native.n1_encode(samples, level, widths)
        for name, samples in arrays().items()
        for widths in [WIDTHS.astype("u1").tobytes() if name.endswith("widths") else None]
        for level in (1, 2, 3)
    }
    payloads |= {
        f"{name}-blocks": native.n1_encode(samples, block_samples=len(samples) // 3)
        for name, samples in arrays().items()
        if len(samples) >= 300 and not name.endswith("widths")
    }
    version = native.n1_payload_info(payloads["n1-2"]).version
    folder = FROZEN / f"v{version}"
    if folder.exists():
        sys.exit(f"{folder}: exists already; what was frozen is never replaced")
    FROZEN.mkdir(exist_ok=True)
    with replacing(folder, folder=True) as temporary:
        np.savez_compressed(temporary / "samples.npz", widths=WIDTHS.astype("u1"), **arrays())
        for name, payload in payloads.items():
            (temporary / f"{name}.n1payload").write_bytes(payload)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {len(payloads)} payloads, {size} bytes in all")


if __name__ == "__main__":
    main()
