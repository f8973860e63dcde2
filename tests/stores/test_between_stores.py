"""From store to store: chunks are copied where they can be, and samples always stay the same."""

import filecmp
import hashlib
import shutil
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest
from nwbinspector import Importance, inspect_nwbfile

import make_nwb
import n1store
from installed import ZARR_FORMATS
from make_wav import write_wav
from n1store.codecs.pipeline import Pipeline, split_checksum
from n1store.errors import N1StoreError

KINDS = ["nwb", *(f"zarr {number}" for number in ZARR_FORMATS), "zip"]


def options(kind):
    """Return the name of a store of this kind, and what makes convert write it."""
    if kind == "nwb":
        return "out.nwb", {}
    name = "out.zarr.zip" if kind == "zip" else "out.zarr"
    return name, {"zarr_format": ZARR_FORMATS[-1] if kind == "zip" else int(kind[-1])}


@pytest.fixture
def encoded(monkeypatch):
    """Count the chunks that are encoded."""
    chunks = []
    encode = Pipeline.encode
    monkeypatch.setattr(
        Pipeline, "encode", lambda self, chunk: chunks.append(chunk.shape) or encode(self, chunk)
    )
    return chunks


@pytest.fixture(scope="module")
def recordings(recordings, tmp_path_factory):
    """Give three of the recordings, which are enough for there to be several."""
    folder = tmp_path_factory.mktemp("recordings")
    for path in sorted(recordings.iterdir())[:3]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def sources(recordings, tmp_path_factory):
    """Give a store of each kind and codec, with chunks of 1 s, made from WAV files."""
    made = {}

    def source(kind, codec):
        if (kind, codec) not in made:
            name, fields = options(kind)
            made[kind, codec] = tmp_path_factory.mktemp("source") / name
            n1store.convert(recordings, made[kind, codec], codec=codec, chunk_seconds=1, **fields)
        return made[kind, codec]

    return source


def payloads(path):
    """Return the chunks of a store as they are stored, but for a checksum of their bytes."""
    found = {}
    with n1store.open(path) as store:
        for name in store:
            array = store.array(name)
            _, checksum = split_checksum(array.codecs)
            for index in array.grid.indices():
                content = array.payload(index)
                found[name, index] = bytes(checksum.decode(content) if checksum else content)
    return found


def hashes(path):
    with n1store.open(path) as store:
        return {
            name: hashlib.sha256(recording.traces[:].tobytes()).hexdigest()
            for name, recording in store.items()
        }


@pytest.mark.parametrize(
    ("source", "target", "codec"),
    [
        *((source, target, "n1") for source in KINDS for target in KINDS),
        *((kind, "nwb", "zstd") for kind in KINDS),
        *(("nwb", kind, "zstd") for kind in KINDS[1:]),
    ],
)
def test_chunks_are_copied(sources, recordings, tmp_path, encoded, source, target, codec):
    path = sources(source, codec)
    encoded.clear()
    name, fields = options(target)
    result = n1store.convert(path, tmp_path / name, codec=codec, **fields)
    assert encoded == [] and result.lost == [] and result.skipped == []
    copied = payloads(tmp_path / name)
    assert copied == payloads(path) and len(copied) > len(hashes(path))
    verification = n1store.verify(tmp_path / name, recordings)
    assert not verification.problems and verification.compared == len(hashes(path))


@pytest.mark.parametrize(
    ("target", "checksum"),
    [("nwb", "fletcher32"), *((f"zarr {n}", {2: "crc32", 3: "crc32c"}[n]) for n in ZARR_FORMATS)],
)
@pytest.mark.parametrize("source", ["nwb", "zarr 2"])
def test_checksums_are_the_targets_own(sources, tmp_path, source, target, checksum):
    name, fields = options(target)
    n1store.convert(sources(source, "zstd"), tmp_path / name, codec="zstd", **fields)
    with n1store.open(tmp_path / name) as store:
        array = store.array(next(iter(store)))
        _, codec = split_checksum(array.codecs)
        assert codec.codec_id == checksum
        payload = bytearray(array.payload((0, 0)))
    codec.decode(bytes(payload))  # which is right as it is
    payload[0] ^= 1
    with pytest.raises(RuntimeError):
        codec.decode(bytes(payload))


@pytest.mark.parametrize("target", KINDS[:2])
def test_a_checksum_that_is_not_wanted_is_taken_off(sources, tmp_path, encoded, target):
    path = sources("nwb", "n1+fletcher32")
    encoded.clear()
    name, fields = options(target)
    n1store.convert(path, tmp_path / name, codec="n1", **fields)
    assert encoded == [] and payloads(tmp_path / name) == payloads(path)
    assert not n1store.verify(tmp_path / name).problems


