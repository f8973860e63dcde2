"""Every damage to a store or difference from its sources is found, named and never read."""

import json
import pickle
import shutil
import struct
import zipfile

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

import n1store
from installed import ZARR_FORMATS, needs_wavpack, needs_zarr3
from make_wav import write_wav
from n1store.cli.commands import cli
from n1store.errors import N1StoreError
from processes import time_limit

RATE = 1000
NAMES = ["one", "two"]
METADATA = {"zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata"}


def noise(name):
    """Return samples for three chunks or two shards, of which the last is shorter."""
    walk = np.random.default_rng(len(name) + ord(name[0])).integers(-20, 21, (2 * RATE + 13, 2))
    return (64 * np.cumsum(walk, axis=0).clip(-500, 500)).astype("<i2")


SAMPLES = {name: noise(name) for name in NAMES}

VARIANTS = [
    pytest.param(
        (codec, zarr_format, shard_seconds),
        id=f"{codec}-{zarr_format}-{shard_seconds or 'chunks'}",
        marks=needs_wavpack if codec == "wavpack" else (),
    )
    for codec in ("n1", "zstd", "delta+lz4", "blosc", "lzma", "wavpack")
    for zarr_format, shard_seconds in [(2, None), (3, 0), (3, 2)]
    if zarr_format in ZARR_FORMATS
]
UNSHARDED = {2: None, 3: 0}
FORMATS = [
    pytest.param(("zstd", each, UNSHARDED[each]), id=f"format{each}") for each in ZARR_FORMATS
]
FORMATS += [pytest.param(("zstd", 3, 2), id="shards", marks=needs_zarr3)]


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Give stores by variant, converted once, and the folder of their sources."""
    folder = tmp_path_factory.mktemp("originals")
    for name in NAMES:
        write_wav(folder / "wavs" / f"{name}.wav", SAMPLES[name], RATE)
    made = {}

    def original(variant, suffix=".zarr"):
        key = (*variant, suffix)
        if key not in made:
            codec, zarr_format, shard_seconds = variant
            made[key] = folder / f"{len(made)}{suffix}"
            n1store.convert(
                folder / "wavs",
                made[key],
                codec=codec,
                zarr_format=zarr_format,
                shard_seconds=shard_seconds,
                workers=1,
            )
        return made[key]

    return original


@pytest.fixture
def wavs(originals, tmp_path):
    source = originals(FORMATS[0].values[0]).parent / "wavs"
    return shutil.copytree(source, tmp_path / "wavs")


@pytest.fixture
def store(originals, tmp_path):
    """Give a function that makes a copy of a store, to damage."""

    def copy(variant):
        return shutil.copytree(originals(variant), tmp_path / "x.zarr")

    return copy


@pytest.fixture
def zipped(originals, tmp_path):
    return lambda variant: shutil.copy(originals(variant, ".zarr.zip"), tmp_path / "x.zarr.zip")


def invoke(*arguments):
    """Run a command that may fail, but not in an unforeseen way; return code and lines."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if not isinstance(result.exception, SystemExit | None):
        raise result.exception
    assert result.exit_code in (0, 1), result.output
    return result.exit_code, result.stderr.splitlines()


def fails(*arguments):
    code, lines = invoke(*arguments)
    assert code == 1
    assert len(lines) == 1, lines
    assert lines[0].startswith("Error: ")
    return lines[0]


def chunk_files(store, name="*"):
    files = [path for path in store.glob(f"recordings/{name}/*") if path.name not in METADATA]
    return sorted(files)


def file_index(path):
    """Return the position in time of a chunk or shard from its file's name."""
    return int(path.name.removeprefix("c.").split(".")[0])


def problems(store, *sources):
    return n1store.verify(store, sources, workers=1).problems


def assert_named(lines, path, sharded, count=1):
    """All lines name the recording of a damaged file, and its chunk unless it is a shard."""
    assert lines
    for line in lines:
        assert path.parent.name in line
        assert not any(name in line for name in NAMES if name != path.parent.name)
    if not sharded:
        assert len(lines) == count
        assert f"chunk {file_index(path)},0" in lines[0]


def zarr_array(store, name):
    return zarr.open(str(store), mode="r")[f"recordings/{name}"]


def assert_right_or_error(read, expected):
    try:
        samples = read()
    except Exception:
        return False
    np.testing.assert_array_equal(samples, expected)
    return True


def damaged_files(store, damage):
    """Damage each file of chunks in turn, and make it whole again afterwards."""
    for path in chunk_files(store, "two"):
        content = path.read_bytes()
        damage(path, content)
        yield path
        path.write_bytes(content)


