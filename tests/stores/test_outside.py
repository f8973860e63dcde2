"""Nothing outside a store or file is read, unless it is asked for, and then it is said."""

import json
import os
import zipfile

import h5py
import numpy as np
import pytest

import make_nwb
import n1store
from installed import ZARR_FORMATS
from make_wav import on_grid, write_wav
from n1store.errors import N1StoreError
from processes import ForkedCommand, time_limit

RATE = 1000
OWN, SECRET = on_grid(700, 2, 1), on_grid(700, 2, 2)


@pytest.fixture
def wavs(tmp_path):
    write_wav(tmp_path / "own.wav", OWN, RATE)
    write_wav(tmp_path / "secret.wav", SECRET, RATE)
    return tmp_path


def every_command(path, tmp_path):
    yield "verify", path
    yield "export", path, tmp_path / "wavs"
    yield "convert", path, tmp_path / "copy.zarr", "--overwrite"
    yield "bench", path, "--windows", 1


def assert_all_refuse(run, path, tmp_path, *words):
    for command in every_command(path, tmp_path):
        with time_limit(60):
            said = run(*command, exit_code=1).stderr
        assert any(word in said for word in words), said
    assert not (tmp_path / "copy.zarr").exists()
    assert not list(tmp_path.glob("wavs/*"))


# Zarr


@pytest.fixture(params=ZARR_FORMATS)
def store(request, wavs):
    """Give a store of one array, and another one beside it which is none of its business."""
    for name in ("own", "secret"):
        n1store.convert(
            wavs / f"{name}.wav",
            wavs / f"{name}.zarr",
            codec="zstd",
            chunk_seconds=0.1,
            zarr_format=request.param,
            **({"shard_seconds": 0} if request.param == 3 else {}),
        )
    return wavs / "own.zarr"


def metadata_of(array):
    return array / (".zarray" if (array / ".zarray").exists() else "zarr.json")


def change_root(store, change):
    path = store / ("zarr.json" if (store / "zarr.json").exists() else ".zattrs")
    content = json.loads(path.read_text())
    change(content["attributes"]["n1store"] if path.name == "zarr.json" else content["n1store"])
    path.write_text(json.dumps(content))


def let_zarr_read(store):
    """Make an array such that n1store leaves it to zarr."""
    path = metadata_of(store / "recordings/own")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fill_value": 1}))
    (store / ".zmetadata").unlink(missing_ok=True)  # which would say something else


@pytest.mark.parametrize(
    "path",
    [
        *("../secret.zarr/recordings/secret", "recordings/../../secret.zarr/recordings/secret"),
        *("/etc", "", ".", "..", "recordings//own", "recordings/own/", "recordings\\own"),
    ],
)
def test_paths_that_lead_out_of_a_store(store, run, tmp_path, path):
    change_root(store, lambda root: root.update(recordings={"stolen": path}))
    assert_all_refuse(run, store, tmp_path, "an array outside itself")


@pytest.mark.parametrize(
    ("linked", "left_to_zarr"),
    [
        *((linked, False) for linked in ("array", "group", "metadata", "chunk", "root")),
        *((linked, True) for linked in ("array", "chunk")),
    ],
)
def test_links_in_a_store(store, run, tmp_path, caplog, linked, left_to_zarr):
    if left_to_zarr:
        let_zarr_read(store)
    array = store / "recordings/own"
    root = store / ("zarr.json" if (store / "zarr.json").exists() else ".zattrs")
    chunks = [path for path in array.iterdir() if path.name[:1] in "c0"]
    place = {
        "array": array,
        "group": array.parent,
        "metadata": metadata_of(array),
        "chunk": max(chunks),
        "root": root,
    }[linked]
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert_all_refuse(run, store, tmp_path, "is a link")
    with n1store.open(store, follow_links=True) as opened:
        np.testing.assert_array_equal(opened["own"].traces[:], OWN)
    assert f"{place}: is a link, followed to {tmp_path / 'elsewhere'}" in caplog.messages
    for command in every_command(store, tmp_path):
        run(*command, "--follow-links")