@pytest.mark.parametrize("target", KINDS[:2])
@pytest.mark.parametrize(
    "change", [{"codec": "zlib"}, {"codec": "n1:level=1"}, {"codec": "n1", "chunk_seconds": 0.5}]
)
def test_chunks_are_encoded_where_they_have_to_be(sources, tmp_path, encoded, target, change):
    path = sources("nwb", "n1")
    encoded.clear()
    name, fields = options(target)
    n1store.convert(path, tmp_path / name, **change, **fields)
    assert len(encoded) == len(payloads(tmp_path / name))
    assert hashes(tmp_path / name) == hashes(path)
    assert not n1store.verify(tmp_path / name).problems


def test_the_wav_files_come_back_after_three_hops(sources, recordings, tmp_path, run):
    path = sources("nwb", "n1")
    for name, codec in (("a.zarr", "flac"), ("b.nwb", "n1"), ("c.zarr.zip", "blosc")):
        run("convert", path, tmp_path / name, "--codec", codec)
        path = tmp_path / name
    assert "compared" in run("verify", path, recordings).stdout
    run("export", path, tmp_path / "back")
    names = sorted(wav.name for wav in recordings.iterdir())
    assert names == sorted(wav.name for wav in (tmp_path / "back").iterdir())
    compared = filecmp.cmpfiles(recordings, tmp_path / "back", names, shallow=False)
    assert compared == (names, [], [])


def test_the_wav_files_come_back_from_channels(tmp_path, run):
    folder = tmp_path / "wavs"
    for number in range(3):
        write_wav(folder / f"{number}.wav", make_nwb.samples((3_000, number + 1), number))
    path = folder
    for name, layout in (("a.nwb", "channels"), ("b.zarr", "recordings"), ("c.nwb", "channels")):
        run("convert", path, tmp_path / name, "--layout", layout)
        path = tmp_path / name
        assert "3 compared" in run("verify", path, folder).stdout
    run("export", path, tmp_path / "back")
    names = [wav.name for wav in folder.iterdir()]
    assert filecmp.cmpfiles(folder, tmp_path / "back", names, shallow=False)[0] == names


def test_channels_that_came_from_no_file_beside_one_that_did(tmp_path, run):
    wav = write_wav(tmp_path / "a.wav", make_nwb.samples((3_000, 2)), rate=1000)
    nwbfile, series = make_nwb.make_bare(3)
    nwbfile.add_acquisition(series("b", make_nwb.samples((3_000, 3), 1)))
    other, store = make_nwb.write(tmp_path / "other.nwb", nwbfile), tmp_path / "both.zarr"
    result = run("convert", wav, other, store, "--layout", "channels")
    assert "not kept: traces: its 1 original files" in result.stderr
    assert "all as stored" in run("verify", store).stdout
    run("convert", store, tmp_path / "again.nwb")
    assert "all as stored" in run("verify", tmp_path / "again.nwb").stdout
    expected = np.hstack([make_nwb.samples((3_000, 2)), make_nwb.samples((3_000, 3), 1)])
    np.testing.assert_array_equal(n1store.open(store)["traces"].traces[:], expected)
    assert "not made from WAV files" in run("export", store, tmp_path / "back", exit_code=1).stderr


def test_a_folder_that_is_called_as_a_file_is_searched(tmp_path, run):
    write_wav(tmp_path / "session.wav" / "a.wav", make_nwb.samples((3_000, 1)))
    run("convert", tmp_path / "session.wav", tmp_path / "out.zarr")
    assert list(n1store.open(tmp_path / "out.zarr")) == ["a"]


def test_metadata_are_as_good_as_before(sources, tmp_path):
    first = sources("nwb", "n1")
    store, second = tmp_path / "between.zarr", tmp_path / "out.nwb"
    n1store.convert(first, store)
    n1store.convert(store, second)
    found = []
    for path in (first, second):
        assert pynwb.validate(path=str(path)) == []
        remarks = list(inspect_nwbfile(nwbfile_path=str(path)))
        assert not [one for one in remarks if one.importance == Importance.CRITICAL]
        found.append(sorted((one.check_function_name, one.location or "") for one in remarks))
    assert found[0] == found[1]


def _foreign():
    data = make_nwb.samples((5_000, 8))
    wrap = pynwb.H5DataIO
    return {
        "gzip": wrap(data, compression="gzip", chunks=(1024, 8)),
        "shuffle": wrap(data, compression="gzip", shuffle=True, fletcher32=True, chunks=(512, 4)),
        "contiguous": data,
        "chunks alone": wrap(data, chunks=(999, 3)),
        "one channel": wrap(data[:, 0].copy(), compression="gzip", chunks=(1024,)),
        "one, contiguous": data[:, 0].copy(),
    }


