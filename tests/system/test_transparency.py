"""Where n1store is installed, HDF5 finds its plugins in programs that have not heard of it."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

import _n1store_hdf5
from make_wav import read_wav_independently
from n1store.codecs import hdf5
from n1store.codecs.hdf5 import N1
from n1store.system import plugin_path
from processes import clean_environment

pytestmark = pytest.mark.long

SITE_PACKAGES = Path(_n1store_hdf5.__file__).parent
PLUGINS = _n1store_hdf5.PLUGIN_FOLDER
ALL_PLUGINS = f"{PLUGINS}:{hdf5plugin.PLUGIN_PATH}"
N1STORE = Path(sys.executable).parent / "n1store"

needs_hdf5_tools = pytest.mark.skipif(
    not (shutil.which("h5dump") and shutil.which("h5repack")), reason="hdf5-tools is not installed"
)


def run_fresh(script, *arguments, options=(), **variables):
    """Run a script in a process of its own; return what it printed."""
    result = subprocess.run(
        [sys.executable, "-P", *options, "-c", textwrap.dedent(script), *map(str, arguments)],
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=120,
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    return result.stdout


def run_shell(commands, folder, **variables):
    environment = clean_environment(**variables)
    environment["PATH"] = f"{N1STORE.parent}{os.pathsep}{environment['PATH']}"
    return subprocess.run(
        ["sh", "-euc", textwrap.dedent(commands)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def traces(recordings):
    columns = [read_wav_independently(path)[0][:20_000, 0] for path in sorted(recordings.iterdir())]
    length = min(map(len, columns))
    return np.stack([column[:length] for column in columns], axis=1)


@pytest.fixture(scope="module")
def file(tmp_path_factory, traces):
    """Give an HDF5 file of the oldest format, which every HDF5 knows."""
    path = tmp_path_factory.mktemp("transparency") / "x.h5"
    chunks = (3000, traces.shape[1])
    with h5py.File(path, "w", libver=("earliest", "v108")) as file:
        file.create_dataset("n1", data=traces, chunks=chunks, compression=N1(traces.shape[1]))
        for name in ("Zstd", "Blosc", "Blosc2", "Bitshuffle", "LZ4", "BZip2"):
            filter = getattr(hdf5plugin, name)()
            file.create_dataset(name.lower(), data=traces, chunks=chunks, compression=filter)
        file.create_dataset("gzip", data=traces, chunks=chunks, compression="gzip")
    return path


@pytest.fixture(scope="module")
def expected(file, traces):
    """Give the traces as a file that processes compare with."""
    np.save(file.with_suffix(".npy"), traces)
    return file.with_suffix(".npy")


READ = """
    import os, sys
    import h5py, numpy
    path, expected, *names = sys.argv[1:]
    for name in names:
        try:
            with h5py.File(path) as file:
                same = numpy.array_equal(file[name][:], numpy.load(expected))
            print(name, "same" if same else "different")
        except OSError:
            print(name, "OSError")
    assert not any(name.startswith("n1store") for name in sys.modules)
