"""Reference files: through them zarr reads what h5py reads, from the HDF5 file itself."""

import http.server
import json
import subprocess
import sys
import textwrap
import threading

import h5py
import hdf5plugin
import numpy as np
import pytest
import zarr

import make_wav as make
import n1store.reference
from cases import case
from installed import ZARR_VERSION, needs_wavpack
from make_wav import read_wav_independently
from n1store.codecs import hdf5
from n1store.errors import N1StoreError
from processes import run_alone

fsspec = pytest.importorskip("fsspec")

TRACES = make.on_grid(3000, 5)
NOISE = np.random.default_rng(0).integers(-(2**15), 2**15, (3000, 5)).astype("<i2")


@pytest.fixture
def translate(tmp_path):
    """Give a function that writes a reference file and opens it with zarr."""

    def translate(path, **options):
        references = tmp_path / "refs.json"
        result = n1store.reference.write_reference(path, references, overwrite=True, **options)
        assert result.path == references
        return zarr.open_group(f"reference::{references}", mode="r"), result

    return translate


def read_refs(result):
    content = json.loads(result.path.read_text())
    assert set(content) == {"version", "refs"}
    assert content["version"] == 1
    for value in content["refs"].values():
        if not isinstance(value, str):
            url, offset, size = value
            assert url == result.url
            assert offset > 0
            assert size > 0
    return content["refs"]


COMPRESSIONS = {
    "none": {},
    "gzip": {"compression": "gzip"},
    "all of HDF5's own": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "n1": {"compression": hdf5.N1(5)},
    "n1 fletcher32": {"compression": hdf5.N1(5), "fletcher32": True},
    "zstd": dict(hdf5plugin.Zstd()),
    "lz4": dict(hdf5plugin.LZ4()),
    "lz4 in blocks": dict(hdf5plugin.LZ4(nbytes=1000)),
    "bzip2": dict(hdf5plugin.BZip2()),
    "blosc": dict(hdf5plugin.Blosc("zstd", 5, 2)),
}


@pytest.mark.parametrize("data", [TRACES, NOISE], ids=["samples", "noise"])
@pytest.mark.parametrize("name", COMPRESSIONS)
def test_filters(tmp_path, translate, name, data):
    data = data[:2800]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=data, chunks=(700, 5), **COMPRESSIONS[name])
    root, result = translate(tmp_path / "x.h5")
    np.testing.assert_array_equal(root["x"][:], data)
    np.testing.assert_array_equal(root["x"][650:750, 2], data[650:750, 2])
    assert (result.arrays, result.left_out) == (1, [])
    # Also where none of the chunks went through the filter.
    assert (result.chunks, result.inlined) == (4, 0)


@pytest.mark.parametrize("chunks", [(700, 5), None], ids=["chunks", "contiguous"])
@pytest.mark.parametrize(
    "dtype", [">i2", "u2", "i1", "u1", "<i4", ">i8", "<f4", ">f8", "bool", "<c8"]
)
def test_dtypes(tmp_path, translate, dtype, chunks):
    data = TRACES.astype(dtype)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=data, chunks=chunks, compression=chunks and "gzip")
    root, _ = translate(tmp_path / "x.h5")
    assert root["x"].dtype == data.dtype
    np.testing.assert_array_equal(root["x"][:], data)


@pytest.mark.parametrize("more", [False, True], ids=["at the end", "with more behind"])
@pytest.mark.parametrize("shape", [(0,), (7,), (300, 2, 3, 2), (400_000,), (300_007, 3), (3, 0)])
def test_datasets_without_chunks(tmp_path, translate, shape, more):
    data = np.arange(np.prod(shape), dtype="<i4").reshape(shape)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = data
        if more:
            file["y"] = np.ones(1_000_000)
    root, result = translate(tmp_path / "x.h5")
    np.testing.assert_array_equal(root["x"][...], data)
    assert root["x"].chunks[0] * data.nbytes <= max(1, len(data)) << 20
    # A last chunk that is not full and has too little behind it in the file.
    assert result.inlined == (shape == (300_007, 3) and not more)


