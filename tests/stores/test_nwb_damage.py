"""NWB files that are damaged, are none, cannot be had: one line says so, nothing wrong is read."""

import json
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from test_nwb import EACH_CODEC, installed
from test_there_and_back import UNUSUAL

import n1store
from make_wav import on_grid, write_wav
from n1store import N1StoreError
from processes import run_alone

RATE = 1000
TWO = {"one": on_grid(1000, 2, 1), "two": on_grid(1500, 2, 2)}

# Runs all commands on files, in a process of its own, as what is damaged may crash HDF5. The last
# path on standard error is that of the file that did.
TRY_ALL = """
    import json, resource, sys, traceback, warnings
    import numpy
    from click.testing import CliRunner
    import n1store
    from n1store.cli.commands import cli

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    expected = dict(numpy.load(sys.argv[1]))
    results = []
    for path in sys.argv[2:]:
        print(path, file=sys.stderr, flush=True)
        found = {"wrong": [], "unforeseen": []}
        for command, *options in (
            ["info", "--chunks"],
            ["verify"],
            ["export", path + ".wavs"],
            ["bench", "--windows", "2"],
        ):
            result = CliRunner().invoke(cli, [command, path, *options])
            if not isinstance(result.exception, SystemExit | None):
                found["unforeseen"] += traceback.format_exception(result.exception)
            found[command] = result.exit_code, result.stderr.splitlines()
        try:
            with n1store.open(path) as store:
                found["names"] = list(store)
                for name in store:
                    try:
                        samples = store[name].read(0, 10**6)
                    except n1store.N1StoreError as error:
                        found["read"] = str(error)
                    else:
                        if not numpy.array_equal(samples, expected[name.rpartition("/")[2]]):
                            found["wrong"].append(name)
        except n1store.N1StoreError as error:
            found["read"] = str(error)
        results.append(found)
    print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Give files of TWO in chunks of 400 samples by codec."""
    folder = tmp_path_factory.mktemp("originals")
    for name, samples in TWO.items():
        write_wav(folder / "wavs" / f"{name}.wav", samples, RATE)
    made = {}

    def original(spec):
        if spec not in made:
            made[spec] = folder / f"{len(made)}.nwb"
            n1store.convert(folder / "wavs", made[spec], codec=spec, chunk_seconds=0.4, workers=1)
        return made[spec]

    return original


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Give the samples as a file, for processes of their own to compare with."""
    path = tmp_path_factory.mktemp("expected") / "two.npz"
    np.savez(path, **TWO)
    return path


def try_all(expected, contents, folder):
    """Return what all commands say of files of these contents; see TRY_ALL."""
    paths = [folder / f"{number}.nwb" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    results = json.loads(run_alone(TRY_ALL, expected, *paths))
    for path, result in zip(paths, results, strict=True):
        assert result["unforeseen"] == [], "".join(result["unforeseen"])
        assert result["wrong"] == []
        for command in ("info", "export", "bench"):
            code, lines = result[command]
            assert (code, len(lines)) in ((0, 0), (1, 1)), lines
            assert all(line.startswith("Error: ") for line in lines)
        left = [file.name for file in path.parent.glob(f"{path.name}.wavs/.*")]
        assert left == []
    return results


def flipped(content, position, value):
    changed = bytearray(content)
    changed[position] ^= value
    return bytes(changed)


def chunks_of(path, name):
    """Return the offset and size of each chunk of a recording."""
    with h5py.File(path) as file:
        dataset = file[f"acquisition/{name}/data"]
        infos = map(dataset.id.get_chunk_info, range(dataset.id.get_num_chunks()))
        return [(info.byte_offset, info.size) for info in infos]


# Chunks


@pytest.fixture(scope="module")
def changed_chunks(originals, expected, tmp_path_factory):
    """Give what all commands say of files with a byte changed in a chunk, by codec and chunk."""
    folder = tmp_path_factory.mktemp("changed")
    rng = np.random.default_rng(1)
    keys, contents = [], []
    for spec, _ in installed(EACH_CODEC):
        path = originals(spec)
        content = path.read_bytes()
        chunks = chunks_of(path, "two")
        for number, at in ((1, 0.0), (len(chunks) - 1, rng.random()), (1, 1.0)):
            offset, size = chunks[number]
            position = offset + round(at * (size - 1))
            keys.append((spec, number, folder / f"{len(keys)}.nwb.wavs"))
            contents.append(flipped(content, position, int(rng.integers(1, 256))))
    return list(zip(keys, try_all(expected, contents, folder), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", EACH_CODEC)
def test_a_changed_byte_in_a_chunk(changed_chunks, pipeline):
    results = [each for each in changed_chunks if each[0][0] == pipeline[0]]
    assert {key[1] for key, _ in results} == {1, 3}
    for (_, number, exported), result in results:
        code, (line, *more) = result["verify"]
        assert (code, more) == (1, [])
        assert line.startswith(f"two: chunk {number},0: ")
        assert f"chunk {number},0: " in result["read"]
        assert result["info"][0] == 0
        assert "two" in result["export"][1][0]
        assert "two" in result["bench"][1][0]
        assert result["names"] == ["one", "two"]
        assert [file.name for file in exported.iterdir()] == ["one.wav"]


def test_a_chunk_in_the_place_of_another(originals, tmp_path):
    path = originals("n1")
    copy = shutil.copy(path, tmp_path / "x.nwb")
    with h5py.File(copy, "r+") as file:
        dataset = file["acquisition/two/data"]
        _, payload = dataset.id.read_direct_chunk((0, 0))
        dataset.id.write_direct_chunk((400, 0), payload)
    (line,) = n1store.verify(copy).problems
    assert line.startswith("two: chunk 1,0: ")


def test_a_chunk_that_is_missing(originals, tmp_path):
    copy = tmp_path / "x.nwb"
    with h5py.File(originals("n1")) as source, h5py.File(copy, "w") as target:
        for key, value in source.attrs.items():
            target.attrs[key] = value
        for name in source:
            source.copy(name, target)
        dataset = source["acquisition/two/data"]
        place = target["acquisition/two"]
        del place["data"]
        new = h5py.h5d.create(
            place.id,
            b"data",
            dataset.id.get_type(),
            dataset.id.get_space(),
            dataset.id.get_create_plist(),
        )
        _, payload = dataset.id.read_direct_chunk((0, 0))
        new.write_direct_chunk((0, 0), payload)
    lines = n1store.verify(copy).problems
    assert [line.split(": ")[1:] for line in lines] == [
        [f"chunk {number},0", "is missing"] for number in (1, 2, 3)
    ]
    with n1store.open(copy) as store, pytest.raises(N1StoreError, match=r"chunk 1,0: is missing"):
        store["two"].read(0, 1500)


def test_samples_written_anew_by_others(originals, tmp_path):
    path = originals("n1")
    copy = shutil.copy(path, tmp_path / "x.nwb")
    with h5py.File(copy, "r+") as file:
        file["acquisition/two/data"][407, 1] += 64
    (line,) = n1store.verify(copy).problems
    assert line.startswith("two: chunk 1,0: ")
    with pytest.raises(N1StoreError, match="two"):
        n1store.export_wavs(copy, tmp_path / "out")


# The rest of the file


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["n1", "zstd"])
def test_changed_bytes_in_the_metadata(originals, expected, tmp_path, spec):
    path = originals(spec)
    content = path.read_bytes()
    rng = np.random.default_rng(2)
    eligible = np.ones(len(content), bool)
    # Where HDF5 keeps texts it has no checksum, and some damages there it reads without end.
    start = content.find(b"GCOL")
    while start >= 0:
        size = int.from_bytes(content[start + 8 : start + 16], "little")
        eligible[start : start + size] = False
        start = content.find(b"GCOL", start + 4)
    assert 0 < eligible.sum() < len(content)
    for name in TWO:
        for offset, size in chunks_of(path, name):
            eligible[offset : offset + size] = False
    positions = rng.choice(np.flatnonzero(eligible), 40, replace=False)
    changed = [flipped(content, at, int(rng.integers(1, 256))) for at in positions]
    changed += [flipped(content, at, 0xFF) for at in (0, 4, 8, 12, 40)]
    results = try_all(expected, changed, tmp_path)
    found = 0
    for result in results:
        if result["verify"][0] == 0:
            assert "read" not in result
            assert result["names"] == ["one", "two"]
        found += "read" in result
    assert found > 10


def test_a_changed_text(originals, expected, tmp_path):
    """Give what n1store looks for in HDF5's heap of texts another value."""
    path = originals("n1")
    content = path.read_bytes()
    changed = [
        content.replace(old, new)
        for old, new in (
            (b"ElectricalSeries", b"ElectricalSerie\xff"),
            (b"ElectricalSeries", b"SpatialSeries\0\0\0"),
            (b"acquisition", b"acquisitiom"),
        )
    ]
    assert content not in changed
    for result in try_all(expected, changed, tmp_path):
        assert result["verify"][0] == 0 or "read" in result