# As only h5py makes them, of pynwb's.
BY_HAND = {
    "lzf": ("<i2", {"compression": "lzf", "chunks": (1024, 8)}),
    "big-endian": (">i2", {}),
    "big-endian, gzip": (">i2", {"compression": "gzip", "chunks": (1024, 8)}),
}


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """Give an NWB file of many series, and their samples."""
    nwbfile, series = make_nwb.make_bare(8)
    expected = {}
    for name, data in _foreign().items():
        expected[name] = np.array(getattr(data, "data", data), "<i2").reshape(5_000, -1)
        nwbfile.add_acquisition(series(name, data, conversion=1e-6))
    nwbfile.add_acquisition(series("volts", np.zeros((50, 2))))
    for name in BY_HAND:
        expected[name] = make_nwb.samples((5_000, 8))
        nwbfile.add_acquisition(series(name, expected[name], conversion=1e-6))
    path = make_nwb.write(tmp_path_factory.mktemp("foreign") / "in.nwb", nwbfile)
    with h5py.File(path, "r+") as file:
        for name, (dtype, storage) in BY_HAND.items():
            series = file[f"acquisition/{name}"]
            attributes = dict(series["data"].attrs)
            del series["data"]
            dataset = series.create_dataset("data", data=expected[name].astype(dtype), **storage)
            dataset.attrs.update(attributes)
            assert dataset.dtype == dtype
        assert file["acquisition/contiguous/data"].chunks is None
    return path, expected


@pytest.mark.parametrize("codec", ["n1", "zlib:level=4"])
@pytest.mark.parametrize("target", KINDS)
def test_files_of_others(foreign, tmp_path, target, codec):
    path, expected = foreign
    name, fields = options(target)
    result = n1store.convert(path, tmp_path / name, codec=codec, adc=False, **fields)
    assert result.skipped == [f"{path}: acquisition/volts: its samples are float64, not int16"]
    assert result.lost == []
    with n1store.open(tmp_path / name) as store:
        assert set(store) == set(expected)
        for one, samples in expected.items():
            assert np.array_equal(store[one].traces[:], samples), one
            assert store[one].sampling_frequency == 1000
            assert store[one].channel_ids == tuple(map(str, range(samples.shape[1])))
        # What has no chunks gets those that a WAV file would, the others keep theirs.
        length = 5_000 if target == "nwb" else 1_000
        assert store.array("contiguous").grid.chunk_shape == (length, 8)
        assert store.array("one, contiguous").grid.chunk_shape == (length, 1)
        assert store.array("chunks alone").grid.chunk_shape == (999, 3)
    assert not n1store.verify(tmp_path / name).problems
    if target == "nwb":
        with pynwb.NWBHDF5IO(tmp_path / name, "r") as io:
            acquisition = io.read().acquisition
            for one, samples in expected.items():
                assert np.array_equal(acquisition[one].data[:], samples)
                assert acquisition[one].conversion == 1e-6
    with pytest.raises(N1StoreError, match="was not made from WAV files"):
        n1store.export_wavs(tmp_path / name, tmp_path / "back")


@pytest.mark.parametrize("row", [-1, 2])
def test_electrodes_that_are_not_in_their_table(tmp_path, run, row):
    nwbfile, series = make_nwb.make_bare(2)
    nwbfile.add_acquisition(series("x", make_nwb.samples((50, 2))))
    path = make_nwb.write(tmp_path / "in.nwb", nwbfile)
    with h5py.File(path, "r+") as file:
        file["acquisition/x/electrodes"][1] = row
    message = run("convert", path, tmp_path / "out.zarr", exit_code=1).stderr
    assert f"{path}: holds no recordings" in message
    assert "acquisition/x: is not described in full: its electrodes are not there" in message


@pytest.mark.parametrize("target", KINDS)
def test_chunks_of_others_are_copied(tmp_path, encoded, target):
    nwbfile, series = make_nwb.make_bare(8)
    data = make_nwb.samples((5_000, 8))
    wrapped = pynwb.H5DataIO(data, compression="gzip", compression_opts=3, chunks=(1024, 4))
    nwbfile.add_acquisition(series("raw", wrapped))
    path = make_nwb.write(tmp_path / "in.nwb", nwbfile)
    name, fields = options(target)
    n1store.convert(path, tmp_path / name, codec="zlib:level=3", adc=False, **fields)
    assert encoded == []
    assert payloads(tmp_path / name) == payloads(path)
    assert hashes(tmp_path / name) == {"raw": hashlib.sha256(data.tobytes()).hexdigest()}