"""


def test_h5py_reads_without_an_import(file, expected):
    names = "n1", "gzip", "zstd", "blosc", "blosc2", "bitshuffle", "lz4", "bzip2"
    assert run_fresh(READ, file, expected, *names) == "".join(f"{each} same\n" for each in names)


def test_plugins_are_where_the_package_has_them():
    assert Path(PLUGINS) == hdf5.PLUGIN_FOLDER


def test_off_switch(file, expected):
    output = run_fresh(READ, file, expected, "n1", "gzip", "zstd", N1STORE_NO_HDF5_PLUGINS="1")
    assert output == "n1 OSError\ngzip same\nzstd OSError\n"
    show = "import os; print(os.environ.get('HDF5_PLUGIN_PATH'))"
    assert run_fresh(show, N1STORE_NO_HDF5_PLUGINS="1") == "None\n"
    assert run_fresh(show, N1STORE_NO_HDF5_PLUGINS="1", HDF5_PLUGIN_PATH="/x") == "/x\n"
    # What is imported asks for it.
    read = "import sys, h5py, n1store.codecs.hdf5; print(h5py.File(sys.argv[1])['n1'][0, 0])"
    assert run_fresh(read, file, N1STORE_NO_HDF5_PLUGINS="1").strip().lstrip("-").isdigit()


def test_off_switch_that_is_empty_is_none(file, expected):
    assert run_fresh(READ, file, expected, "n1", N1STORE_NO_HDF5_PLUGINS="") == "n1 same\n"


@pytest.mark.parametrize(
    "value",
    [
        "/missing",
        "/missing:relative:/missing",
        "disable",
        ":",
        ":/missing:",
        "::",
        " ",
        "/with space:/with'quote",
        "/caf\udce9",
        "/x" * 20_000,
        f"{PLUGINS}",
        f"/missing/first:{PLUGINS}:/missing/last",
    ],
    ids=lambda value: ascii(value[:30]),
)
def test_what_is_set_is_kept(file, expected, value):
    show = "import os, sys; sys.stdout.buffer.write(os.environb[b'HDF5_PLUGIN_PATH'])"
    folders = run_fresh(show, HDF5_PLUGIN_PATH=value).split(":")
    assert folders.count(PLUGINS) == 1
    before = value.split(":")
    assert folders == before if PLUGINS in before else [PLUGINS, *before]
    output = run_fresh(READ, file, expected, "n1", "gzip", HDF5_PLUGIN_PATH=value)
    assert output == "n1 same\ngzip same\n"


def test_path_that_is_set_to_nothing_stays_without_the_built_in_folders():
    show = "import os; print(os.environ['HDF5_PLUGIN_PATH'])"
    assert run_fresh(show, HDF5_PLUGIN_PATH="") == f"{PLUGINS}\n"


def test_plugins_of_the_user_are_found_beside_ours(tmp_path):
    folder = tmp_path / "plugins"
    folder.mkdir()
    (zfp,) = Path(hdf5plugin.PLUGIN_PATH).glob("libh5zfp*")
    shutil.copy(zfp, folder)
    find = """
        import sys
        sys.modules["hdf5plugin"] = None  # which has it too
        import h5py
        print(h5py.h5z.filter_avail(32013), h5py.h5z.filter_avail(52785))
    """
    assert run_fresh(find) == "False True\n"
    assert run_fresh(find, HDF5_PLUGIN_PATH=str(folder)) == "True True\n"


def test_path_does_not_grow_in_children():
    generations = """
        import os, subprocess, sys
        print(os.environ["HDF5_PLUGIN_PATH"], flush=True)
        if (left := int(sys.argv[1])):
            subprocess.run([sys.executable, "-c", sys.argv[2], str(left - 1), sys.argv[2]])
    """
    generations = textwrap.dedent(generations)
    for variables in ({}, {"HDF5_PLUGIN_PATH": "/missing"}):
        first, second, third = run_fresh(generations, 2, generations, **variables).splitlines()
        assert first == second == third
        assert first.split(":")[0] == PLUGINS


def test_built_in_folders_are_kept_when_nothing_is_set(tmp_path, monkeypatch):
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.setattr(_n1store_hdf5, "BUILT_IN_FOLDERS", (str(there), str(tmp_path / "not")))
    assert _n1store_hdf5.search_path(None) == f"{PLUGINS}:{there}"
    assert _n1store_hdf5.search_path("/own") == f"{PLUGINS}:/own"


def test_built_in_folders_of_h5py_are_known():
    built_in = "import h5py; print([h5py.h5pl.get(i).decode() for i in range(h5py.h5pl.size())])"
    folders = eval(run_fresh(built_in, N1STORE_NO_HDF5_PLUGINS="1"))
    assert folders
    assert set(folders) <= set(_n1store_hdf5.BUILT_IN_FOLDERS)


@pytest.mark.parametrize("first", ["h5py", "hdf5plugin", "pynwb"])
@pytest.mark.parametrize("path", ["", hdf5plugin.PLUGIN_PATH])
def test_hdf5plugin_writes_as_before(tmp_path, first, path):
    # It does not set up those of its filters that HDF5 finds by itself, and then cannot write.
    write = f"""
        import {first}
        import sys, h5py, hdf5plugin, numpy
        ramp = numpy.arange(20_000, dtype="int16").reshape(5000, 4) % 100
        for name in ("Blosc", "Blosc2", "Bitshuffle", "BZip2", "LZ4", "Zstd"):
            with h5py.File(sys.argv[1], "w") as file:
                filter = getattr(hdf5plugin, name)()
                file.create_dataset("x", data=ramp, chunks=(1000, 4), compression=filter)
            with h5py.File(sys.argv[1]) as file:
                assert file["x"].id.get_storage_size() < ramp.nbytes, name
                assert numpy.array_equal(file["x"][:], ramp), name
            print(name)
    """
    assert len(run_fresh(write, tmp_path / "x.h5", HDF5_PLUGIN_PATH=path).split()) == 6


NOT_LOADED = """
    import sys
    before = set(sys.modules)
    import {module}
    print(sorted(name for name in sys.modules if name in ("hdf5plugin", "n1store", "numpy")))