def test_scalars_and_compact_datasets(tmp_path, translate):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["scalar"] = 2.5
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        for name, shape in {"few": (5,), "one": (), "none": (0,)}.items():
            space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
            h5py.h5d.create(file.id, name.encode(), h5py.h5t.STD_I16BE, space, properties)
        file["few"][:] = range(5)
        file["one"][()] = -3
    root, _ = translate(tmp_path / "x.h5")
    assert root["scalar"][()] == 2.5
    assert root["one"][()] == -3
    assert list(root["few"][:]) == [0, 1, 2, 3, 4]
    assert root["none"].shape == (0,)


@pytest.mark.parametrize("fill_value", [-7, np.nan, np.inf, -np.inf, 0.5])
@pytest.mark.parametrize("chunks", [(100,), None], ids=["chunks", "contiguous"])
def test_what_was_never_written(tmp_path, translate, fill_value, chunks):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", (300,), "<f8", chunks=chunks, fillvalue=fill_value)
        if chunks:
            file["x"][100:200] = 1
        file.create_dataset("integers", (300,), ">i2", chunks=chunks, fillvalue=9)
        file.create_dataset("unset", (300,), ">i2", chunks=chunks)
        expected = {name: dataset[:] for name, dataset in file.items()}
    root, _ = translate(tmp_path / "x.h5")
    for name, values in expected.items():
        np.testing.assert_array_equal(root[name][:], values)


@pytest.mark.parametrize("dtype", ["<c8", ">c8", "<c16"])
@pytest.mark.parametrize("fill_value", [3 - 4j, complex(np.nan, -np.inf), 0j])
@pytest.mark.parametrize("chunks", [(100,), None], ids=["chunks", "contiguous"])
def test_complex_numbers_that_were_never_written(tmp_path, translate, dtype, fill_value, chunks):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        x = file.create_dataset("x", (300,), dtype, chunks=chunks, fillvalue=fill_value)
        if chunks:
            x[100:200] = 1 + 2j
        expected = x[:]
    root, _ = translate(tmp_path / "x.h5")
    np.testing.assert_array_equal(root["x"][:], expected)