def test_chunks_that_are_missing_or_stored_otherwise(tmp_path, encoded):
    """A chunk that was never written, and one that the filter left as it was."""
    nwbfile, series = make_nwb.make_bare(1)
    wrapped = pynwb.H5DataIO(
        np.zeros(64, "<i2"), compression="gzip", chunks=(16,), maxshape=(None,)
    )
    nwbfile.add_acquisition(series("raw", wrapped))
    path = make_nwb.write(tmp_path / "in.nwb", nwbfile)
    with h5py.File(path, "r+") as file:
        data = file["acquisition/raw/data"]
        data.resize((96,))
        data.id.write_direct_chunk((16,), np.arange(16, dtype="<i2").tobytes(), 1)
        expected = data[:]
    assert expected.any()
    n1store.convert(path, tmp_path / "out.zarr", codec="zlib:level=4", adc=False)
    assert len(encoded) == 3  # two are missing
    with n1store.open(tmp_path / "out.zarr") as store:
        assert np.array_equal(store["raw"].traces[:, 0], expected)


def _damage(path, name):
    """Change a byte in the middle of the first chunk of a recording."""
    with n1store.open(path) as store:
        payload = store.array(name).payload((0, 0))
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    for file in files:
        content = bytearray(file.read_bytes())
        place = content.find(payload)
        if place >= 0:
            content[place + len(payload) // 2] ^= 255
            file.write_bytes(content)
            return
    pytest.fail("the chunk is in no file")


@pytest.mark.parametrize("codec", ["n1", "zstd"])
@pytest.mark.parametrize(
    ("source", "target"), [*((kind, "out.nwb") for kind in KINDS), ("nwb", "out.zarr")]
)
def test_damaged_chunks(tmp_path, run, source, target, codec):
    write_wav(tmp_path / "a.wav", make_nwb.samples(40_000))
    write_wav(tmp_path / "b.wav", make_nwb.samples(40_000, 1))
    name, fields = options(source)
    path = tmp_path / "in" / name
    path.parent.mkdir()
    n1store.convert(tmp_path, path, codec=codec, chunk_seconds=1, **fields)
    _damage(path, "b")
    before = sorted(tmp_path.iterdir())
    for wanted in (codec, "lz4"):  # copied, and encoded anew
        error = run("convert", path, tmp_path / target, "--codec", wanted, exit_code=1).stderr
        assert error.startswith(f"Error: {path}: recording b") and error.count("\n") == 1, error
        assert sorted(tmp_path.iterdir()) == before
    run("convert", path, tmp_path / target, "--on-error", "skip", exit_code=3)
    assert list(hashes(tmp_path / target)) == ["a"]


def test_damaged_chunks_of_others(tmp_path, run):
    nwbfile, series = make_nwb.make_bare(8)
    data = pynwb.H5DataIO(make_nwb.samples((5_000, 8)), compression="gzip", chunks=(1024, 8))
    nwbfile.add_acquisition(series("raw", data))
    path = make_nwb.write(tmp_path / "in.nwb", nwbfile)
    _damage(path, "raw")
    for codec in ("zlib:level=4", "n1"):
        out = tmp_path / "out.zarr"
        error = run("convert", path, out, "--codec", codec, "--no-adc", exit_code=1).stderr
        assert error.startswith(f"Error: {path}: ") and "chunk 0,0" in error, error
        assert error.count("\n") == 1 and not out.exists()


def test_several_sources_of_all_kinds(tmp_path):
    folder = Path(tmp_path)
    expected = {}
    for number, name in enumerate(["a.wav", "b.nwb", "c.zarr", "d.zarr.zip"]):
        stem = name.partition(".")[0]
        samples = make_nwb.samples((2_000, number + 1), number)
        expected[stem] = hashlib.sha256(samples.tobytes()).hexdigest()
        wav = write_wav(folder / "wavs" / f"{stem}.wav", samples)
        if name != "a.wav":
            n1store.convert(wav, folder / name)
    sources = [
        folder / "wavs/a.wav",
        *(folder / name for name in ("b.nwb", "c.zarr", "d.zarr.zip")),
    ]
    for name in ("out.nwb", "out.zarr"):
        assert n1store.convert(sources, folder / name).lost == []
        assert hashes(folder / name) == expected
        assert n1store.verify(folder / name, [folder / "wavs"]).compared == 4
    assert pynwb.validate(path=str(folder / "out.nwb")) == []
