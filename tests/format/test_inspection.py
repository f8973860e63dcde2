"""`n1store inspect`: what is in a payload, and the first thing that is wrong with it."""

import numpy as np
import pytest

import n1store
from make_wav import write_wav
from n1store.codecs import native
from n1store.errors import N1StoreError
from n1store.inspection import inspect, inspect_payload

WALK = np.cumsum(np.random.default_rng(0).normal(0, 9, (900, 3)), axis=0)
SAMPLES = native.adc_decode(np.clip(WALK, -512, 511).astype("<i2"))
PAYLOAD = native.n1_encode(SAMPLES, block_samples=300)
INDEX = native.n1_index_size(PAYLOAD)


def test_every_block_is_there():
    inspection = inspect_payload(PAYLOAD)
    assert inspection.problem == ""
    assert (inspection.size, inspection.index_bytes) == (len(PAYLOAD), INDEX)
    assert inspection.info.shape == SAMPLES.shape
    places = [(each.first_sample, each.channel) for each in inspection.blocks]
    assert places == [(first, channel) for first in (0, 300, 600) for channel in range(3)]
    assert inspection.blocks[0].offset == INDEX
    for before, block in zip(inspection.blocks, inspection.blocks[1:], strict=False):
        assert block.offset == before.offset + before.size
    last = inspection.blocks[-1]
    assert last.offset + last.size == len(PAYLOAD)
    assert all(each.is_read and 0 < each.parameter_bytes <= each.size for each in inspection.blocks)
    assert len(inspection.rows) == 9 and inspection.ratio == SAMPLES.nbytes / len(PAYLOAD)


@pytest.mark.parametrize(
    "samples",
    [SAMPLES[:, 0], SAMPLES[:0], SAMPLES[:2], np.full((500, 2), 7, "i1")],
    ids=["one block", "nothing", "few", "constant"],
)
def test_any_payload(samples):
    inspection = inspect_payload(native.n1_encode(samples))
    assert inspection.problem == "" and inspection.info.shape == samples.shape


def damaged(place, payload=PAYLOAD):
    changed = bytearray(payload)
    changed[place] ^= 0x10
    return bytes(changed)


def test_the_first_thing_that_is_wrong_is_named():
    blocks = inspect_payload(PAYLOAD).blocks
    for place, words in (
        (0, "its first bytes: not an n1 payload"),
        (4, f"bytes 0 to {INDEX - 1}, which say where its blocks are: "),
        (INDEX - 2, f"bytes 0 to {INDEX - 1}, which say where its blocks are: "),
        (blocks[4].offset + 9, "block 4, channel 1, samples 300 to 599, bytes "),
        (len(PAYLOAD) - 1, "block 8, channel 2, samples 600 to 899, bytes "),
    ):
        assert inspect_payload(damaged(place)).problem.startswith(words)
    assert inspect_payload(b"").problem


def test_every_flipped_bit_and_every_truncation_is_a_problem():
    payload = native.n1_encode(SAMPLES[:60], block_samples=30)
    for bit in range(8 * len(payload)):
        changed = bytearray(payload)
        changed[bit // 8] ^= 1 << bit % 8
        assert inspect_payload(bytes(changed)).problem
    for size in range(len(payload)):
        assert inspect_payload(payload[:size]).problem


@pytest.mark.parametrize("suffix", [".zarr", ".nwb"])
def test_chunks_of_stores(tmp_path, run, run_json, suffix):
    write_wav(tmp_path / "a.wav", SAMPLES, 1000)
    path = tmp_path / f"x{suffix}"
    n1store.convert(tmp_path / "a.wav", path, chunk_seconds=0.4, block_seconds=0.1)
    content = run_json("inspect", path, "a", "1,0")
    assert content["shape"] == [400, 3] and content["problem"] == ""
    text = run("inspect", path, "a", "1").stdout
    assert "12 blocks" in text and "reference" in text
    with pytest.raises(N1StoreError, match="has chunks 0,0 to 2,0"):
        inspect(path, "a", (3, 0))
    with pytest.raises(N1StoreError, match="has no recording b"):
        inspect(path, "b")
    assert "is no chunk" in run("inspect", path, "a", "x", exit_code=2).stderr


def test_other_codecs_are_said_to_be_others(tmp_path):
    write_wav(tmp_path / "a.wav", SAMPLES, 1000)
    n1store.convert(tmp_path / "a.wav", tmp_path / "x.zarr", codec="zstd")
    with pytest.raises(N1StoreError, match="is no n1 payload"):
        inspect(tmp_path / "x.zarr", "a")


def test_files_of_payloads(tmp_path, run):
    (tmp_path / "a.payload").write_bytes(PAYLOAD)
    assert "9 blocks" in run("inspect", tmp_path / "a.payload").stdout
    (tmp_path / "a.payload").write_bytes(damaged(len(PAYLOAD) - 1))
    assert "block 8" in run("inspect", tmp_path / "a.payload", exit_code=1).stderr
    with pytest.raises(N1StoreError, match="No such file"):
        inspect(tmp_path / "b")