@pytest.mark.parametrize("dtype", [np.longdouble, np.clongdouble])
@pytest.mark.parametrize("chunks", [(2,), None], ids=["chunks", "contiguous"])
def test_numbers_that_zarr_does_not_have(tmp_path, translate, dtype, chunks):
    """They are left out, and all else is there."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = TRACES
        file.create_dataset("long", data=np.arange(5).astype(dtype), chunks=chunks)
    root, result = translate(tmp_path / "x.h5")
    np.testing.assert_array_equal(root["x"][:], TRACES)
    assert result.left_out == [f"long: zarr has no {np.dtype(dtype).name}"]


@pytest.mark.parametrize("kind", ["<u1", h5py.string_dtype(), "S4"])
def test_values_in_other_files_are_not_read(tmp_path, translate, kind):
    secret = tmp_path / "secret"
    secret.write_bytes(b"the secret " * 100)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = TRACES
        if kind == h5py.string_dtype():
            layout = h5py.VirtualLayout((1,), kind)
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (1,))
            file.create_virtual_dataset("stolen", layout)
        else:
            file.create_dataset("stolen", (64,), kind, external=[(str(secret), 0, 1000)])
    _, result = translate(tmp_path / "x.h5")
    assert result.left_out == ["stolen: its values are in other files or datasets"]
    assert "c2VjcmV0" not in result.path.read_text()


def test_what_was_hardly_written_costs_nothing(tmp_path, translate):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = TRACES
        for name, dtype in (("texts", h5py.string_dtype()), ("fixed", "S8"), ("numbers", "<f8")):
            file.create_dataset(name, (2**30,), dtype, chunks=(2**10,))
    _, result = translate(tmp_path / "x.h5")
    assert sorted(line.partition(":")[0] for line in result.left_out) == [
        *("fixed", "numbers", "texts")
    ]


class FileServer(http.server.BaseHTTPRequestHandler):
    """Serves the ranges of one file that are asked for."""

    def do_GET(self):
        content = self.server.path.read_bytes()
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        part = content[int(first) : int(last or len(content)) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_):
        pass


def test_file_on_the_web(tmp_path, run):
    """It opens in the words of the command and of its help."""
    pytest.importorskip("aiohttp")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, compression in {"n1": hdf5.N1(5), "gzip": "gzip"}.items():
            file.create_dataset(name, data=TRACES, chunks=(700, 5), compression=compression)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), FileServer) as server:
        server.path = tmp_path / "x.h5"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/x.h5"
        said = run("reference", tmp_path / "x.h5", tmp_path / "r.json", "--url", url).stdout
        expression = said.partition("to open it: ")[2].strip()
        if ZARR_VERSION >= 3:
            options = expression.partition('mode="r", ')[2].removesuffix(")")
            assert options in " ".join(run("reference", "--help").stdout.split())
        script = f"""
            import numpy, sys, zarr
            root = {expression}
            for name in ("n1", "gzip"):
                assert numpy.array_equal(root[name][:], numpy.load(sys.argv[1]))
        """
        np.save(tmp_path / "x.npy", TRACES)
        run_alone(script, tmp_path / "x.npy")
        server.shutdown()


def test_chunks_that_not_all_filters_were_applied_to(tmp_path, translate):
    for mask in [0b001, 0b010, 0b100, 0b110, 0b111]:
        with case(mask):
            data = TRACES.copy()
            data[700:1400] = NOISE[:700]
            with h5py.File(tmp_path / "x.h5", "w") as file:
                options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
                file.create_dataset("x", data=TRACES, chunks=(700, 5), **options)
                payload = NOISE[:700]
                for number, codec in enumerate(n1store.reference.pipeline_of(file["x"])):
                    if not mask >> number & 1:
                        payload = codec.encode(payload)
                file["x"].id.write_direct_chunk((700, 0), bytes(payload), filter_mask=mask)
                np.testing.assert_array_equal(file["x"][:], data)
            root, result = translate(tmp_path / "x.h5")
            np.testing.assert_array_equal(root["x"][:], data)
            assert (result.chunks, result.inlined) == (4, 1)


def test_chunks_that_n1_did_not_make_smaller(tmp_path, translate):
    data = TRACES.copy()
    data[700:1400] = NOISE[:700]
    data[2800:] = NOISE[:200]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=data, chunks=(700, 5), compression=hdf5.N1(5))
        dataset = file["x"].id
        masks = [dataset.get_chunk_info(number).filter_mask for number in range(5)]
    root, result = translate(tmp_path / "x.h5")
    np.testing.assert_array_equal(root["x"][:], data)
    assert masks[:4] == [0, 1, 0, 0]
    assert result.inlined == sum(masks)
    refs = read_refs(result)
    assert refs["x/1.0"].startswith("base64:")
    assert isinstance(refs["x/0.0"], list)


def test_texts(tmp_path, translate):
    texts = ["", "a", "grüße", "x" * 1000]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["texts"] = texts
        file["scalar"] = "one text\nof two lines"
        file["fixed"] = np.array([b"abc", b"d"])
        file["table"] = np.array([["a", "b"], ["c", "d"]], h5py.string_dtype())
        file.create_dataset("none", (0,), h5py.string_dtype())
        file.create_dataset("packed", data=texts, chunks=(3,), compression="gzip")
    root, result = translate(tmp_path / "x.h5")
    assert list(root["texts"][:]) == list(root["packed"][:]) == texts
    assert root["scalar"][()] == "one text\nof two lines"
    assert list(root["fixed"][:]) == ["abc", "d"]
    assert root["table"][:].tolist() == [["a", "b"], ["c", "d"]]
    assert root["none"].shape == (0,)
    assert result.left_out == []


def test_groups_attributes_and_links(tmp_path, translate):
    attributes = {
        "text": "ü",
        "number": np.int16(3),
        "real": 2.5,
        "truth": True,
        "list": np.arange(4),
        "texts": np.array(["a", "b"], h5py.string_dtype()),
        "fixed": np.bytes_("abc"),
    }
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("a/b")
        group["x"] = [1, 2]
        for item in (file, group, group["x"]):
            for name, value in attributes.items():
                item.attrs[name] = value
        group.attrs["reference"] = file["a"].ref
        group.attrs["references"] = np.array([file["a"].ref] * 2, h5py.ref_dtype)
        group.attrs["empty"] = h5py.Empty("f4")
        group.attrs["infinite"] = np.inf
        group.attrs["pair"] = np.zeros(1, [("a", "i2"), ("b", "i4")])
        file["soft"] = h5py.SoftLink("/a/b/x")
        file["external"] = h5py.ExternalLink("other.h5", "/x")
        file["nowhere"] = h5py.SoftLink("/missing")
        file["type"] = np.dtype("i2")
    root, result = translate(tmp_path / "x.h5")
    assert sorted(root) == ["a"]
    assert sorted(root["a/b"]) == ["x"]
    for item in (root, root["a/b"], root["a/b/x"]):
        assert dict(item.attrs) == {
            "text": "ü",
            "number": 3,
            "real": 2.5,
            "truth": True,
            "list": [0, 1, 2, 3],
            "texts": ["a", "b"],
            "fixed": "abc",
        }
    assert result.attributes_left_out == 5
    assert result.links_left_out == 3


def test_what_zarr_cannot_read_is_left_out_and_named(tmp_path, translate):
    int24 = h5py.h5t.STD_I32LE.copy()
    int24.set_size(3)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("g/lzf", data=TRACES, compression="lzf")
        file.create_dataset(
            "g/zfp", data=TRACES.astype("<i4"), **dict(hdf5plugin.Zfp(reversible=True))
        )
        file["good"] = TRACES
        file["empty"] = h5py.Empty("i2")
        file["pair"] = np.zeros(3, [("a", "i2"), ("b", "i4")])
        file["reference"] = np.array([file["good"].ref], h5py.ref_dtype)
        file.create_dataset("lists", (2,), h5py.vlen_dtype("i2"))
        file.create_dataset("latin", data=np.array([b"\xff"], h5py.string_dtype("ascii")))
        h5py.h5d.create(file.id, b"int24", int24, h5py.h5s.create_simple((9,)))
        file.create_dataset("outside", (3,), "i2", external=[("o.bin", 0, 6)])
        layout = h5py.VirtualLayout((3000, 5), "<i2")
        layout[:] = h5py.VirtualSource("x.h5", "good", (3000, 5))
        file.create_virtual_dataset("virtual", layout)
    root, result = translate(tmp_path / "x.h5")
    np.testing.assert_array_equal(root["good"][:], TRACES)
    assert sorted(root) == ["g", "good"]
    assert sorted(root["g"]) == ["lzf"]
    np.testing.assert_array_equal(root["g/lzf"][:], TRACES)
    lines = dict(line.split(": ", 1) for line in result.left_out)
    assert lines == {
        "g/zfp": lines["g/zfp"],
        "empty": "has no values",
        "pair": "zarr cannot read records of several fields in place",
        "reference": "zarr cannot read references to objects in place",
        "lists": "zarr cannot read lists of different lengths in place",
        "latin": "its text is not in UTF-8",
        "int24": "zarr cannot read numbers of this type in place",
        "outside": "its values are in other files or datasets",
        "virtual": "its values are in other files or datasets",
    }
    assert "32013" in lines["g/zfp"]


def test_damaged_chunk_that_would_have_to_be_encoded_again(tmp_path, translate):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=TRACES, chunks=(700, 5), compression="gzip", shuffle=True)
        file["x"].id.write_direct_chunk((700, 0), b"no zlib", filter_mask=1)
        file["y"] = TRACES
    root, result = translate(tmp_path / "x.h5")
    assert sorted(root) == ["y"]
    (line,) = result.left_out
    assert line.startswith("x: chunk 1.0: ")


@pytest.mark.parametrize("user_block", [0, 512])
def test_user_block(tmp_path, translate, user_block):
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=user_block) as file:
        file.create_dataset("chunks", data=TRACES, chunks=(700, 5), compression="gzip")
        file["contiguous"] = TRACES
    root, _ = translate(tmp_path / "x.h5")
    np.testing.assert_array_equal(root["chunks"][:], TRACES)
    np.testing.assert_array_equal(root["contiguous"][:], TRACES)


@pytest.mark.parametrize("url", [None, "{path}", "file://{path}"])
def test_url(tmp_path, translate, url, monkeypatch):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = TRACES
    monkeypatch.chdir(tmp_path)
    url = url and url.format(path=tmp_path / "x.h5")
    root, result = translate("x.h5", url=url)
    assert result.url == (url or str(tmp_path / "x.h5"))
    np.testing.assert_array_equal(root["x"][:], TRACES)


def test_zarr_finds_the_codecs_itself(tmp_path, translate):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, compression in {"n1": hdf5.N1(5), "lz4": hdf5plugin.LZ4()}.items():
            file.create_dataset(name, data=TRACES, chunks=(700, 5), compression=compression)
    _, result = translate(tmp_path / "x.h5")
    script = """
        import sys, zarr
        root = zarr.open_group(f"reference::{sys.argv[1]}", mode="r")
        sums = {name: int(array[:].astype("i8").sum()) for name, array in root.arrays()}
        assert "h5py" not in sys.modules
        print(sorted(sums.items()))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(result.path)]
    output = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=tmp_path
    ).stdout
    total = int(TRACES.astype("i8").sum())
    assert output.strip() == str([("lz4", total), ("n1", total)])