# Chunks


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_changed_byte_is_found_and_never_read(store, variant):
    path = store(variant)
    rng = np.random.default_rng(1)
    positions = 12 if variant[2] else 3
    array = zarr_array(path, "two")
    for file in chunk_files(path, "two"):
        content = file.read_bytes()
        at = {0, len(content) - 1, len(content) - 5, *rng.integers(len(content), size=positions)}
        for position in at:
            changed = bytearray(content)
            changed[position] ^= int(rng.integers(1, 256))
            file.write_bytes(changed)
            assert_named(problems(path), file, variant[2])
            assert not assert_right_or_error(lambda: array[:], SAMPLES["two"])
            for start in range(0, len(SAMPLES["two"]), 2 * RATE):
                window = slice(start, start + 2 * RATE)
                assert_right_or_error(lambda window=window: array[window], SAMPLES["two"][window])
        file.write_bytes(content)
    assert problems(path) == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_changed_byte_stops_every_command(store, tmp_path, variant):
    path = store(variant)
    rng = np.random.default_rng(2)

    def flip(file, content):
        changed = bytearray(content)
        changed[rng.integers(len(content))] ^= 0x10
        file.write_bytes(changed)

    for file in damaged_files(path, flip):
        name = file.parent.name
        code, lines = invoke("verify", path)
        assert code == 1
        assert_named(lines, file, variant[2])
        with n1store.open(path) as opened, pytest.raises(N1StoreError, match=name):
            opened[name].read(0, len(SAMPLES[name]))
        fails("export", path, tmp_path / "out")
        assert not (tmp_path / "out" / f"{name}.wav").exists()
        assert not list((tmp_path / "out").glob(".*"))
        shutil.rmtree(tmp_path / "out")
        fails("bench", path, "--windows", 2)


@pytest.mark.parametrize("variant", FORMATS)
def test_a_missing_file_is_found(store, tmp_path, variant):
    path = store(variant)
    for file in damaged_files(path, lambda file, _: file.unlink()):
        lines = problems(path)
        assert_named(lines, file, variant[2])
        assert all("missing" in line for line in lines)
        with n1store.open(path) as opened, pytest.raises(N1StoreError, match="two"):
            opened["two"].read(0, len(SAMPLES["two"]))
        fails("export", path, tmp_path / "out")
        assert not (tmp_path / "out" / f"{file.parent.name}.wav").exists()
        shutil.rmtree(tmp_path / "out")
        fails("bench", path, "--windows", 2)
        invoke("info", path, "--chunks")


@pytest.mark.parametrize("variant", FORMATS)
@pytest.mark.parametrize("length", [0, 1, 4, 5, -1, -4, -5, 0.5])
def test_a_truncated_file_is_found(store, tmp_path, variant, length):
    path = store(variant)

    def cut(file, content):
        end = int(length * len(content)) if isinstance(length, float) else length
        file.write_bytes(content[:end])

    for file in damaged_files(path, cut):
        code, lines = invoke("verify", path)
        assert code == 1
        assert_named(lines, file, variant[2])
        name = file.parent.name
        if length or not variant[2]:  # zarr takes an empty shard for one that was left out
            read = lambda name=name: zarr_array(path, name)[:]  # noqa: E731
            assert not assert_right_or_error(read, SAMPLES[name])
        fails("export", path, tmp_path / "out")
        assert not (tmp_path / "out" / f"{name}.wav").exists()
        shutil.rmtree(tmp_path / "out")
        fails("bench", path, "--windows", 2)
        invoke("info", path, "--chunks")


@pytest.mark.parametrize("variant", FORMATS)
def test_a_chunk_in_the_wrong_place_is_found(store, tmp_path, variant):
    path = store(variant)
    contents = [file.read_bytes() for file in chunk_files(path)]
    for file in chunk_files(path, "two"):
        content = file.read_bytes()
        for other in contents:
            if other == content:
                continue
            file.write_bytes(other)
            assert_named(problems(path), file, variant[2])
        fails("export", path, tmp_path / "out")
        fails("bench", path, "--windows", 2)
        shutil.rmtree(tmp_path / "out")
        file.write_bytes(content)


@pytest.mark.parametrize("variant", FORMATS)
@pytest.mark.parametrize("change", [1, 64])
def test_samples_rewritten_through_zarr_are_found(store, tmp_path, variant, change):
    path = store(variant)
    array = zarr.open(str(path), mode="r+")["recordings/two"]
    array[RATE + 7, 1] = array[RATE + 7, 1] + change
    (line,) = problems(path)
    assert "two: chunk 1,0" in line
    fails("export", path, tmp_path / "out")
    assert not (tmp_path / "out" / "two.wav").exists()
    fails("bench", path, "--windows", 2)