@pytest.mark.parametrize("place", ["root", "metadata", "chunk"])
@pytest.mark.parametrize("what", ["pipe", "device"])
def test_files_that_never_end(store, run, tmp_path, place, what):
    array = store / "recordings/own"
    root = store / ("zarr.json" if (store / "zarr.json").exists() else ".zattrs")
    chunk = max(path for path in array.iterdir() if path.name[:1] in "c0")
    path = {"root": root, "metadata": metadata_of(array), "chunk": chunk}[place]
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert_all_refuse(run, store, tmp_path, "is no ordinary file", "is a link")
    with time_limit(60), pytest.raises(N1StoreError, match="is no ordinary file"):
        n1store.open(store, follow_links=True)["own"].traces[:]


def test_groups_that_never_end_keep_zarr_from_opening_them(store, run, tmp_path):
    for name in (".zgroup", ".zmetadata", "recordings/.zgroup", "recordings/zarr.json"):
        path = store / name
        content = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        with time_limit(60):
            said = run("bench", store, "--windows", 1, exit_code=1).stderr
        assert f"{path}: is no ordinary file" in said
        path.unlink()
        if content is not None:
            path.write_bytes(content)


def test_zip_files_lead_nowhere(store, run, tmp_path):
    """A link in a zip file is its text, and names are not of the file system."""
    packed = tmp_path / "x.zarr.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for path in sorted(store.rglob("*")):
            if path.is_file() and path.name[:1] not in "c0":
                file.write(path, path.relative_to(store))
            elif path.is_file():
                info = zipfile.ZipInfo(str(path.relative_to(store)))
                info.external_attr = 0o120777 << 16
                file.writestr(info, str(tmp_path / "secret.zarr/recordings/secret" / path.name))
    assert_all_refuse(run, packed, tmp_path, "chunk", "not read as it was stored")


# NWB


def replace(file, path, make):
    """Put something else in the place of a dataset, with its attributes."""
    parent, _, name = f"/{path}".rpartition("/")
    parent = parent or "/"
    attributes = dict(file[path].attrs)
    values = file[path][()]
    del file[path]
    make(file[parent], name, values)
    with_attributes = file[parent].get(name, getlink=True)
    if isinstance(with_attributes, h5py.HardLink):
        for key, value in attributes.items():
            file[path].attrs[key] = value


@pytest.fixture
def nwb(wavs):
    n1store.convert(wavs / "own.wav", wavs / "x.nwb")
    values = np.ascontiguousarray(SECRET)
    (wavs / "secret.bin").write_bytes(values.tobytes())
    with h5py.File(wavs / "secret.h5", "w") as file:
        file["data"] = values
    return wavs / "x.nwb"


def external_link(group, name, values, folder):
    group[name] = h5py.ExternalLink(str(folder / "secret.h5"), "/data")


def soft_link_to_an_external_one(group, name, values, folder):
    group["far"] = h5py.ExternalLink(str(folder / "secret.h5"), "/data")
    group[name] = h5py.SoftLink(f"{group.name}/far")


def external_storage(group, name, values, folder):
    place = [(str(folder / "secret.bin"), 0, values.nbytes)]
    group.create_dataset(name, values.shape, values.dtype, external=place)


def virtual(group, name, values, folder):
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[...] = h5py.VirtualSource(str(folder / "secret.h5"), "data", values.shape)
    group.create_virtual_dataset(name, layout)


def virtual_of_external_storage(group, name, values, folder):
    external_storage(group, "far", values, folder)
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[...] = h5py.VirtualSource(".", f"{group.name}/far", values.shape)
    group.create_virtual_dataset(name, layout)