@pytest.mark.parametrize("codec", ["n1", pytest.param("wavpack", marks=needs_wavpack)])
def test_nwb_file_of_ours(recordings, tmp_path, translate, codec):
    n1store.convert(recordings, tmp_path / "out.nwb", codec=codec, chunk_seconds=1)
    root, result = translate(tmp_path / "out.nwb")
    for path in recordings.glob("*.wav"):
        samples, rate = read_wav_independently(path)
        series = root["acquisition"][path.stem]
        np.testing.assert_array_equal(series["data"][:].reshape(samples.shape), samples)
        assert series["starting_time"].attrs["rate"] == rate
    # Only references to objects cannot be had.
    assert [line.partition(": ")[0] for line in result.left_out] == [
        "general/extracellular_ephys/electrodes/group"
    ]


# The command


def test_command(run, run_json, tmp_path):
    source, references = tmp_path / "x.h5", tmp_path / "refs.json"
    with h5py.File(source, "w") as file:
        file.create_dataset("x", data=TRACES, chunks=(700, 5), compression="gzip")
        file["odd"] = np.zeros(3, [("a", "i2"), ("b", "i4")])
        file["link"] = h5py.SoftLink("/x")
        file.attrs["reference"] = file["x"].ref
    result = run("reference", source, references)
    assert "1 array, 5 chunks" in result.stdout
    assert f'to open it: zarr.open_group("reference::{references}", mode="r")\n' in result.stdout
    assert result.stderr.splitlines() == [
        "left out: odd: zarr cannot read records of several fields in place",
        "left out: 1 attribute that JSON cannot hold",
        "left out: 1 link that Zarr does not have",
    ]
    before = references.read_bytes()
    result = run("reference", source, references, exit_code=1)
    assert "--overwrite" in result.stderr
    assert references.read_bytes() == before
    url = "https://example.org/x.h5"
    content = run_json("reference", source, references, "--overwrite", "--url", url)
    assert content["url"] == url
    assert content["arrays"] == 1
    assert json.loads(references.read_text())["refs"]["x/0.0"][0] == url


