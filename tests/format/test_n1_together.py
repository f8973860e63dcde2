"""Short blocks of `n1`, which are decoded several at once: of all kinds, and beside each other."""

import numpy as np
import pytest

from n1store.codecs import native
from n1store.errors import N1StoreError

PATHS = ["portable", "best"]
KINDS = ("grid", "wide grid", "walk", "loud", "few values", "steps", "classes", "silent", "noise")
LENGTHS = (70, 130, 400, 999, 1800, 2500, 5000, 9000)


def channel(rng, kind, count):
    """Return samples which a block of another kind, map or number of lanes suits."""
    steps = np.cumsum(rng.normal(0, 1, count))
    match kind:
        case "grid" | "wide grid":
            codes = np.clip((4 if kind == "grid" else 30) * rng.normal(0, 1, count), -512, 511)
            return native.adc_decode(codes.round().astype("<i2"))
        case "walk":
            samples = 3 * steps + rng.normal(0, rng.uniform(1, 20), count)
        case "loud":  # with low bits
            samples = rng.normal(0, rng.uniform(200, 3000), count)
        case "few values":
            samples = rng.choice(rng.integers(-9000, 9000, 40), count)
        case "steps":
            samples = 39 * (steps / 3).round() + 7
        case "classes":
            samples = rng.normal(0, 1, count) * np.where(np.arange(count) // 300 % 2, 2, 90)
        case "silent":
            samples = np.full(count, rng.integers(-99, 99))
        case _:
            samples = rng.integers(-32768, 32768, count)
    samples = np.clip(samples, -32768, 32767).round().astype("<i2")
    outliers = rng.random(count) < rng.choice([0, 0.002, 0.02])
    samples[outliers] = rng.integers(-32768, 32768, outliers.sum())
    return samples


def recording(seed, kinds=KINDS):
    rng = np.random.default_rng(seed)
    shape = LENGTHS[seed % len(LENGTHS)], int(rng.integers(2, 36))
    return np.stack([channel(rng, rng.choice(kinds), shape[0]) for _ in range(shape[1])], axis=1)


RECORDINGS = {f"mixed {seed}": recording(seed) for seed in range(24)}
RECORDINGS |= {f"only {kind}": recording(99, [kind]) for kind in KINDS}
RECORDINGS |= {f"grid {seed}": recording(seed, ["grid", "wide grid"]) for seed in range(8)}


@pytest.mark.parametrize("name", RECORDINGS)
def test_blocks_beside_others(name):
    samples = RECORDINGS[name]
    for level in (1, 2):
        payload = native.n1_encode(samples, level)
        for path in PATHS:
            np.testing.assert_array_equal(native.n1_decode(payload, path=path), samples)


@pytest.mark.parametrize("seed", range(6))
def test_tables_of_widths(seed):
    """Which cell a position lies in is kept from block to block, but for the outermost ones."""
    rng = np.random.default_rng(seed)
    widths = rng.integers(0, 64, native.NUM_CODES).astype(np.uint8)
    widths[rng.random(native.NUM_CODES) < 0.1] = 0
    codes = rng.normal(rng.uniform(-300, 300, 24), rng.uniform(1, 40, 24), (3000, 24))
    samples = native.adc_decode(np.clip(codes, -512, 511).round().astype("<i2"))
    payload = native.n1_encode(samples, 2, widths.tobytes(), block_samples=1500)
    assert "width" in {block.kind for block in native.n1_blocks(payload)}
    for path in PATHS:
        decoded = native.n1_decode(payload, widths.tobytes(), path)
        np.testing.assert_array_equal(decoded, samples)


@pytest.mark.parametrize("seed", range(6))
def test_any_channels_of_them(seed):
    samples = RECORDINGS[f"mixed {seed}"]
    payload = native.n1_encode(samples, block_samples=700)
    rng = np.random.default_rng(seed)
    for _ in range(12):
        count = rng.integers(1, samples.shape[1] + 1)
        channels = np.sort(rng.choice(samples.shape[1], count, replace=False)).astype(np.uint32)
        begin, end = np.sort(rng.integers(0, len(samples) + 1, 2))
        for path in PATHS:
            part = native.n1_decode_part(payload, range(begin, end), channels, path=path)
            np.testing.assert_array_equal(part, samples[begin:end][:, channels])


def test_the_recordings_have_blocks_of_all_shapes():
    found = set()
    for samples in RECORDINGS.values():
        for block in native.n1_blocks(native.n1_encode(samples)):
            found.add((block.kind, block.num_lanes))
            found.add((block.map, "classes" if block.num_classes > 1 else "one class"))
            found.add("reference" if block.reference else "none")
    for kind in ("integer", "width"):
        assert {(kind, lanes) for lanes in (1, 2, 4, 8)} <= found
    assert {("palette", "one class"), ("step", "one class"), ("identity", "classes")} <= found
    assert ("packed", 0) in found and "reference" in found


@pytest.mark.parametrize("name", ["mixed 0", "mixed 1", "mixed 2", "only walk"])
def test_damage_is_the_same_error_on_all_paths(name):
    """Or the same samples: what a checksum of few bits lets through is decoded alike."""
    payload = bytearray(native.n1_encode(RECORDINGS[name][:400]))
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(payload), 60):
        bit = 1 << int(rng.integers(8))
        payload[place] ^= bit
        results = []
        for path in PATHS:
            try:
                results.append(native.n1_decode(bytes(payload), path=path).tobytes())
            except N1StoreError as error:
                results.append(str(error))
        assert results[0] == results[1]
        payload[place] ^= bit