@pytest.mark.parametrize("variant", FORMATS)
def test_all_damaged_chunks_are_listed(store, variant):
    path = store(variant)
    with n1store.open(path) as opened:
        stored = opened["one"].attributes["chunk_crc32"]
    assert len(stored) == 8 * 3
    for name in NAMES:
        array = zarr.open(str(path), mode="r+")[f"recordings/{name}"]
        array[:] = array[:] + 64
    lines = problems(path)
    for name in NAMES:
        for chunk in range(3):
            assert any(f"{name}: chunk {chunk},0:" in line for line in lines)
    assert len(lines) == 6


# Metadata


def outcomes(path, tmp_path):
    """Run all commands on a store whose metadata are damaged; return their exit codes."""
    with time_limit(3):
        return outcomes_in_time(path, tmp_path / "out")


def outcomes_in_time(path, out):
    codes = {}
    for command in (
        ("info", path, "--chunks"),
        ("info", path, "--json"),
        ("verify", path),
        ("export", path, out, "--overwrite"),
        ("bench", path, "--windows", 2),
    ):
        code, lines = invoke(*command)
        codes[command[0]] = code
        if code and command[0] != "verify":
            assert len(lines) == 1, lines
        assert all(line.strip() for line in lines)
    for left in out.rglob(".*") if out.exists() else []:
        pytest.fail(f"left {left}")
    return codes


def assert_exported_or_failed(codes, tmp_path):
    """What was exported is right, whatever it is called."""
    if codes["export"] == 0:
        originals = {np.ascontiguousarray(samples).tobytes() for samples in SAMPLES.values()}
        for file in (tmp_path / "out").rglob("*"):
            if file.is_file():
                assert any(file.read_bytes().endswith(content) for content in originals)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)


def assert_never_wrong(codes, path):
    """Where verify finds nothing, the samples that n1store reads are right."""
    if codes["verify"] == 0:
        with n1store.open(path) as opened:
            for name in opened:
                if name in SAMPLES:
                    samples = opened[name].read(0, len(SAMPLES[name]))
                    np.testing.assert_array_equal(samples, SAMPLES[name])


def metadata_files(zarr_format):
    if zarr_format == 3:
        return ["zarr.json", "recordings/zarr.json", "recordings/two/zarr.json"]
    return [
        *(".zattrs", ".zgroup", ".zmetadata", "recordings/.zgroup"),
        *("recordings/two/.zarray", "recordings/two/.zattrs"),
    ]


METADATA_FILES = [(each, key) for each in ZARR_FORMATS for key in metadata_files(each)]


@pytest.mark.parametrize(("zarr_format", "key"), METADATA_FILES)
@pytest.mark.parametrize("content", ["half", "", "{", "{}", "[]", "null", "7", '"x"', "missing"])
def test_metadata_that_are_cut_or_replaced(store, tmp_path, zarr_format, key, content):
    path = store(("zstd", zarr_format, UNSHARDED[zarr_format]))
    file = path / key
    if content == "missing":
        file.unlink()
    elif content == "half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        file.write_text(content)
    codes = outcomes(path, tmp_path)
    if "two" in key:
        assert codes["verify"] == 1
        if zarr_format == 3:  # in format 2, zarr reads .zmetadata instead
            assert codes["export"] == codes["bench"] == 1
    if key in ("zarr.json", ".zattrs"):
        assert set(codes.values()) == {1}
    assert_exported_or_failed(codes, tmp_path)


@pytest.mark.parametrize(("zarr_format", "key"), METADATA_FILES)
@pytest.mark.parametrize("seed", range(3))
def test_metadata_with_a_changed_byte(store, tmp_path, zarr_format, key, seed):
    file = store(("zstd", zarr_format, UNSHARDED[zarr_format])) / key
    content = file.read_bytes()
    rng = np.random.default_rng([seed, len(key)])
    for position in rng.integers(len(content), size=6):
        changed = bytearray(content)
        changed[position] = rng.choice(list(b'0123456789"{}[],:-.ex <>|\x00\xff'))
        file.write_bytes(changed)
        codes = outcomes(tmp_path / "x.zarr", tmp_path)
        assert_exported_or_failed(codes, tmp_path)
        assert_never_wrong(codes, tmp_path / "x.zarr")