"""


def test_nothing_is_imported_without_h5py():
    assert run_fresh(NOT_LOADED.format(module="json")) == "[]\n"
    assert run_fresh(NOT_LOADED.format(module="h5py")) == "['hdf5plugin', 'numpy']\n"


@pytest.mark.parametrize(
    "hdf5plugin", ["raise ImportError('no')", "raise SystemError('no')", "import missing", "None +"]
)
def test_h5py_is_whole_without_hdf5plugin(file, expected, tmp_path, hdf5plugin):
    (tmp_path / "hdf5plugin.py").write_text(hdf5plugin)
    read = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{textwrap.dedent(READ)}"
    output = run_fresh(read, file, expected, "n1", "gzip", "zstd")
    assert output == "n1 same\ngzip same\nzstd OSError\n"


def test_h5py_that_is_missing_or_broken_is_an_error_as_ever(tmp_path):
    for content in (None, "raise OSError('broken')"):
        if content:
            (tmp_path / "h5py.py").write_text(content)
        script = f"""
            import sys
            others = (each for each in sys.path if "-packages" not in each)
            sys.path[:] = [{str(tmp_path)!r}, *others]
            for _ in range(2):
                try:
                    import h5py
                except (ImportError, OSError) as error:
                    print(error)
        """
        expected = "broken" if content else "No module named 'h5py'"
        assert run_fresh(script) == f"{expected}\n" * 2


@pytest.fixture
def installation(tmp_path):
    """Give a folder with what an installation has that matters at Python's start."""
    folder = tmp_path / "site-packages"
    shutil.copytree(PLUGINS, folder / "n1store/hdf5")
    for name in ("_n1store_hdf5.py", "n1store_hdf5.pth"):
        shutil.copy(SITE_PACKAGES / name, folder)
    return folder


def run_with(installation, script, *arguments, **variables):
    """Run a script in a Python that has this installation, and the packages of this one."""
    start = f"""
        import site, sys
        site.addsitedir({str(installation)!r})
        sys.path.append({str(SITE_PACKAGES)!r})
    """
    script = textwrap.dedent(start) + textwrap.dedent(script)
    # In isolation, and without the installation that is tried elsewhere.
    return run_fresh(script, *arguments, options=("-I", "-S"), **variables)


def test_line_in_the_pth_file(installation, file, expected):
    lines = (installation / "n1store_hdf5.pth").read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("import ")
    show = "import os; print(os.environ['HDF5_PLUGIN_PATH'].split(':')[0])"
    assert run_with(installation, show) == f"{installation}/n1store/hdf5\n"
    assert run_with(installation, READ, file, expected, "n1") == "n1 same\n"


def without_libraries(installation):
    shutil.rmtree(installation / "n1store/hdf5")


def with_a_file_for_a_folder(installation):
    without_libraries(installation)
    (installation / "n1store/hdf5").write_text("")


def with_nothing_but_the_line(installation):
    shutil.rmtree(installation / "n1store")
    (installation / "_n1store_hdf5.py").unlink()


def with_a_broken_module(installation):
    (installation / "_n1store_hdf5.py").write_text("this is no Python\n")


def with_another_module(installation):
    (installation / "_n1store_hdf5.py").write_text("")


def with_broken_libraries(installation):
    for library in (installation / "n1store/hdf5").iterdir():
        library.write_text("this is no library")


def with_an_empty_folder(installation):
    without_libraries(installation)
    (installation / "n1store/hdf5").mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        without_libraries,
        with_a_file_for_a_folder,
        with_nothing_but_the_line,
        with_a_broken_module,
        with_another_module,
        with_broken_libraries,
        with_an_empty_folder,
    ],
)
def test_broken_installations_are_silent(installation, file, expected, damage):
    damage(installation)
    output = run_with(installation, READ, file, expected, "n1", "gzip")
    assert output == "n1 OSError\ngzip same\n"
    output = run_with(installation, READ, file, expected, "n1", HDF5_PLUGIN_PATH=PLUGINS)
    assert output == "n1 same\n"


