"""`n1store codecs`: that what it says is so."""

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import h5py
import numcodecs
import numpy as np
import pytest

import installed
import n1store
from n1store.codecs import hdf5
from n1store.codecs.catalogue import CATALOGUE
from n1store.codecs.library.flac import Flac
from n1store.errors import N1StoreError
from n1store.implant.synth import synthesize


def has_flac():
    try:
        Flac()
    except N1StoreError:
        return False
    return True


MISSING = {
    "wavpack": not installed.HAS_WAVPACK,
    "flac": not has_flac(),
    "alac": find_spec("soundfile") is None,
    "brotli": find_spec("brotli") is None,
    "bzip3": find_spec("bz3") is None,
    "lz4hc": find_spec("lz4") is None,
    "pcodec": not installed.HAS_PCODEC,
}
HERE = [name for name in CATALOGUE if not MISSING.get(name)]

# As filters/format/stores.md has them, and for codecs of others the registry of The HDF Group.
FORMAT = (Path(__file__).parents[2] / "filters/format/stores.md").read_text()
FILTERS = {
    **{name: int(each) for name, each in re.findall(r"^\| `(\w+)` \|.*?\| (\d+) \|", FORMAT, re.M)},
    "gzip": 1,
    "zlib": 1,
    "shuffle": 2,
    "fletcher32": 3,
    "bz2": 307,
    "blosc": 32001,
    "lz4": 32004,
    "zstd": 32015,
    **dict.fromkeys(("alac", "brotli", "bzip3", "lzma", "pcodec"), 52797),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give a folder with a short recording in `data`."""
    folder = tmp_path_factory.mktemp("codecs")
    synthesize(folder / "data", num_recordings=1, seconds=0.2)
    return folder


@pytest.fixture
def table(run):
    """Return the rows of the table by codec, each a dict by column, and the lines below it."""

    def table():
        lines = run("codecs").stdout.splitlines()
        columns = ["codec", "group", "HDF5", "how it works"]
        starts = [lines[0].index(column) for column in columns]
        rows = {}
        for line in lines[1 : len(CATALOGUE) + 1]:
            cells = [
                line[start:end].strip()
                for start, end in zip(starts, [*starts[1:], None], strict=True)
            ]
            lacks = re.match("(?:(not installed|not in HDF5): )?", cells[-1])
            cells[-1] = cells[-1][lacks.end() :]
            rows[cells[0]] = {"lacks": lacks[1], **dict(zip(columns, cells, strict=True))}
        return rows, lines[len(CATALOGUE) + 1 :]

    return table


def test_every_codec_has_a_row(table):
    rows, below = table()
    assert list(rows) == list(CATALOGUE)
    for name, row in rows.items():
        entry = CATALOGUE[name]
        assert row["group"] == entry.group
        assert row["how it works"].startswith(entry.summary)
        assert row["HDF5"] == str(FILTERS.get(name, "none"))
        assert (row["lacks"] == "not installed") == (name not in HERE)
        for parameter in entry.parameters:
            assert (
                f"{parameter.name}={'…' if parameter.default is None else parameter.default}"
                in row["how it works"]
            )
    for name in ("n1", "adc", "wavpack", "flac"):
        is_here = name in hdf5.plugins()
        assert (rows[name]["lacks"] is None) == (is_here and name in HERE)
    assert bool(below) == (installed.ZARR_VERSION < 3 or len(HERE) < len(CATALOGUE))


def test_json_is_the_same_for_all_and_for_one(run_json):
    contents = run_json("codecs")
    assert [content["name"] for content in contents] == list(CATALOGUE)
    for content in contents:
        name = content["name"]
        assert content == run_json("codecs", name)
        assert content["installed"] == (name in HERE)
        assert content["hdf5"]["filter_id"] == FILTERS.get(name)
        assert (content["zarr3"]["why_not"] is None) == (installed.ZARR_VERSION >= 3)
        given = [each["name"] for each in content["parameters"]]
        assert given == [each.name for each in CATALOGUE[name].parameters]


@pytest.mark.parametrize("name", CATALOGUE)
def test_explanation_says_all_that_json_says(name, run, run_json):
    content, text = run_json("codecs", name), run("codecs", name).stdout
    lines = text.splitlines()
    assert lines[0] == f"{name} ({content['group']}): {content['summary']}"
    for parameter in content["parameters"]:
        name_first = [parameter["name"]]
        (line,) = (x for x in lines if x.removeprefix("  parameters").split()[:1] == name_first)
        default = "none" if parameter["default"] is None else parameter["default"]
        assert f"[default: {default}]" in line
        if parameter["type"] in ("integer", "number"):
            assert f"{parameter['low']} to {parameter['high']}" in line
        elif parameter["type"] == "choice":
            assert ", ".join(parameter["choices"]) in line
        else:
            assert "a file" in line
    for where in ("zarr2", "zarr3", "hdf5"):
        for codec in content[where].get("codecs") or ():
            assert json.dumps(codec) in text
        if content[where]["readers_need"]:
            assert ", ".join(content[where]["readers_need"]) in text
        assert content[where]["why_not"] is None or content[where]["why_not"] in text
    if content["hdf5"]["filter_id"]:
        assert f"filter {content['hdf5']['filter_id']}\n" in text
        cd_values = ", ".join(map(str, content["hdf5"]["cd_values"] or ())) or "none"
        assert f"cd_values {cd_values} for chunks of 20000 x 64" in text or name not in HERE
    for line in content["notes"] + content["examples"]:
        assert line in text


@pytest.mark.parametrize("name", HERE)
def test_what_it_shows_is_right(name, run_json, tmp_path):
    content = run_json("codecs", name)
    samples = np.arange(2000, dtype="<i2").reshape(500, 4)
    (config,) = content["zarr2"]["codecs"]
    codec = numcodecs.get_codec(dict(config))
    decoded = codec.decode(codec.encode(samples))
    np.testing.assert_array_equal(np.frombuffer(decoded, "<i2"), samples.reshape(-1))
    if installed.ZARR_VERSION >= 3:
        from zarr.registry import get_codec_class

        for metadata in content["zarr3"]["codecs"]:
            assert get_codec_class(metadata["name"])
    if content["hdf5"]["filter_id"] is None or content["hdf5"]["why_not"]:
        return
    shape = tuple(content["hdf5"]["chunk_shape"])
    # Of all that becomes smaller, steps take bz2 the least time.
    samples = np.repeat(np.arange(shape[0] * shape[1] // 100, dtype="<i2"), 100).reshape(shape)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(shape)
    properties.set_filter(
        content["hdf5"]["filter_id"], h5py.h5z.FLAG_MANDATORY, tuple(content["hdf5"]["cd_values"])
    )
    with h5py.File(tmp_path / "out.h5", "w") as file:
        space = h5py.h5s.create_simple(shape)
        h5py.h5d.create(file.id, b"traces", h5py.h5t.STD_I16LE, space, properties)
        file["traces"][:] = samples
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_array_equal(file["traces"][:], samples)


@pytest.mark.long
@pytest.mark.parametrize("name", HERE)
def test_examples_work(name, folder, run, run_json, monkeypatch):
    content = run_json("codecs", name)
    monkeypatch.chdir(folder)
    assert len(content["examples"]) == (2 if name in FILTERS else 1)
    for example in content["examples"]:
        if ".nwb" in example and content["hdf5"]["why_not"]:
            continue
        program, *arguments = shlex.split(example)
        assert program == "n1store"
        run(*arguments, "--overwrite")
        with n1store.open(arguments[2]) as store:
            written = store.attributes["codec"]
        assert arguments[-1] in written
        # What convert adds is what the notes say.
        added = set(written.split("+")) - set(arguments[-1].split("+"))
        said = " ".join(content["notes"])
        assert added <= {"adc", "crc32", "crc32c", "fletcher32"}
        if content["group"] == "checksum":  # zstd is in front
            assert added == {"adc"}
            continue
        assert ("adc" in added) == ("convert puts adc in front" in said)
        if not CATALOGUE[name].stands_in_front:  # else zstd is behind
            assert bool(added - {"adc"}) == ("checksum behind it:" in said)


def test_unknown_name(run):
    result = run("codecs", "wavpak", exit_code=1)
    assert "did you mean wavpack?" in result.stderr
    assert not result.stdout


def test_codec_that_is_missing(table, run, run_json, monkeypatch):
    before = run_json("codecs")
    monkeypatch.delitem(sys.modules, "n1store.codecs.library.wavpack", raising=False)
    monkeypatch.setitem(sys.modules, "wavpack_numcodecs", None)
    monkeypatch.setitem(sys.modules, "wavpack_numcodecs.wavpack", None)
    install = CATALOGUE["wavpack"].install
    rows, below = table()
    assert rows["wavpack"]["lacks"] == "not installed"
    assert rows["wavpack"]["HDF5"] == "52787"
    (line,) = (line for line in below if line.startswith("wavpack: "))
    assert install in line
    content = run_json("codecs", "wavpack")
    assert not content["installed"]
    assert install in content["why_missing"]
    assert content["zarr2"]["codecs"] is None
    assert install in run("codecs", "wavpack").stdout
    others = [each for each in run_json("codecs") if each["name"] != "wavpack"]
    assert others == [each for each in before if each["name"] != "wavpack"]


def test_hdf5plugin_is_missing(table, run_json, monkeypatch):
    monkeypatch.delitem(sys.modules, "n1store.codecs.library.bitshuffle", raising=False)
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    rows, below = table()
    # The library of one is in h5py, that of the other in hdf5plugin itself.
    others = ("lzf", "bitshuffle")
    theirs = [name for name, id_ in FILTERS.items() if 256 <= id_ < 52785 and name not in others]
    for name in CATALOGUE:
        content = run_json("codecs", name)
        if name in theirs:
            assert rows[name]["lacks"] == "not in HDF5"
            assert content["installed"]
            assert "pip install" in content["hdf5"]["why_not"]
        elif name in ("gzip", "fletcher32", "n1"):
            assert rows[name]["lacks"] is None
            assert content["hdf5"]["why_not"] is None
    assert rows["bitshuffle"]["lacks"] == "not installed"
    assert run_json("codecs", "bitshuffle")["hdf5"]["filter_id"] == FILTERS["bitshuffle"]
    lines = (each for each in below if "hdf5plugin" in each)
    own, line = sorted(lines, key=lambda each: not each.startswith("bitshuffle: "))
    assert own.startswith("bitshuffle: ")
    assert CATALOGUE["bitshuffle"].install in own
    assert set(line.partition(":")[0].split(", ")) == set(theirs)


def test_zarr_2_has_no_format_3(table, run_json, monkeypatch):
    monkeypatch.setattr("n1store.codecs.info.version", lambda name: "2.18.7")
    _, below = table()
    (line,) = (line for line in below if line.startswith("all: "))
    assert "2.18.7" in line
    assert "pip install 'zarr>=3'" in line
    assert run_json("codecs", "n1")["zarr3"]["why_not"] in line


def run_with_plugins(tmp_path, plugins, *commands):
    """Run commands in one process whose HDF5 finds only these of n1store's plugins.

    Return the exit code, the standard output and the standard error of each.
    """
    folder = tmp_path / "package"
    (folder / "hdf5").mkdir(parents=True)
    for name in plugins:
        (folder / "hdf5" / hdf5.plugins()[name].name).symlink_to(hdf5.plugins()[name])
    script = """
        import json, sys, n1store
        n1store.__path__.insert(0, sys.argv[1])
        from click.testing import CliRunner
        from n1store.cli.commands import cli
        results = [CliRunner().invoke(cli, each) for each in json.loads(sys.argv[2])]
        print(json.dumps([(each.exit_code, each.stdout, each.stderr) for each in results]))
    """
    environment = {**os.environ, "N1STORE_NO_HDF5_PLUGINS": "1"}
    environment.pop("HDF5_PLUGIN_PATH", None)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), folder, json.dumps(commands)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_plugin_that_was_not_built(folder, tmp_path):
    missing = [name for name in ("wavpack", "flac") if name in HERE]
    built = [name for name in hdf5.plugins() if name not in missing]
    convert = ["convert", str(folder / "data"), "out.nwb", "--codec"]
    in_json, as_text, *converted = run_with_plugins(
        tmp_path, built, ["codecs", "--json"], ["codecs"], *([*convert, name] for name in missing)
    )
    assert in_json[0] == 0, in_json
    contents = {content["name"]: content for content in json.loads(in_json[1])}
    for name in ("n1", "adc", "zstd", "gzip"):
        assert contents[name]["hdf5"]["why_not"] is None
    for name in missing:
        assert contents[name]["installed"]
        assert contents[name]["hdf5"]["filter_id"] == FILTERS[name]
        assert f"apt-get install lib{name}-dev" in contents[name]["hdf5"]["why_not"]
        assert f"{name}: {contents[name]['hdf5']['why_not']}" in as_text[1].splitlines()
    assert as_text[1].count("not in HDF5") == len(missing)
    # Without it, nothing is written for it either.
    for name, (exit_code, _, error) in zip(missing, converted, strict=True):
        assert exit_code == 1
        assert error == f"Error: {contents[name]['hdf5']['why_not']}\n"
    assert [path.name for path in Path(tmp_path).iterdir()] == ["package"]


def test_plugin_of_adc_is_missing(tmp_path):
    [(_, output, _)] = run_with_plugins(tmp_path, ["n1"], ["codecs", "adc", "--json"])
    content = json.loads(output)
    assert content["hdf5"]["filter_id"] == 52786
    assert "pip install --force-reinstall n1store" in content["hdf5"]["why_not"]