WRONG = [None, 7, -1, 0, 1.5, "x", "", [], {}, [1], [None, None], True, float("nan"), float("inf")]
LARGE = [10**12, 10**30]
ARRAY_KEYS = {
    2: [
        *(("shape",), ("shape", 0), ("shape", 1), ("chunks",), ("chunks", 0), ("chunks", 1)),
        *(("dtype",), ("filters",), ("filters", 0), ("filters", 0, "id"), ("zarr_format",)),
        *(("order",), ("dimension_separator",), ("compressor",)),
    ],
    3: [
        *(("shape",), ("shape", 0), ("shape", 1), ("data_type",), ("codecs",), ("codecs", 0)),
        *(("codecs", 0, "name"), ("chunk_grid",), ("chunk_grid", "configuration")),
        *(("chunk_grid", "configuration", "chunk_shape", axis) for axis in (0, 1)),
        *(("attributes",), ("node_type",), ("zarr_format",), ("chunk_key_encoding",)),
    ],
}
ATTRIBUTES = [
    *(("sampling_frequency",), ("channel_ids",), ("samples_sha256",), ("chunk_crc32",)),
    *(("sources",), ("sources", 0), ("sources", 0, "file"), ("sources", 0, "sha256")),
    *(("sources", 0, "num_channels"), ("sources", 0, "header"), ("sources", 0, "trailer")),
]
ROOT = [("n1store",)] + [
    ("n1store", *keys)
    for keys in [("recordings",), ("recordings", "two"), ("codec",), ("version",), ("layout",)]
]


def places():
    for zarr_format in ZARR_FORMATS:
        root, array, attributes = {
            2: (".zattrs", "recordings/two/.zarray", "recordings/two/.zattrs"),
            3: ("zarr.json", "recordings/two/zarr.json", "recordings/two/zarr.json"),
        }[zarr_format]
        inside = ("attributes",) if zarr_format == 3 else ()
        yield from ((zarr_format, root, (*inside, *keys)) for keys in ROOT)
        yield from ((zarr_format, array, keys) for keys in ARRAY_KEYS[zarr_format])
        yield from ((zarr_format, attributes, (*inside, *keys)) for keys in ATTRIBUTES)


def edit_json(content, keys, value):
    *parents, last = keys
    for key in parents:
        content = content[key]
    content[last] = value


def edit_metadata(path, file, keys, value):
    """Set a value in a metadata file and, in format 2, in the copy that zarr reads instead."""
    content = json.loads((path / file).read_text())
    edit_json(content, keys, value)
    (path / file).write_text(json.dumps(content))
    if (path / ".zmetadata").exists():
        together = json.loads((path / ".zmetadata").read_text())
        edit_json(together["metadata"][file], keys, value)
        (path / ".zmetadata").write_text(json.dumps(together))


@pytest.mark.parametrize(
    ("zarr_format", "file", "keys"),
    [pytest.param(*place, id=f"{place[0]}-{'.'.join(map(str, place[2]))}") for place in places()],
)
def test_metadata_with_a_wrong_value(store, tmp_path, zarr_format, file, keys):
    path = store(("zstd", zarr_format, UNSHARDED[zarr_format]))
    original = {
        name: (path / name).read_bytes() for name in (file, ".zmetadata")[: 4 - zarr_format]
    }
    rng = np.random.default_rng(len(keys))
    for choice in rng.choice(len(WRONG), 4, replace=False):
        edit_metadata(path, file, keys, WRONG[choice])
        try:
            codes = outcomes(path, tmp_path)
        except BaseException as error:
            error.add_note(f"with {'.'.join(map(str, keys))} = {WRONG[choice]!r}")
            raise
        assert_exported_or_failed(codes, tmp_path)
        for name, content in original.items():
            (path / name).write_bytes(content)


@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
@pytest.mark.parametrize("value", LARGE)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_shape_beyond_all_measure_is_refused_at_once(store, tmp_path, zarr_format, value, axis):
    path = store(("zstd", zarr_format, UNSHARDED[zarr_format]))
    file = f"recordings/two/{'.zarray' if zarr_format == 2 else 'zarr.json'}"
    edit_metadata(path, file, ("shape", axis), value)
    codes = outcomes(path, tmp_path)
    assert codes["verify"] == codes["export"] == codes["bench"] == 1


@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
@pytest.mark.parametrize("dtype", ["uint16", "other endian", "float16"])
def test_another_type_of_samples_is_found(store, tmp_path, zarr_format, dtype):
    path = store(("zstd", zarr_format, UNSHARDED[zarr_format]))
    if zarr_format == 2:
        dtype = {"uint16": "<u2", "other endian": ">i2", "float16": "<f2"}[dtype]
        edit_metadata(path, "recordings/two/.zarray", ("dtype",), dtype)
    elif dtype == "other endian":
        file = path / "recordings/two/zarr.json"
        assert '"endian":"little"' in file.read_text()
        file.write_text(file.read_text().replace('"endian":"little"', '"endian":"big"'))
    else:
        edit_metadata(path, "recordings/two/zarr.json", ("data_type",), dtype)
    assert problems(path)
    codes = outcomes(path, tmp_path)
    assert codes["verify"] == codes["export"] == codes["bench"] == 1