def virtual_of_many(group, name, values, folder):
    """With a pattern for the names of what it is made of, which only HDF5's own functions take."""
    external_storage(group, "far0", values, folder)
    shape, unlimited = values.shape, h5py.h5s.UNLIMITED
    space = h5py.h5s.create_simple(shape, (unlimited, *shape[1:]))
    space.select_hyperslab((0,) * len(shape), (unlimited, *(1,) * len(shape[1:])), shape, shape)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    pattern = f"{group.name}/far%b".encode()
    properties.set_virtual(space, b".", pattern, h5py.h5s.create_simple(shape))
    kind = h5py.h5t.py_create(values.dtype, logical=True)
    h5py.h5d.create(group.id, name.encode(), kind, space, properties)


WAYS = [
    *(external_link, soft_link_to_an_external_one, external_storage, virtual),
    *(virtual_of_external_storage, virtual_of_many),
]


@pytest.mark.parametrize("make", WAYS)
def test_samples_in_other_files(nwb, run, tmp_path, make):
    with h5py.File(nwb, "r+") as file:
        replace(file, "acquisition/own/data", lambda *place: make(*place, tmp_path))
    assert_all_refuse(run, nwb, tmp_path, "is in another file")
    with h5py.File(nwb, "r+") as file:  # as if others had written it
        del file["scratch/n1store"]
    assert_all_refuse(run, nwb, tmp_path, "is in another file")
    with n1store.open(nwb, follow_links=True) as store:
        np.testing.assert_array_equal(store["own"].traces[:], SECRET)
    run("bench", nwb, "--follow-links", "--windows", 1)


NUMBERS = ["general/extracellular_ephys/electrodes/id", "acquisition/own/electrodes"]
START = "acquisition/own/starting_time"
TEXTS = ["session_start_time", "general/extracellular_ephys/electrodes/location"]


@pytest.mark.parametrize(
    ("path", "make"),
    [
        *((path, make) for path in NUMBERS for make in WAYS if make is not virtual_of_many),
        # HDF5 keeps texts of any length in the file itself, and single numbers.
        *((path, make) for path in [START, *TEXTS] for make in WAYS[:2]),
    ],
)
def test_what_else_is_in_other_files(nwb, run, tmp_path, path, make):
    """It is left out, and nothing of it is in what is made of the file."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["data"] = "secret" if path in TEXTS else 1234567
    with h5py.File(nwb, "r+") as file:
        replace(file, path, lambda *place: make(*place, tmp_path))
        del file["scratch/n1store"]
    result = run("convert", nwb, tmp_path / "copy.nwb", exit_code=0 if path in TEXTS else 1)
    assert "is in another file" in result.stderr
    if path in TEXTS:
        assert b"secret" not in (tmp_path / "copy.nwb").read_bytes()


def test_a_link_to_what_never_ends(nwb, run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(nwb, "r+") as file:
        for path in ("acquisition/own/data", "general/more", "acquisition/own/more"):
            if path in file:
                del file[path]
            file[path] = h5py.ExternalLink(str(tmp_path / "pipe"), "/x")
    with time_limit(60):
        assert_all_refuse(run, nwb, tmp_path, "is in another file")


def test_virtual_datasets_of_the_file_itself(nwb, tmp_path):
    def make(group, name, values):
        group["near"] = values
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        layout[...] = h5py.VirtualSource(".", f"{group.name}/near", values.shape)
        group.create_virtual_dataset(name, layout)

    with h5py.File(nwb, "r+") as file:
        replace(file, "acquisition/own/data", make)
        del file["scratch/n1store"]
    with n1store.open(nwb) as store:
        np.testing.assert_array_equal(store["own"].traces[:], OWN)


@pytest.mark.parametrize("kind", ["soft", "virtual"])
def test_circles(nwb, run, tmp_path, kind):
    def make(group, name, values):
        for one, other in ((name, "other"), ("other", name)):
            if kind == "soft":
                group[one] = h5py.SoftLink(f"{group.name}/{other}")
            else:
                layout = h5py.VirtualLayout(values.shape, values.dtype)
                layout[...] = h5py.VirtualSource(".", f"{group.name}/{other}", values.shape)
                group.create_virtual_dataset(one, layout)

    with h5py.File(nwb, "r+") as file:
        replace(file, "acquisition/own/data", make)
    with time_limit(60):
        run("verify", nwb, exit_code=1)


def virtual_of(group, name, file, dataset, shape):
    layout = h5py.VirtualLayout(shape, "<i2")
    layout[...] = h5py.VirtualSource(file, dataset, shape)
    group.create_virtual_dataset(name, layout)


def numbered(group, name, file, dataset, shape):
    """Put what is made of the datasets 0, 1, … there, by HDF5's own functions."""
    unlimited, once = h5py.h5s.UNLIMITED, (1,) * len(shape[1:])
    space = h5py.h5s.create_simple(shape, (unlimited, *shape[1:]))
    half = (shape[0] // 2, *shape[1:])
    space.select_hyperslab((0,) * len(shape), (unlimited, *once), half, half)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_virtual(space, file.encode(), dataset.encode(), h5py.h5s.create_simple(half))
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.STD_I16LE, space, properties)