def test_what_is_no_hdf5_file(run, tmp_path):
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file["x"] = TRACES
    content = (tmp_path / "whole.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[:-1000])
    (tmp_path / "text.h5").write_text("hello")
    (tmp_path / "empty.h5").touch()
    for name in ("cut.h5", "text.h5", "empty.h5", "missing.h5", "."):
        result = run("reference", tmp_path / name, tmp_path / "refs.json", exit_code=1)
        assert len(result.stderr.splitlines()) == 1
        assert str(tmp_path / name) in result.stderr
    assert not (tmp_path / "refs.json").exists()
    result = run(
        "reference", tmp_path / "whole.h5", tmp_path / "whole.h5", "--overwrite", exit_code=1
    )
    assert "is the HDF5 file itself" in result.stderr
    assert (tmp_path / "whole.h5").read_bytes() == content


def test_file_that_is_being_written(tmp_path):
    script = "import sys, h5py; f = h5py.File(sys.argv[1], 'w'); print(flush=True); input()"
    path = tmp_path / "x.h5"
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        try:
            with pytest.raises(N1StoreError, match="another process has it open"):
                n1store.reference.write_reference(path, tmp_path / "refs.json")
        finally:
            writer.communicate(b"\n")
    assert not (tmp_path / "refs.json").exists()


def test_damaged_structure(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        for number in range(20):
            file.create_dataset(f"g/{number}", data=TRACES[:9], chunks=(5, 5), compression="gzip")
    content = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(50):
        damaged = bytearray(content)
        for position in random.integers(0, len(content), 8):
            damaged[position] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        try:
            n1store.reference.write_reference(path, tmp_path / "refs.json", overwrite=True)
        except N1StoreError as error:
            refused += 1
            assert str(path) in str(error)
            assert len(str(error).splitlines()) == 1
    assert refused