def test_a_file_that_is_cut_off(originals, expected, tmp_path):
    path = originals("n1")
    content = path.read_bytes()
    lengths = [0, 1, 7, 8, 48, 100, 1000, *range(2000, len(content), 2500), -4096, -100, -2, -1]
    results = try_all(expected, [content[:length] for length in lengths], tmp_path)
    for number, result in enumerate(results):
        for command in ("info", "verify", "export", "bench"):
            code, (line,) = result[command]
            assert code == 1
            assert f"{number}.nwb: is not an HDF5 file, or is cut off" in line
        assert not (tmp_path / f"{number}.nwb.wavs").exists()


def test_a_series_that_is_missing(originals, tmp_path):
    copy = shutil.copy(originals("n1"), tmp_path / "x.nwb")
    with h5py.File(copy, "r+") as file:
        del file["acquisition/two"]
    (line,) = n1store.verify(copy).problems
    assert line.startswith("two: series acquisition/two: ")
    with n1store.open(copy) as store:
        np.testing.assert_array_equal(store["one"].traces[:], TWO["one"])


# What n1store keeps of the recordings


def replace_summary(path, change):
    """Change what n1store keeps of the recordings."""
    with h5py.File(path, "r+") as file:
        attributes = dict(file["scratch/n1store"].attrs)
        content = change(json.loads(file["scratch/n1store"][:].tobytes()))
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        del file["scratch/n1store"]
        file["scratch/n1store"] = np.frombuffer(content, "u1")
        file["scratch/n1store"].attrs.update(attributes)