# Zip files


@pytest.mark.parametrize("variant", FORMATS)
def test_a_changed_byte_in_a_zip_file(zipped, tmp_path, variant):
    path = zipped(variant)
    content = path.read_bytes()
    rng = np.random.default_rng(3)
    with zipfile.ZipFile(path) as archive:
        directory = archive.start_dir
        chunks = [info for info in archive.infolist() if info.filename.endswith(".0")]
    for position in [
        *rng.integers(len(content), size=8),
        *rng.integers(directory, len(content), size=12),
        *(info.header_offset + int(rng.integers(30)) for info in chunks[:5]),
    ]:
        changed = bytearray(content)
        changed[position] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        codes = outcomes(path, tmp_path)
        assert_exported_or_failed(codes, tmp_path)
        assert_never_wrong(codes, path)


@pytest.mark.parametrize("variant", FORMATS)
def test_a_changed_chunk_in_a_zip_file(zipped, tmp_path, variant):
    path = zipped(variant)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        chunks = [
            info for info in archive.infolist() if info.filename.startswith("recordings/two/c.")
        ] or [info for info in archive.infolist() if info.filename.startswith("recordings/two/0.")]
    for info in chunks:
        lengths = struct.unpack_from("<HH", content, info.header_offset + 26)
        start = info.header_offset + 30 + sum(lengths)
        changed = bytearray(content)
        changed[start + info.file_size // 2] ^= 1
        path.write_bytes(changed)
        lines = problems(path)
        assert lines
        assert all("two" in line for line in lines)
        codes = outcomes(path, tmp_path)
        assert codes["verify"] == codes["export"] == codes["bench"] == 1
        assert not (tmp_path / "out" / "two.wav").exists()


@pytest.mark.parametrize("end", [0, 1, 100, 0.5, -100, -22, -1])
def test_a_truncated_zip_file(zipped, tmp_path, end):
    path = zipped(FORMATS[0].values[0])
    content = path.read_bytes()
    path.write_bytes(content[: int(end * len(content)) if isinstance(end, float) else end])
    for command in (["info"], ["verify"], ["bench"]):
        assert str(path) in fails(*command, path)
    assert str(path) in fails("export", path, tmp_path / "out")


# What is no store, or not all of one


def not_a_store(path, kind):
    if kind == "empty folder":
        path.mkdir()
    elif kind == "folder":
        path.mkdir()
        (path / "zarr.json").mkdir()
        (path / "x").write_bytes(b"x")
    elif kind == "file":
        path.write_bytes(b"no zip")
    elif kind == "empty zip":
        zipfile.ZipFile(path, "w").close()
    elif kind == "foreign zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("zarr.json", "[1, 2]")
    elif kind == "foreign group":
        zarr.open_group(str(path), mode="w").attrs["x"] = 1
    elif kind == "foreign array":
        zarr.open(str(path), mode="w", shape=(10,), chunks=(5,), dtype="i2")


@pytest.mark.parametrize(
    "kind",
    [
        *("missing", "empty folder", "folder", "file", "empty zip", "foreign zip"),
        *("foreign group", "foreign array"),
    ],
)
def test_what_is_no_store(tmp_path, kind):
    path = tmp_path / "x.zarr"
    not_a_store(path, kind)
    for command in (["info"], ["verify"], ["bench"]):
        assert str(path) in fails(*command, path)
    assert str(path) in fails("export", path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(N1StoreError):
        n1store.open(path)


@pytest.mark.parametrize("variant", FORMATS)
def test_a_recording_that_is_missing(store, tmp_path, variant):
    path = store(variant)
    shutil.rmtree(path / "recordings" / "two")
    (line,) = problems(path)
    assert "two" in line
    codes = outcomes(path, tmp_path)
    assert codes["verify"] == codes["export"] == codes["bench"] == 1
    for command in ("info", "bench"):
        assert f"{path}: array recordings/two: " in fails(command, path)
    with n1store.open(path) as opened:
        np.testing.assert_array_equal(opened["one"].read(0, 10**6), SAMPLES["one"])


# Against WAV files


def verify_with(store, wavs):
    result = n1store.verify(store, [wavs], workers=1)
    assert all("\n" not in line for line in result.problems)
    assert invoke("verify", store, wavs)[0] == (1 if result.problems else 0)
    return result


@pytest.mark.parametrize("variant", FORMATS)
def test_wavs_that_are_alike(store, wavs, variant):
    result = verify_with(store(variant), wavs)
    assert (result.problems, result.compared, result.not_compared) == ([], 2, [])


@pytest.mark.parametrize("variant", FORMATS)
@pytest.mark.parametrize(("sample", "channel"), [(0, 0), (1345, 1), (len(SAMPLES["two"]) - 1, 0)])
def test_a_wav_with_one_other_sample(store, wavs, variant, sample, channel):
    samples = SAMPLES["two"].copy()
    samples[sample, channel] ^= 1
    write_wav(wavs / "two.wav", samples, RATE)
    (line,) = verify_with(store(variant), wavs).problems
    assert f"two: chunk {sample // RATE},0 " in line
    assert f"first at sample {sample}" in line
    assert "two.wav" in line


def test_a_wav_with_another_header(store, wavs):
    file = wavs / "two.wav"
    content = file.read_bytes()
    path = store(FORMATS[0].values[0])
    for changed in (
        content[:28] + b"\1\1\1\1" + content[32:],  # bytes a second
        content + b"LIST\4\0\0\0abcd",
    ):
        file.write_bytes(changed)
        (line,) = verify_with(path, wavs).problems
        assert "two.wav" in line
        assert "header" in line


def test_a_wav_of_other_length_rate_or_channels(store, wavs):
    path = store(FORMATS[0].values[0])
    samples = SAMPLES["two"]
    for other, rate in ((samples[:-1], RATE), (samples[:, :1], RATE), (samples, RATE + 1)):
        write_wav(wavs / "two.wav", other, rate)
        (line,) = verify_with(path, wavs).problems
        assert "two.wav" in line
        assert str(len(other)) in line


def test_wavs_that_are_missing_damaged_or_too_many(store, wavs):
    path = store(FORMATS[0].values[0])
    (wavs / "one.wav").unlink()
    result = verify_with(path, wavs)
    assert (result.problems, result.compared, result.not_compared) == ([], 1, ["one.wav"])
    write_wav(wavs / "three.wav", SAMPLES["one"], RATE)
    (line,) = verify_with(path, wavs).problems
    assert "three.wav" in line
    (wavs / "three.wav").unlink()
    (wavs / "one.wav").write_bytes((wavs / "two.wav").read_bytes()[:-2])
    (line,) = verify_with(path, wavs).problems
    assert "one.wav" in line
    (wavs / "one.wav").write_bytes(b"")
    (line,) = verify_with(path, wavs).problems
    assert "one.wav" in line


def damaged(tmp_path, change):
    """Return a store of one recording, damaged in its metadata."""
    write_wav(tmp_path / "one.wav", SAMPLES["one"], RATE)
    n1store.convert(tmp_path / "one.wav", tmp_path / "x.zarr", zarr_format=2)
    for name in (".zattrs", "recordings/one/.zattrs"):
        path = tmp_path / "x.zarr" / name
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
    return tmp_path / "x.zarr"


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(sources=[{"kind": 5}]),
        lambda content: content.update(channel_ids=["a"]),
        lambda content: content.update(sampling_frequency=10**400),
        lambda content: "n1store" in content and content["n1store"].update(codec="delta:order=9"),
        lambda content: "n1store" in content and content.update(n1store="a note"),
    ],
)
def test_every_error_names_the_store(tmp_path, change):
    path = damaged(tmp_path, change)
    for command in (["export", path, tmp_path / "b"], ["bench", path], ["convert", path, "y.nwb"]):
        result = CliRunner().invoke(cli, [str(each) for each in command])
        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"Error: {path}: ")