def test_installation_that_nobody_may_write_to(installation, file, expected):
    for folder, _, names in os.walk(installation, topdown=False):
        for name in names:
            os.chmod(Path(folder, name), 0o444)
        os.chmod(folder, 0o555)
    read = f"import os; os.environ.pop('HOME', None)\n{textwrap.dedent(READ)}"
    assert run_with(installation, read, file, expected, "n1") == "n1 same\n"
    assert run_with(installation, read, file, expected, "n1", HOME="/missing") == "n1 same\n"


PYNWB_READ = """
    import sys, warnings
    import numpy, pynwb
    path, expected = sys.argv[1:]
    traces = numpy.load(expected)
    nwbfile = pynwb.read_nwb(path)
    assert numpy.array_equal(nwbfile.acquisition["ElectricalSeries"].data[:], traces)
    nwbfile.get_read_io().close()
    with pynwb.NWBHDF5IO(path, "r") as io:
        data = io.read().acquisition["ElectricalSeries"].data
        assert data.dtype == "int16" and numpy.array_equal(data[100:5000, -1], traces[100:5000, -1])
    assert not any(name.startswith("n1store") for name in sys.modules)
    print("same")
"""


@pytest.mark.slow
def test_pynwb_reads_without_an_import(tmp_path, traces, expected):
    from datetime import UTC, datetime

    import pynwb
    from hdmf.backends.hdf5 import H5DataIO
    from pynwb.ecephys import ElectricalSeries

    nwbfile = pynwb.NWBFile("recordings", "transparency", datetime(2026, 1, 1, tzinfo=UTC))
    device = nwbfile.create_device("implant")
    group = nwbfile.create_electrode_group("group", "threads", "unknown", device)
    for _ in range(traces.shape[1]):
        nwbfile.add_electrode(location="unknown", group=group)
    codec = N1(traces.shape[1])
    with pytest.warns(UserWarning, match="52785"):
        data = H5DataIO(
            traces,
            chunks=(3000, traces.shape[1]),
            compression=codec.filter_id,
            compression_opts=codec.filter_options,
            allow_plugin_filters=True,
        )
    electrodes = nwbfile.create_electrode_table_region(list(range(traces.shape[1])), "all")
    nwbfile.add_acquisition(
        ElectricalSeries(name="ElectricalSeries", data=data, electrodes=electrodes, rate=19531.0)
    )
    path = tmp_path / "x.nwb"
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    with h5py.File(path) as file:
        dataset = file["acquisition/ElectricalSeries/data"]
        assert dataset.id.get_create_plist().get_filter(0)[0] == N1.filter_id
        assert dataset.id.get_storage_size() < traces.nbytes
    assert run_fresh(PYNWB_READ, path, expected) == "same\n"


def test_plugin_path_adds_to_what_is_set(run, run_json, monkeypatch):
    monkeypatch.setenv("HDF5_PLUGIN_PATH", "/one:/two")
    assert run("plugin-path").stdout == f"{ALL_PLUGINS}:/one:/two\n"
    folders = [PLUGINS, hdf5plugin.PLUGIN_PATH, "/one", "/two"]
    assert run_json("plugin-path") == {"HDF5_PLUGIN_PATH": folders}
    monkeypatch.setenv("HDF5_PLUGIN_PATH", f"/one:{PLUGINS}")
    assert run("plugin-path").stdout == f"/one:{ALL_PLUGINS}\n"
    monkeypatch.setenv("HDF5_PLUGIN_PATH", f"/one:{ALL_PLUGINS}")
    assert run("plugin-path").stdout == f"/one:{ALL_PLUGINS}\n"
    monkeypatch.delenv("HDF5_PLUGIN_PATH")
    assert run("plugin-path").stdout.strip().split(":")[0] == PLUGINS


def test_plugin_path_does_not_heed_the_off_switch(tmp_path):
    result = run_shell("n1store plugin-path", tmp_path, N1STORE_NO_HDF5_PLUGINS="1")
    assert result.stdout.strip().split(":")[0] == PLUGINS


@pytest.mark.parametrize("command", ["plugin-path", "env"])
def test_path_with_a_line_break_is_refused(run, monkeypatch, command):
    monkeypatch.setenv("HDF5_PLUGIN_PATH", "/one\n/two")
    result = run(command, exit_code=1)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "HDF5_PLUGIN_PATH has a line break" in result.stderr