WRONG = [None, 7, -1, 1.5, "x", "", [], {}, [None, None], True, float("nan"), 10**30]
SUMMARY_KEYS = [
    *([key] for key in ("version", "layout", "codec", "recordings")),
    ["recordings", "two"],
    *(
        ["recordings", "two", key]
        for key in ("path", "sampling_frequency", "channel_ids", "chunk_crc32", "samples_sha256")
    ),
    ["recordings", "two", "sources"],
    ["recordings", "two", "sources", 0],
    *(["recordings", "two", "sources", 0, key] for key in ("file", "sha256", "num_channels")),
]


@pytest.mark.long
def test_wrong_values_in_what_n1store_keeps(originals, expected, tmp_path):
    path = originals("n1")
    contents, changes = [], []
    rng = np.random.default_rng(3)
    copy = tmp_path / "copy.nwb"

    def set_value(summary):
        *parents, last = keys
        place = summary
        for key in parents:
            place = place[key]
        place[last] = value
        return summary

    for keys in SUMMARY_KEYS:
        for choice in rng.choice(len(WRONG), 3, replace=False):
            value = WRONG[choice]
            shutil.copy(path, copy)
            replace_summary(copy, set_value)
            contents.append(copy.read_bytes())
            changes.append((keys, value))
    for content in (b"", b"{", b"[]", b"null", b"\xff", b"{}", b"[" * 100_000):
        shutil.copy(path, copy)
        replace_summary(copy, lambda _, content=content: content)
        contents.append(copy.read_bytes())
        changes.append((["all"], content[:9]))
    results = try_all(expected, contents, tmp_path)
    for change, result in zip(changes, results, strict=True):
        fine = result["verify"][0] == 0
        # These name a thing, and any text does; and a recording need not come from WAV files.
        named = isinstance(change[-1], str) and change[0][-1] in ("version", "layout", "codec")
        allowed = named or change[0][-1] == "file" or change[1:] == ([],)
        assert not fine or allowed, change


# What is no NWB file, or cannot be had


def not_nwb(path, kind):
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not HDF5" * 1000)
    elif kind == "WAV":
        path.write_bytes(UNUSUAL["plain"])
    elif kind == "HDF5":
        h5py.File(path, "w").create_dataset("x", data=[1])
    elif kind == "folder":
        path.mkdir()


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "WAV", "HDF5", "folder"])
def test_what_is_no_nwb_file(fails, tmp_path, kind):
    path = tmp_path / "x.nwb"
    not_nwb(path, kind)
    for command in (["info", path], ["verify", path], ["bench", path], ["export", path, "back"]):
        fails(*command, words=[path])
    with pytest.raises(N1StoreError, match="nwb"):
        n1store.open(path)


def test_a_file_that_another_process_writes(originals, run, fails, tmp_path):
    path = shutil.copy(originals("n1"), tmp_path / "x.nwb")
    script = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        for command in (["info"], ["verify"], ["bench"]):
            fails(*command, path, words=[path, "another process"])
        process.communicate(b"\n")
    run("verify", path)


def test_a_file_that_another_process_reads(originals, run, tmp_path):
    path = shutil.copy(originals("n1"), tmp_path / "x.nwb")
    with h5py.File(path):
        run("verify", path)
        write_wav(tmp_path / "in.wav", TWO["one"], RATE)
        run("convert", tmp_path / "in.wav", path, "--overwrite")
    run("verify", path, tmp_path / "in.wav")


def test_a_file_that_may_not_be_read(originals, fails, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root can read everything")
    path = shutil.copy(originals("n1"), tmp_path / "x.nwb")
    path.chmod(0)
    fails("verify", path, words=[path])