def test_a_message_is_no_longer_than_one_reads(tmp_path):
    path = damaged(
        tmp_path,
        lambda content: "n1store" in content and content["n1store"].update(codec="z" * 10**5),
    )
    for command in (["export", path, tmp_path / "b"], ["bench", path], ["convert", path, "y.nwb"]):
        line = fails(*command)
        assert len(line) < 1200 and line.startswith(f"Error: {path}: ")


def test_a_note_of_others_is_no_damage(tmp_path):
    path = damaged(tmp_path, lambda content: content.update(n1store="a note"))
    with pytest.raises(N1StoreError, match="is a Zarr store that n1store did not write"):
        n1store.open(path)


def test_a_file_in_a_zip_that_claims_more_than_there_is(tmp_path):
    write_wav(tmp_path / "one.wav", SAMPLES["one"], RATE)
    path = tmp_path / "x.zarr.zip"
    n1store.convert(tmp_path / "one.wav", path, zarr_format=2)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02", 0, content.rindex(b".zattrs"))
    content[place + 20 : place + 28] = struct.pack("<II", 2**32 - 2, 2**32 - 2)
    path.write_bytes(content)
    with pytest.raises(N1StoreError, match=f"{path}: is damaged"):
        n1store.verify(path)


# What lets readers in


def metadata_beside_recordings(store):
    arrays = {path.parent for path in store.rglob("*") if path.name in METADATA} - {store}
    recordings = {path for path in arrays if b"chunk_crc32" in attributes_of(path)}
    files = [path for path in store.rglob("*") if path.is_file()]
    return sorted(path for path in files if path.parent not in recordings)


