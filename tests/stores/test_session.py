"""What NWB says beside the samples: read, kept as JSON, united and written again."""

import json
import math
import shlex
import shutil
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest
import zarr
from nwbinspector import Importance, inspect_nwbfile

import make_nwb
import n1store
from installed import ZARR_FORMATS
from make_wav import write_wav
from n1store.session.metadata import NwbMetadata
from processes import time_limit

OWN = {"object_id"}  # what no copy takes over
DEFAULTS = {"conversion": 1.0, "offset": 0.0, "resolution": -1.0}


def content(path):
    """Return everything that an NWB file says, by place."""
    found = {}

    def plain(value, file):
        if isinstance(value, h5py.Reference):
            return file[value].name
        if isinstance(value, np.ndarray) and value.dtype == object:
            return [plain(one, file) for one in value.ravel()]
        return value.tolist() if isinstance(value, np.ndarray | np.generic) else value

    def look(name, item):
        if name.startswith(("specifications", "scratch/n1store", "file_create_date")):
            return
        found.update({(name, key): plain(value, item.file) for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset):
            found[name] = plain(item[()], item.file)

    with h5py.File(path) as file:
        file.visititems(look)
    return {
        place: value
        for place, value in found.items()
        if isinstance(place, str) or (place[1] not in OWN and DEFAULTS.get(place[1]) != value)
    }


def assert_valid(path):
    assert pynwb.validate(path=str(path)) == []
    remarks = inspect_nwbfile(nwbfile_path=str(path))
    assert not [remark for remark in remarks if remark.importance == Importance.CRITICAL]


def differing(first, second):
    """Return the places at which two files say different things; NaN is NaN."""
    ours, theirs = content(first), content(second)
    return {
        place
        for place in ours.keys() | theirs.keys()
        if repr(ours.get(place)) != repr(theirs.get(place))
    }


HOW_TO_READ = f"Written by n1store {n1store.__version__}; to read it: pip install h5py n1store."
HINTS = ("", "comments"), ("/data", "how_to_read")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Give a file that says all that can be carried over, and a store made from it."""
    folder = tmp_path_factory.mktemp("original")
    path = make_nwb.write_full(folder / "in.nwb")
    n1store.convert(path, folder / "in.zarr", zarr_format=2)
    return folder


@pytest.fixture
def full(original, tmp_path):
    """Give a copy of that file, to change."""
    return Path(shutil.copy(original / "in.nwb", tmp_path))


@pytest.fixture
def full_store(original, tmp_path):
    """Give a copy of that store, to change."""
    return shutil.copytree(original / "in.zarr", tmp_path / "in.zarr")


@pytest.mark.parametrize("between", [None, *ZARR_FORMATS, "zip", "spikeinterface"])
def test_all_is_carried_over(full, tmp_path, between):
    path, out = full, tmp_path / "out.nwb"
    options = {2: {"zarr_format": 2}, "spikeinterface": {"layout": "spikeinterface"}}
    if between == "spikeinterface":  # which has recordings of as many channels only
        with h5py.File(path, "r+") as file:
            del file["acquisition/plain"]
    if between is not None:
        store = tmp_path / ("between.zarr.zip" if between == "zip" else "between.zarr")
        assert n1store.convert(path, store, **options.get(between, {})).lost == []
        assert n1store.convert(store, out).lost == []
    else:
        assert n1store.convert(path, out).lost == []
    assert_valid(out)
    # The groups' names stand beside them, with words of n1store's, which says that it was there.
    names = ["raw"] if between == "spikeinterface" else ["raw", "plain"]
    hints = {(f"acquisition/{name}{place}", key) for name in names for place, key in HINTS}
    assert differing(path, out) == hints | {
        ("general/extracellular_ephys/electrodes", "colnames"),
        ("general/extracellular_ephys/electrodes/group_name", "description"),
        "general/was_generated_by",
    }
    with pynwb.NWBHDF5IO(out, "r") as io:
        nwbfile = io.read()
        software = [["acquirer", "1.2"], ["n1store", n1store.__version__]]
        assert nwbfile.was_generated_by[:].tolist() == software
        electrode = nwbfile.acquisition["raw"].electrodes.to_dataframe().iloc[0]
        assert electrode["label"] == "Électrode 7"
        assert electrode["group"].device.model.name == "probes"


@pytest.mark.slow
def test_what_is_not_carried_over_is_said(tmp_path, run, run_json):
    path = make_nwb.write_with_extras(tmp_path / "in.nwb")
    result = run_json("convert", path, tmp_path / "out.nwb", exit_code=3)
    assert result["lost"] == [
        f"{path}: {line}"
        for line in (
            "processing/ecephys/LFP/lfp: is in acquisition now",
            "processing/ecephys/LFP/lfp/timestamps: are now a start and a rate, up to 0.004 s away",
            "acquisition/wheel (TimeSeries)",
            "general/devices/models/spare (DeviceModel)",
            "general/extracellular_ephys/electrodes/neighbours (VectorData)",
            "general/extracellular_ephys/electrodes/neighbours_index (VectorIndex)",
            "intervals/trials (TimeIntervals)",
            "processing/ecephys: attribute description",
            "scratch/jotted (ScratchData)",
            "stimulus/presentation/tone (TimeSeries)",
            "units (Units)",
        )
    ]
    assert result["skipped"] == [
        f"{path}: processing/ecephys/LFP/smooth: its samples are float64, not int16"
    ]
    assert_valid(tmp_path / "out.nwb")
    # In the next file there is nothing more to lose.
    for next_path in (tmp_path / "next.zarr", tmp_path / "next.nwb"):
        assert n1store.convert(tmp_path / "out.nwb", next_path).lost == []
    nwbfile, series = make_nwb.make_bare(1)
    nwbfile.add_acquisition(series("raw", make_nwb.samples(100)))
    nwbfile.add_acquisition(pynwb.TimeSeries(name="wheel", data=[1], unit="m", rate=1.0))
    path = make_nwb.write(tmp_path / "few.nwb", nwbfile)
    printed = run("convert", path, tmp_path / "few.zarr")
    assert printed.stderr == f"not kept: {path}: acquisition/wheel (TimeSeries)\n"


def test_what_others_do_otherwise(tmp_path):
    """Files as older versions and other programs make them, or not quite valid ones."""
    nwbfile, series = make_nwb.make_bare(2)
    nwbfile.add_acquisition(series("raw", make_nwb.samples((100, 2))))
    path = make_nwb.write(tmp_path / "in.nwb", nwbfile)
    with h5py.File(path, "r+") as file:
        file.attrs["colour"] = "blue"
        file["general/lab"] = ""
        file["general/notes"] = b"bytes"
        file["general/keywords"] = np.array([b"one", b"two"])
        file["general/experimenter"] = "Doe, Jane"
        file["general/protocol"] = 7
        file["general/virus"] = b"caf\xe9"
        file["general/house/wall"] = 1
        file["general/subject/weight"] = 0.02
        file["general/elsewhere"] = h5py.SoftLink("/general/notes")
        del file["session_start_time"]
        file["session_start_time"] = "2024-05-17T14:03:00"
        device = file["general/devices/probe"]
        device.attrs["manufacturer"] = "A maker"
        device.attrs["neurodata_type"] = "Probe"
        device.attrs["contacts"] = 12
        table = file["general/extracellular_ephys/electrodes"]
        table.attrs["colnames"] = [*table.attrs["colnames"], "pairs", "links", "broken"]
        for name, data in (
            ("pairs", np.zeros((2, 2))),
            ("links", np.array([device.ref] * 2, h5py.ref_dtype)),
            ("broken", [b"a", b"\xe9"]),
        ):
            column = table.create_dataset(name, data=data)
            column.attrs["neurodata_type"] = np.bytes_("VectorData")
        data = file["acquisition/raw/data"]
        del data.attrs["conversion"]
        data.attrs["unit"] = "mV"
        data.attrs["continuity"] = "continuous"
    result = n1store.convert(path, tmp_path / "out.nwb")
    said = {line.removeprefix(f"{path}: ") for line in result.lost}
    assert said == {
        "session_start_time: names no time zone; it is taken for local time",
        "file: protocol is not a text",
        "file: virus has characters that HDF5 cannot keep",
        "file: attribute colour",
        "general/elsewhere (a link)",
        "general/house/wall",
        "general/devices/probe: is of type Device now, not Probe",
        "general/devices/probe: attribute contacts",
        "general/extracellular_ephys/electrodes/pairs (VectorData)",
        "general/extracellular_ephys/electrodes/links (VectorData)",
        "general/extracellular_ephys/electrodes/broken (VectorData)",
        "acquisition/raw/data: its unit, mV, which NWB does not allow",
        "acquisition/raw/data: attribute continuity",
    }
    with pynwb.NWBHDF5IO(tmp_path / "out.nwb", "r") as io:
        nwbfile = io.read()
        assert (nwbfile.lab, nwbfile.notes) == (None, "bytes")
        assert (nwbfile.keywords[:].tolist(), nwbfile.experimenter) == (
            ["one", "two"],
            ("Doe, Jane",),
        )
        assert nwbfile.subject.weight == "0.02 kg"
        assert nwbfile.devices["probe"].model.manufacturer == "A maker"
        assert nwbfile.acquisition["raw"].conversion == 1
        assert nwbfile.acquisition["raw"].comments == HOW_TO_READ
    assert_valid(tmp_path / "out.nwb")


@pytest.mark.slow
def test_what_the_user_says_wins(full, tmp_path, run):
    path, out = full, tmp_path / "out.nwb"
    more = tmp_path / "more.yaml"
    more.write_text(
        "NWBFile: {lab: Another}\n"
        "Ecephys: {Device: {manufacturer: Another}, ElectrodeGroup: {location: V1},"
        " ElectricalSeries: {filtering: some}}"
    )
    options = [*("--metadata", more), *("--subject-species", "Homo sapiens"), *("--gain-to-uv", 2)]
    run("convert", path, out, *options)
    with pynwb.NWBHDF5IO(out, "r") as io:
        nwbfile = io.read()
        assert (nwbfile.lab, nwbfile.identifier) == ("Another", "day-1")
        assert (nwbfile.subject.species, nwbfile.subject.sex) == ("Homo sapiens", "F")
        assert {device.model.manufacturer for device in nwbfile.devices.values()} == {"Another"}
        assert {group.location for group in nwbfile.electrode_groups.values()} == {"V1"}
        assert set(nwbfile.electrodes["location"].data[:]) == {"V1"}
        raw = nwbfile.acquisition["raw"]
        assert (raw.conversion, raw.offset, raw.channel_conversion) == (2e-6, 1e-3, None)
        assert (raw.filtering, raw.starting_time) == ("some", 3.5)
        assert raw.comments == f"Some comments. {HOW_TO_READ}"
    assert_valid(out)
    more.write_text("Ecephys: {Device: {name: mine}}")
    error = run("convert", path, tmp_path / "no.nwb", "--metadata", more, exit_code=1).stderr
    assert "Device: name is 'mine', but the sources have 2: probe A, probe B" in error
    assert not (tmp_path / "no.nwb").exists()


def test_a_name_for_the_only_device(tmp_path):
    nwbfile, series = make_nwb.make_bare(1)
    nwbfile.add_acquisition(series("raw", make_nwb.samples(100)))
    path = make_nwb.write(tmp_path / "in.nwb", nwbfile)
    more = {"Device": {"name": "mine"}, "ElectrodeGroup": {"name": "ours"}}
    n1store.convert(path, tmp_path / "out.nwb", nwb=NwbMetadata(more=more))
    with pynwb.NWBHDF5IO(tmp_path / "out.nwb", "r") as io:
        nwbfile = io.read()
        assert list(nwbfile.devices) == ["mine"] and list(nwbfile.electrode_groups) == ["ours"]
        assert nwbfile.electrode_groups["ours"].device.description == "A probe."
        assert nwbfile.electrodes["group_name"].data[:].tolist() == ["ours"]


def test_what_is_unknown_stays_unknown(tmp_path, run):
    """What only stands for something unknown gives way to what becomes known later."""
    write_wav(tmp_path / "rat.wav", make_nwb.samples(2_000))
    first, store, again = (tmp_path / name for name in ("a.nwb", "b.zarr", "c.nwb"))
    for source, target in ((tmp_path / "rat.wav", first), (first, store), (store, again)):
        assert n1store.convert(source, target).lost == []
    assert differing(first, again) == set()
    out = tmp_path / "out.nwb"
    run(
        *("convert", store, out, "--session-start-time", "2024-05-17T14:03:00+02:00"),
        *("--subject-species", "Mus musculus", "--gain-to-uv", 1),
    )
    with pynwb.NWBHDF5IO(out, "r") as io:
        nwbfile = io.read()
        assert nwbfile.notes is None
        assert nwbfile.subject.description is None
        assert nwbfile.acquisition["rat"].comments == HOW_TO_READ
        assert nwbfile.acquisition["rat"].description == "from rat.wav"


def test_sources_that_agree_and_that_do_not(tmp_path):
    paths = []
    for name, fields in (
        ("a", {"identifier": "a", "notes": "One."}),
        ("b", {"identifier": "b", "notes": "Two."}),
    ):
        nwbfile, series = make_nwb.make_bare(2, lab="A lab", **fields)
        nwbfile.add_electrode_column("number", "Whole.", data=[1, 2])
        nwbfile.add_electrode_column("depth", "Not whole.", data=[1.5, 2.5])
        nwbfile.add_electrode_column(f"only_{name}", "In one.", data=["x", "y"])
        nwbfile.subject = pynwb.file.Subject(subject_id=name, sex="F", age="P1Y")
        if name == "b":
            nwbfile.create_device(name="other", description="Another probe.")
            nwbfile.electrode_groups["shank"].fields["location"] = "CA3"
        nwbfile.add_acquisition(series(f"raw_{name}", make_nwb.samples((100, 2)), [1, 0]))
        paths.append(make_nwb.write(tmp_path / f"{name}.nwb", nwbfile))
    wav = write_wav(tmp_path / "c.wav", make_nwb.samples(100))
    result = n1store.convert([*paths, wav], tmp_path / "out.nwb")
    a, b = paths
    assert result.lost == [
        f"{b}: electrode group shank: is called shank_2 here, as there is another one",
        f"{b}: ids of electrodes: are numbered anew, as some were there already",
        f"identifier, notes of the file: {a} and {b} differ in this",
        f"subject: {a} and {b} have different ones",
        "column number of the electrodes: some have no value of its kind",
    ]
    assert_valid(tmp_path / "out.nwb")
    with pynwb.NWBHDF5IO(tmp_path / "out.nwb", "r") as io:
        nwbfile = io.read()
        assert (nwbfile.lab, nwbfile.notes) == ("A lab", None)
        assert nwbfile.session_start_time == make_nwb.START
        assert nwbfile.subject.subject_id == "unknown"
        assert set(nwbfile.devices) == {"probe", "other", "device"}
        table = nwbfile.electrodes
        assert table["group_name"].data[:].tolist() == [
            *["shank"] * 2,
            *["shank_2"] * 2,
            "electrode_group",
        ]
        assert table["channel_name"].data[:].tolist() == ["0", "1", "0", "1", "0"]
        assert table["only_a"].data[:].tolist() == ["x", "y", "", "", ""]
        assert np.array_equal(
            table["depth"].data[:], [1.5, 2.5, 1.5, 2.5, math.nan], equal_nan=True
        )
        rows = [
            nwbfile.acquisition[name].electrodes.data[:].tolist()
            for name in ("raw_a", "raw_b", "c")
        ]
        assert rows == [[1, 0], [3, 2], [4]]


def test_channels_of_several_sources_side_by_side(tmp_path):
    paths = []
    for name, gain in (("a", 1e-6), ("b", 2e-6)):
        nwbfile, series = make_nwb.make_bare(2)
        fields = {"conversion": gain, "comments": "Quiet.", "filtering": name}
        nwbfile.add_acquisition(series("raw", make_nwb.samples((100, 2)), [1, 0], **fields))
        paths.append(make_nwb.write(tmp_path / f"{name}.nwb", nwbfile))
    out = tmp_path / "out.nwb"
    result = n1store.convert(paths, out, layout="channels")
    assert result.lost[1:] == ["traces: filtering: those of its channels differ"]
    assert_valid(out)
    with pynwb.NWBHDF5IO(out, "r") as io:
        traces = io.read().acquisition["traces"]
        assert (traces.filtering, traces.conversion) == (None, 1)
        assert traces.comments == f"Quiet. {HOW_TO_READ}"
        assert traces.channel_conversion[:].tolist() == [1e-6, 1e-6, 2e-6, 2e-6]
        assert traces.electrodes.data[:].tolist() == [1, 0, 3, 2]
    wav = write_wav(tmp_path / "c.wav", make_nwb.samples(100), 1000)
    result = n1store.convert([paths[0], wav], out, layout="channels", overwrite=True)
    *differing, files = result.lost
    assert differing == [
        f"traces: {key}: those of its channels differ"
        for key in ("comments", "filtering", "conversion", "electrodes_description")
    ]
    assert files == "traces: its 1 original files, as other channels came from none"
    with pynwb.NWBHDF5IO(out, "r") as io:
        traces = io.read().acquisition["traces"]
        assert "gain unknown" in traces.comments
        assert traces.electrodes.data[:].tolist() == [2, 1, 0]  # WAV files come first


@pytest.mark.long
def test_ten_thousand_electrodes_in_many_groups(tmp_path):
    rows, groups = 10_000, 40
    nwbfile, series = make_nwb.make_bare(1)
    nwbfile.add_acquisition(series("raw", make_nwb.samples((16, 1))))
    path = make_nwb.write(tmp_path / "in.nwb", nwbfile)
    with h5py.File(path, "r+") as file:
        ephys = file["general/extracellular_ephys"]
        for number in range(groups):
            file.copy(ephys["shank"], ephys, f"g{number}", expand_soft=False)
        table = ephys["electrodes"]
        group = [ephys[f"g{row % groups}"].ref for row in range(rows)]
        for name, data in (
            ("id", np.arange(rows)),
            ("group", np.array(group, h5py.ref_dtype)),
            ("group_name", [f"g{row % groups}" for row in range(rows)]),
            ("location", [f"layer {row}" for row in range(rows)]),
        ):
            attributes = dict(table[name].attrs)
            del table[name]
            table[name] = data
            table[name].attrs.update(attributes)
    for source, target in (("in.nwb", "a.zarr"), ("a.zarr", "out.nwb")):
        assert n1store.convert(tmp_path / source, tmp_path / target).lost == []
    with h5py.File(tmp_path / "out.nwb") as file:
        table = file["general/extracellular_ephys/electrodes"]
        assert table["location"].asstr()[:].tolist() == [f"layer {row}" for row in range(rows)]
        assert table["group_name"].asstr()[:].tolist() == [
            f"g{row % groups}" for row in range(rows)
        ]
        names = [file[reference].name.rpartition("/")[2] for reference in table["group"][-3:]]
        assert names == ["g37", "g38", "g39"]


DAMAGE = {
    "no object": lambda nwb: [],
    "no devices": lambda nwb: {**nwb, "Device": []},
    "unknown field": lambda nwb: {**nwb, "NWBFile": {"colour": "blue"}},
    "wrong time": lambda nwb: {**nwb, "NWBFile": {"session_start_time": "noon"}},
    "rows": lambda nwb: {**nwb, "ElectricalSeries": {"raw": {"electrodes": [8] * 8}}},
    "fewer rows": lambda nwb: {**nwb, "ElectricalSeries": {"raw": {"electrodes": [0]}}},
    "no electrodes": lambda nwb: {**nwb, "electrodes": {"id": [], "columns": []}},
    "id": lambda nwb: {**nwb, "electrodes": {**nwb["electrodes"], "id": ["a"] * 8}},
    "dtype": lambda nwb: json.loads(json.dumps(nwb).replace('"bool"', '"O"')),
    "group": lambda nwb: json.loads(json.dumps(nwb).replace('"shank 1", "shank 0"', '"a", "b"')),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_attributes_are_said_in_one_line(full_store, tmp_path, run, damage):
    store = full_store
    for name in (".zattrs", ".zmetadata"):
        content = json.loads((store / name).read_text())
        attributes = content if name == ".zattrs" else content["metadata"][".zattrs"]
        attributes["nwb"] = DAMAGE[damage](attributes["nwb"])
        (store / name).write_text(json.dumps(content))
    error = run("convert", store, tmp_path / "out.nwb", exit_code=1).stderr
    assert error.startswith(f"Error: {store}: ") and error.count("\n") == 1
    assert not (tmp_path / "out.nwb").exists()
    # Its samples are none the worse for it, and nothing else is said.
    (line,) = run("verify", store, exit_code=1).stderr.splitlines()
    assert line.startswith(".zattrs: nwb: ")


def test_numbers_that_json_does_not_have(full_store):
    def refuse(constant):
        pytest.fail(f"{constant} is no JSON")

    content = json.loads((full_store / ".zattrs").read_text(), parse_constant=refuse)
    columns = {one["name"]: one for one in content["nwb"]["electrodes"]["columns"]}
    assert columns["y"]["values"] == ["NaN"] * 8 and columns["z"]["values"] == ["Infinity"] * 8


def test_what_came_from_wav_files_says_nothing_of_nwb(tmp_path):
    wav = write_wav(tmp_path / "rat.wav", make_nwb.samples(2_000))
    n1store.convert(wav, tmp_path / "out.zarr", zarr_format=2)
    root = json.loads((tmp_path / "out.zarr/.zattrs").read_text())
    assert list(root) == ["how_to_read", "n1store"]


@pytest.mark.parametrize(
    ("codec", "in_nwb", "in_zarr"),
    [("n1", "h5py n1store", "zarr n1store"), ("blosc", "h5py hdf5plugin", "zarr")],
)
def test_how_to_read_is_said_where_people_look(tmp_path, codec, in_nwb, in_zarr):
    """Also in a store that is made from another it is said once, and of its own codec."""
    wav = write_wav(tmp_path / "rat.wav", make_nwb.samples(2_000))
    first, path = tmp_path / "first.nwb", tmp_path / "second.nwb"
    n1store.convert(wav, first, codec="gzip")
    assert n1store.convert(first, path, codec=codec, adc=False).lost == []
    words = f"Written by n1store {n1store.__version__}; to read it: pip install"
    with h5py.File(path, "r") as file:
        assert file["acquisition/rat/data"].attrs["how_to_read"] == f"{words} {in_nwb}."
        assert file["acquisition/rat"].attrs["comments"] == f"{words} {in_nwb}. gain unknown"
    assert_valid(path)
    for number in ZARR_FORMATS:
        out = tmp_path / f"{number}.zarr"
        n1store.convert(path, out, codec=codec, adc=False, zarr_format=number)
        root = zarr.open_group(out, mode="r")
        packages = in_zarr.replace("zarr", "'zarr>=3'") if number == 3 else in_zarr
        for node in (root, root["recordings"], root["recordings/rat"]):
            assert node.attrs["how_to_read"] == f"{words} {packages}."
        with n1store.open(out) as store:
            assert store.attributes["readers_need"] == shlex.split(packages)


@pytest.mark.parametrize("way", ["gone", "elsewhere", "no group either"])
def test_a_device_that_is_not_there(run, tmp_path, way):
    """The groups of its electrodes are of one of which nothing is known."""
    path = make_nwb.write_full(tmp_path / "x.nwb")
    with h5py.File(path, "r+") as file:
        if way == "no group either":
            for group in ("shank 0", "shank 1"):
                place = f"general/extracellular_ephys/{group}"
                del file[place].attrs["neurodata_type"], file[place]["device"]
        for name in ("probe A", "probe B"):
            del file[f"general/devices/{name}"]
            if way == "elsewhere":
                file[f"general/devices/{name}"] = h5py.ExternalLink("other.nwb", "/device")
    for name in ("y.zarr", "y.nwb"):
        run("convert", path, tmp_path / name)
    with pynwb.NWBHDF5IO(tmp_path / "y.nwb", "r") as io:
        groups = {group.name for group in io.read().electrodes["group"].data}
    assert groups == ({"electrode_group"} if way == "no group either" else {"shank 0", "shank 1"})


def test_groups_that_hold_themselves(run, tmp_path):
    path = make_nwb.write_full(tmp_path / "x.nwb")
    with h5py.File(path, "r+") as file:
        file["acquisition/raw/loop"] = file["acquisition"]
        file["general/again"] = file["general"]
        group = file.create_group("scratch/0")
        for _ in range(40):  # two ways to each, and so 2**40 to the last
            inner = group.create_group("a")
            group["b"] = inner
            group = inner
    with time_limit(30):
        lines = run("convert", path, tmp_path / "y.nwb").stderr.splitlines()
    assert f"not kept: {path}: acquisition/raw/loop (a link)" in lines
    assert f"not kept: {path}: general/again (a link)" in lines