@pytest.mark.parametrize("command", ["plugin-path", "env"])
def test_plugins_that_are_missing_are_named(run, monkeypatch, tmp_path, command):
    monkeypatch.setattr(plugin_path, "PLUGIN_FOLDER", str(tmp_path))
    result = run(command, exit_code=1)
    assert result.stdout == ""
    assert f"{tmp_path}: no HDF5 plugins" in result.stderr


def test_env_is_what_shells_evaluate(tmp_path):
    value = """/with space:/$HOME:/`touch x`:/'quoted':/"quoted":/back\\slash:/*"""
    result = run_shell(
        'eval "$(n1store env)"; printf "%s" "$HDF5_PLUGIN_PATH"', tmp_path, HDF5_PLUGIN_PATH=value
    )
    assert (result.stdout, result.stderr) == (f"{ALL_PLUGINS}:{value}", "")
    assert list(tmp_path.iterdir()) == []


def test_env_says_what_matlab_and_julia_need(run, monkeypatch):
    monkeypatch.setenv("HDF5_PLUGIN_PATH", """/it's:/a"$b""")
    lines = run("env").stdout.splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        f"""export HDF5_PLUGIN_PATH='{ALL_PLUGINS}:/it'"'"'s:/a"$b'"""
    ]
    assert f"""#   setenv('HDF5_PLUGIN_PATH', '{ALL_PLUGINS}:/it''s:/a"$b')""" in lines
    assert f"""#   ENV["HDF5_PLUGIN_PATH"] = "{ALL_PLUGINS}:/it's:/a\\"\\$b\"""" in lines


SETTINGS = ['export HDF5_PLUGIN_PATH="$(n1store plugin-path)"', 'eval "$(n1store env)"']


@needs_hdf5_tools
@pytest.mark.parametrize("setting", SETTINGS)
def test_h5dump_with_what_is_printed(tmp_path, file, traces, setting):
    dump = f"h5dump -d /n1 -b LE -o x.bin '{file}' 2>&1"
    run_shell(dump, tmp_path)
    assert (tmp_path / "x.bin").read_bytes() != traces.tobytes()
    result = run_shell(f"{setting}\n{dump}", tmp_path)
    assert result.returncode == 0, result.stdout
    assert (tmp_path / "x.bin").read_bytes() == traces.tobytes()
    # As numbers, too.
    result = run_shell(f"{setting}\nh5dump -y -w 1 -d /n1 -s 100,0 -c 50,1 '{file}'", tmp_path)
    values = result.stdout.partition("DATA {")[2].partition("}")[0].replace(",", " ").split()
    assert list(map(int, values)) == traces[100:150, 0].tolist()


@needs_hdf5_tools
def test_h5dump_reads_what_hdf5plugin_wrote_with_what_is_printed(tmp_path, file, traces):
    for name in ("zstd", "blosc", "blosc2", "bitshuffle", "lz4", "bzip2", "n1"):
        dump = f"h5dump -d /{name} -b LE -o {name}.bin '{file}'"
        result = run_shell(f"{SETTINGS[1]}\n{dump}", tmp_path)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / f"{name}.bin").read_bytes() == traces.tobytes(), name


@needs_hdf5_tools
def test_h5repack_with_what_is_printed(tmp_path, file, expected):
    setting = SETTINGS[1]
    for command in (f"h5repack '{file}' copy.h5", f"h5repack -f /n1:GZIP=1 '{file}' gzip.h5"):
        result = run_shell(f"{setting}\n{command}", tmp_path)
        assert result.returncode == 0, result.stderr
    with h5py.File(file) as one, h5py.File(tmp_path / "copy.h5") as other:
        assert chunks_of(other["n1"]) == chunks_of(one["n1"])
    assert run_fresh(READ, tmp_path / "copy.h5", expected, "n1") == "n1 same\n"
    output = run_fresh(READ, tmp_path / "gzip.h5", expected, "n1", N1STORE_NO_HDF5_PLUGINS="1")
    assert output == "n1 same\n"


def chunks_of(dataset):
    infos = [dataset.id.get_chunk_info(i) for i in range(dataset.id.get_num_chunks())]
    return {info.chunk_offset: dataset.id.read_direct_chunk(info.chunk_offset) for info in infos}