def attributes_of(folder):
    files = [folder / "zarr.json", folder / ".zattrs"]
    return next(file.read_bytes() for file in files if file.exists())


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"\xff{[" + path.read_bytes()),
    "no object": lambda path: path.write_text("[]"),
    "another": lambda path: path.write_text('{"zarr_format": 4}'),
}


LAYOUTS = [("recordings", each) for each in ZARR_FORMATS] + [("spikeinterface", 2)]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("layout", "zarr_format"), LAYOUTS)
def test_verify_names_each_file_that_keeps_readers_out(
    originals, tmp_path, layout, zarr_format, damage
):
    wav = originals(FORMATS[0].values[0]).parent / "wavs" / "one.wav"
    path = tmp_path / "x.zarr"
    scale = n1store.NwbMetadata(gain_to_uv=0.5)
    n1store.convert(wav, path, codec="zstd", layout=layout, zarr_format=zarr_format, nwb=scale)
    files = metadata_beside_recordings(path)
    assert len(files) >= 2
    for file in files:
        content = file.read_bytes()
        assert problems(path) == []
        DAMAGES[damage](file)
        if file.parent == path and file.name in ("zarr.json", ".zattrs"):
            with pytest.raises(N1StoreError, match=str(path)):
                problems(path)
        elif (file.name, damage) == (".zmetadata", "missing"):
            assert problems(path) == []  # readers find the arrays without it
        elif file.name != ".zattrs":  # which may say anything, and need not be there
            assert str(file.relative_to(path)) in problems(path)[0]
        file.write_bytes(content)


def test_verify_names_values_of_channels_that_are_others(originals, tmp_path):
    wav = originals(FORMATS[0].values[0]).parent / "wavs" / "one.wav"
    path = tmp_path / "x.zarr"
    scale = n1store.NwbMetadata(gain_to_uv=0.5)
    n1store.convert(wav, path, codec="zstd", layout="spikeinterface", nwb=scale)
    for name in ("channel_ids", "properties/gain_to_uV", "properties/offset_to_uV"):
        values = path / name / "0"
        content = bytearray(values.read_bytes())
        content[3] ^= 1
        values.write_bytes(content)
    assert [line.partition(":")[0] for line in problems(path)] == [
        *("channel_ids/0", "properties/gain_to_uV/0", "properties/offset_to_uV/0")
    ]


@needs_zarr3
@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("variant", FORMATS)
def test_metadata_that_zarr_consolidates_are_no_fault(store, variant):
    path = store(variant)
    zarr.consolidate_metadata(str(path))
    assert problems(path) == []