@pytest.mark.parametrize("kind", ["of itself", "of one file", "through another", "numbered"])
def test_virtual_datasets_of_virtual_ones_are_not_followed_either(nwb, fails, tmp_path, kind):
    """HDF5 turns in a circle of them until the process dies."""
    path = "acquisition/own/data"

    def make(group, name, values):
        if kind == "of itself":
            virtual_of(group, name, ".", f"/{path}", values.shape)
        elif kind == "of one file":
            virtual_of(group, name, ".", f"{group.name}/other", values.shape)
            virtual_of(group, "other", ".", f"/{path}", values.shape)
        elif kind == "through another":
            virtual_of(group, name, "other.h5", "data", values.shape)
            with h5py.File(tmp_path / "other.h5", "w") as other:
                virtual_of(other, "data", "x.nwb", path, values.shape)
        else:
            numbered(group, name, "other.h5", "data%b", values.shape)
            with h5py.File(tmp_path / "other.h5", "w") as other:
                other["data0"] = values[: len(values) // 2]
                virtual_of(other, "data1", "x.nwb", path, values.shape)

    with h5py.File(nwb, "r+") as file:
        replace(file, path, make)
    command = ForkedCommand("convert", nwb, tmp_path / "o.zarr", "--follow-links")
    _, said = command.communicate()
    assert command.returncode == 1, said
    assert f"{nwb}: " in said and "is a virtual dataset of virtual ones" in said


def test_virtual_datasets_of_numbered_ones_are_followed(nwb, tmp_path):
    def make(group, name, values):
        numbered(group, name, "%b.h5", "data", values.shape)
        half = len(values) // 2
        for number, part in enumerate((values[:half], values[half:])):
            with h5py.File(tmp_path / f"{number}.h5", "w") as other:
                other["data"] = part

    with h5py.File(nwb, "r+") as file:
        replace(file, "acquisition/own/data", make)
    with n1store.open(nwb, follow_links=True) as store:
        np.testing.assert_array_equal(store["own"].traces[:], OWN)


def test_a_virtual_dataset_of_what_is_not_there(tmp_path, fails):
    """HDF5 would read zeros."""
    nwbfile, series = make_nwb.make_bare(1)
    nwbfile.add_acquisition(series("x", make_nwb.samples((1000, 1))))
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    with h5py.File(path, "a") as file:
        attributes = dict(file["acquisition/x/data"].attrs)
        del file["acquisition/x/data"]
        layout = h5py.VirtualLayout((1000, 1), "<i2")
        layout[:] = h5py.VirtualSource(".", "nowhere", (1000, 1))
        file.create_virtual_dataset("acquisition/x/data", layout).attrs.update(attributes)
    fails("convert", path, tmp_path / "y.zarr", words=[path, "a dataset that is not there"])