def zipped_again(store):
    path = store.with_suffix(".zarr.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for part in sorted(store.rglob("*")):
            if part.is_file():
                file.write(part, part.relative_to(store))
    return path


@pytest.mark.parametrize("zip_it", [False, True])
@pytest.mark.parametrize("variant", FORMATS)
def test_a_recording_that_the_store_names_no_more_is_not_lost_unsaid(
    store, tmp_path, variant, zip_it
):
    path = store(variant)
    root = path / {2: ".zattrs", 3: "zarr.json"}[variant[1]]
    content = json.loads(root.read_text())
    del (content if variant[1] == 2 else content["attributes"])["n1store"]["recordings"]["one"]
    root.write_text(json.dumps(content))
    if zip_it:
        path = zipped_again(path)
    (line,) = problems(path)
    assert line.startswith("recordings/one: ")
    assert invoke("verify", path)[0] == 1
    for command in ("info", path), ("export", path, tmp_path / "out"):
        code, lines = invoke(*command)
        assert code == 0
        assert any("recordings/one: " in line for line in lines)
    converted = CliRunner().invoke(cli, ["convert", str(path), str(tmp_path / "y.zarr")])
    assert converted.exit_code == 3
    assert "recordings/one: " in converted.stderr


def test_spikeinterfaces_layout_without_recordings(originals, tmp_path):
    path = tmp_path / "x.zarr"
    n1store.convert(originals(FORMATS[0].values[0]).parent / "wavs", path, layout="spikeinterface")
    edit_metadata(path, ".zattrs", ["n1store", "recordings"], {})
    lines = problems(path)
    assert any("the store does not name it" in line for line in lines), lines


@needs_zarr3
@pytest.mark.parametrize("length", [0, -1, "8"])
def test_shards_of_no_samples(store, fails_to_read, length):
    path = store(("zstd", 3, 2))
    keys = ["chunk_grid", "configuration", "chunk_shape"]
    edit_metadata(path, "recordings/one/zarr.json", keys, [2000, length])
    fails_to_read(path)


@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
def test_a_codec_that_metadata_do_not_name(store, fails_to_read, zarr_format):
    """What zarr makes of it is an error of ours."""
    path = store(("zstd", zarr_format, UNSHARDED[zarr_format]))
    if zarr_format == 2:
        edit_metadata(path, "recordings/one/.zarray", ["compressor"], None)
    else:
        edit_metadata(path, "recordings/one/zarr.json", ["codecs"], [{"name": "bytes"}])
    fails_to_read(path)


@pytest.fixture
def fails_to_read():
    def fails_to_read(path):
        with n1store.open(path) as opened, pytest.raises(N1StoreError, match=str(path)):
            opened["one"].traces[:10]
        assert any(line.startswith("one: ") for line in problems(path))

    return fails_to_read


@pytest.mark.parametrize("variant", FORMATS)
@pytest.mark.parametrize("names", [{}, [1, 2], 5, ["time"], ["time", "time"]])
def test_verify_names_dimensions_that_have_no_names(store, variant, names):
    path = store(variant)
    file, key = ".zattrs", ["_ARRAY_DIMENSIONS"]
    if variant[1] == 3:
        file, key = "zarr.json", ["dimension_names"]
    edit_metadata(path, f"recordings/one/{file}", key, names)
    lines = problems(path)
    assert any("recordings/one" in line and "dimensions" in line for line in lines), lines


def test_verify_names_members_of_a_zip_file_that_others_do_not_read(zipped, tmp_path):
    """Of parts of a file that are read, nobody sees whether the rest is as the directory says."""
    path = zipped(FORMATS[-1].values[0])
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
    for offset, value in ((16, b"\0\1\2\3"), (8, b"\x01\x00")):  # the CRC-32; encrypted
        for number, name in enumerate(names):
            at = 0
            for _ in range(number + 1):
                at = whole.index(b"PK\x01\x02", at) + 4
            changed = bytearray(whole)
            changed[at - 4 + offset : at - 4 + offset + len(value)] = value
            path.write_bytes(changed)
            code, lines = invoke("verify", path)
            assert code == 1 and any(name in line for line in lines), (name, offset, lines)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["sampling_frequency"], 5),
        (["sampling_frequency"], None),
        (["num_segments"], 3),
        (["zarr_class_info", "class"], 7),
        (["nwb"], {"NWBFile": 5}),
    ],
)
def test_verify_names_what_the_root_says_wrongly(originals, tmp_path, keys, value):
    path = tmp_path / "x.zarr"
    n1store.convert(originals(FORMATS[0].values[0]).parent / "wavs", path, layout="spikeinterface")
    edit_metadata(path, ".zattrs", keys, value)
    assert any(keys[0] in line for line in problems(path)), problems(path)


@pytest.mark.parametrize("variant", FORMATS)
@pytest.mark.parametrize("file", ["../x.wav", "", "\ud800.wav", f"{'x' * 300}.wav"])
def test_verify_names_files_that_export_refuses(store, variant, file):
    path = store(variant)
    name, keys = ".zattrs", ["sources"]
    if variant[1] == 3:
        name, keys = "zarr.json", ["attributes", "sources"]
    edit_metadata(path, f"recordings/one/{name}", [*keys, 0, "file"], file)
    assert any(line.startswith("one: the store names a source") for line in problems(path))


def test_verify_names_attributes_that_are_none(store):
    path = store(FORMATS[0].values[0])
    together = json.loads((path / ".zmetadata").read_text())
    together["metadata"]["recordings/one/.zattrs"] = 5
    (path / ".zmetadata").write_text(json.dumps(together))
    assert any("recordings/one/.zattrs" in line for line in problems(path))


@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
def test_what_is_left_to_zarr_is_indexed_and_pickled_as_all_is(store, zarr_format):
    path = store(("zstd", zarr_format, UNSHARDED[zarr_format]))
    file = ".zarray" if zarr_format == 2 else "zarr.json"
    edit_metadata(path, f"recordings/one/{file}", ["fill_value"], 1)
    with n1store.open(path) as opened:
        traces = opened["one"].traces
        for key in (slice(5, 9), ([700, 3, 3], [1]), (slice(None, None, -300), 0), slice(0, 0), -1):
            np.testing.assert_array_equal(traces[key], expected_of(key))
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(traces))[:], SAMPLES["one"])


def expected_of(key):
    rows, *columns = key if isinstance(key, tuple) else (key,)
    return SAMPLES["one"][rows][..., columns[0] if columns else slice(None)]
