"""What NWB files say of a session: what the options and a metadata file do, and nothing else."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import h5py
import numpy as np
import pynwb
import pytest
from nwbinspector import Importance, inspect_nwbfile

import n1store
from make_wav import on_grid, write_wav
from n1store.errors import N1StoreError
from n1store.session.fields import parse_time
from n1store.session.metadata import NwbMetadata, load_metadata
from n1store.stores.nwb.build import Series, make_nwbfile
from n1store.stores.nwb.unknown import UNKNOWN_START

EVERYTHING = """
NWBFile:
  session_start_time: 2024-05-17T14:03:00+02:00
  session_description: Rest.
  identifier: rest-7
  session_id: 007
  experimenter: ["Doe, Jane", "Roe, Richard"]
  experiment_description: Recordings at rest.
  institution: A university
  lab: A laboratory
  keywords: [rest, cortex]
  notes: ~
Subject:
  subject_id: A10
  species: Macaca mulatta
  sex: F
  age: P4Y
  description: A subject.
  weight: 7.5 kg
Ecephys:
  Device:
    - name: implant
      manufacturer: A maker
      model_name: N1
      serial_number: 0012
  ElectrodeGroup:
    - name: threads
      description: All threads.
      location: motor cortex
      device: implant
  ElectricalSeries:
    description: Raw.
    comments: Quiet.
    filtering: none
"""


MOUSE = ["--subject-species", "Mus musculus"]
WORM = ["--subject-species", "Caenorhabditis elegans"]


def make_series(name="rec", num_samples=300, num_channels=2):
    channel_ids = tuple(f"ch{channel}" for channel in range(num_channels))
    return Series(name, (num_samples, num_channels), 19531, channel_ids, f"{name}.wav")


@pytest.fixture
def write(tmp_path):
    """Write a complete file, the placeholders filled; return its path and the samples."""

    def write(series, metadata):
        path = tmp_path / "out.nwb"
        rng = np.random.default_rng(0)
        samples = {one.name: rng.integers(-(2**15), 2**15, one.shape, "<i2") for one in series}
        with pynwb.NWBHDF5IO(path, "w") as io:
            io.write(make_nwbfile(series, metadata, "made-up"))
        with h5py.File(path, "r+") as file:
            for name, values in samples.items():
                dataset = file[f"acquisition/{name}/data"]
                assert dataset.dtype == "<i2"
                dataset[...] = values
        return path, samples

    return write


@pytest.fixture
def load(tmp_path):
    """Write a metadata file of this text and load it."""

    def load(text):
        path = tmp_path / "metadata.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_metadata(path)

    return load


def remarks(path):
    assert pynwb.validate(path=str(path)) == []
    return list(inspect_nwbfile(nwbfile_path=str(path)))


def test_what_is_unknown_is_said_to_be_unknown(write):
    path, samples = write([make_series("a"), make_series("b", 400, 1)], NwbMetadata())
    found = remarks(path)
    assert not [remark for remark in found if remark.importance == Importance.CRITICAL]
    # Each of these is true of recordings of which nothing is known.
    assert {remark.check_function_name for remark in found} == {
        "check_electrical_series_unscaled_data",
        "check_experiment_description",
        "check_experimenter_exists",
        "check_institution",
        "check_keywords",
        "check_session_start_time_old_date",
        "check_subject_species_exists",
    }
    with pynwb.NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        assert nwbfile.identifier == "made-up"
        assert nwbfile.session_start_time == UNKNOWN_START
        assert "unknown" in nwbfile.notes
        assert "no description" in nwbfile.session_description
        assert nwbfile.subject.subject_id == "unknown" and nwbfile.subject.sex == "U"
        assert nwbfile.subject.species is None
        assert set(nwbfile.electrodes["location"].data[:]) == {"unknown"}
        (group,) = nwbfile.electrode_groups.values()
        assert nwbfile.electrodes["group"][0] is group
        assert (group.location, group.device.name) == ("unknown", "device")
        for name, values in samples.items():
            series = nwbfile.acquisition[name]
            assert "unknown" in series.comments and name in series.description
            assert (series.conversion, series.offset, series.rate) == (1, 0, 19531)
            assert np.array_equal(series.data[:], values)


def test_nothing_is_left_to_remark_where_everything_is_known(write, load):
    metadata = NwbMetadata(more=load(EVERYTHING), gain_to_uv=0.195, offset_to_uv=-3.0)
    path, samples = write([make_series()], metadata)
    assert remarks(path) == []
    with pynwb.NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        start = datetime(2024, 5, 17, 12, 3, tzinfo=UTC)
        assert nwbfile.session_start_time == start
        assert nwbfile.session_start_time.utcoffset() == timedelta(hours=2)
        assert nwbfile.session_id == "007"
        assert list(nwbfile.experimenter) == ["Doe, Jane", "Roe, Richard"]
        assert nwbfile.notes is None
        assert nwbfile.subject.weight == "7.5 kg"
        device = nwbfile.devices["implant"]
        assert (device.serial_number, device.model.name) == ("0012", "N1")
        assert device.model.manufacturer == "A maker"
        group = nwbfile.electrode_groups["threads"]
        assert group.device is device
        assert nwbfile.electrodes["group"][0] is group
        assert set(nwbfile.electrodes["location"].data[:]) == {"motor cortex"}
        series = nwbfile.acquisition["rec"]
        assert series.description == "Raw. rec.wav"
        assert (series.comments, series.filtering) == ("Quiet.", "none")
        volts = (samples["rec"] * 0.195 - 3.0) * 1e-6
        assert np.allclose(series.get_data_in_units(), volts, rtol=1e-12, atol=0)


def test_options_win_over_the_file(load):
    text = EVERYTHING + "    conversion: 2e-6\n    offset: 1e-3\n"
    metadata = NwbMetadata(
        session_start_time=datetime(2025, 1, 1, tzinfo=UTC),
        identifier="mine",
        session_description="Mine.",
        subject={"subject_id": "B7", "date_of_birth": "2020-02-02"},
        gain_to_uv=4.0,
        more=load(text),
    )
    nwbfile = make_nwbfile([make_series()], metadata, "made-up")
    assert nwbfile.session_start_time == datetime(2025, 1, 1, tzinfo=UTC)
    assert (nwbfile.identifier, nwbfile.session_description) == ("mine", "Mine.")
    assert (nwbfile.subject.subject_id, nwbfile.subject.sex) == ("B7", "F")
    assert nwbfile.subject.date_of_birth.year == 2020
    assert nwbfile.acquisition["rec"].conversion == 4e-6
    assert nwbfile.acquisition["rec"].offset == 1e-3


def test_conversion_from_the_file(load):
    more = load("Ecephys: {ElectricalSeries: {conversion: 2.5e-7, comments: Loud.}}")
    series = make_nwbfile([make_series()], NwbMetadata(more=more), "id").acquisition["rec"]
    assert (series.conversion, series.offset, series.comments) == (2.5e-7, 0, "Loud.")
    more = load("Ecephys: {ElectricalSeries: {comments: Loud.}}")
    series = make_nwbfile([make_series()], NwbMetadata(more=more), "id").acquisition["rec"]
    assert series.comments.startswith("Loud. gain unknown")


def test_notes_are_kept_beside_the_unknown_start(load):
    more = load("NWBFile: {notes: Rain.}")
    nwbfile = make_nwbfile([make_series()], NwbMetadata(more=more), "id")
    assert nwbfile.notes.startswith("Rain. When the session started is unknown")
    start = datetime(2025, 1, 1, tzinfo=UTC)
    nwbfile = make_nwbfile([make_series()], NwbMetadata(start, more=more), "id")
    assert nwbfile.notes == "Rain."


@pytest.mark.parametrize(("num_series", "num_channels"), [(1, 1), (743, 1), (10, 1024)])
def test_each_channel_is_an_electrode(num_series, num_channels):
    series = [make_series(f"rec-{i}", 2000, num_channels) for i in range(num_series)]
    nwbfile = make_nwbfile(series, NwbMetadata(), "id")
    assert len(nwbfile.electrodes) == num_series * num_channels
    rows = np.concatenate([nwbfile.acquisition[one.name].electrodes.data[:] for one in series])
    assert np.array_equal(rows, nwbfile.electrodes.id[:])
    assert nwbfile.electrodes["channel_name"].data[-1] == f"ch{num_channels - 1}"


def test_a_recording_without_samples(write):
    path, _ = write([make_series(num_samples=0)], NwbMetadata())
    assert pynwb.validate(path=str(path)) == []
    with pynwb.NWBHDF5IO(path, "r") as io:
        assert io.read().acquisition["rec"].data.shape == (0, 2)


def test_a_source_that_is_not_text(write):
    source = b"caf\xe9.wav".decode(errors="surrogateescape")
    path, _ = write([Series("rec", (300, 1), 19531.0, ("0",), source)], NwbMetadata())
    with pynwb.NWBHDF5IO(path, "r") as io:
        assert io.read().acquisition["rec"].description == "caf?.wav"


# Ten lines, of which each has ten times as many texts as the one before.
MANY_ALIASES = "NWBFile:\n  a0: &a0 [lol]\n" + "".join(
    f"  a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["holds no keys", "NWBFile, Subject, Ecephys"]),
        ("- a", ["holds no keys"]),
        ("NWBFiel: {}", ["'NWBFiel'", "did you mean NWBFile?"]),
        ("Device: {name: a}", ["'Device'", "did you mean Ecephys: Device?"]),
        ("species: Homo sapiens", ["'species'", "did you mean Subject: species?"]),
        ("NWBFile: text", ["NWBFile", "holds no keys", "session_start_time"]),
        ("Subject: {specie: Homo sapiens}", ["Subject", "'specie'", "did you mean species?"]),
        ("Subject: {1: a}", ["Subject", "'1'"]),
        ("Ecephys: {ElectrodeGrup: {}}", ["Ecephys", "did you mean ElectrodeGroup?"]),
        ("Ecephys: {Device: [{name: a}, {name: b}]}", ["Device", "2 entries", "give one"]),
        ("Ecephys: {Device: []}", ["Device", "0 entries"]),
        ("Ecephys: {Device: [a]}", ["Device", "holds no keys"]),
        ("Ecephys: {Device: {name: a/b}}", ["Device: name", "'a/b'"]),
        ("Ecephys: {Device: {name: models}}", ["Device: name is what NWB calls", "'models'"]),
        ("Ecephys: {ElectrodeGroup: {name: electrodes}}", ["name is what NWB calls"]),
        ("Ecephys: {Device: {name: .}}", ["Device: name is no name"]),
        ("Ecephys: {Device: {name: a}, ElectrodeGroup: {device: b}}", ["device is not 'a'"]),
        ("Ecephys: {ElectricalSeries: {offset: low}}", ["offset is not a number", "'low'"]),
        ("Ecephys: {ElectricalSeries: {offset: .inf}}", ["offset is not a number"]),
        ("Ecephys: {ElectricalSeries: {conversion: [1]}}", ["conversion is not a number"]),
        ("NWBFile: {session_start_time: today}", ["session_start_time is not a time", "'today'"]),
        ("NWBFile: {session_start_time: 2024-13-01}", ["session_start_time is not a time"]),
        ("NWBFile: {lab: [a]}", ["NWBFile: lab is not a text"]),
        ("NWBFile: {lab: ''}", ["NWBFile: lab is empty"]),
        ('NWBFile: {lab: "a\\0b"}', ["lab has characters"]),
        ("NWBFile: {keywords: [a, {b: c}]}", ["keywords is not a text"]),
        ("NWBFile: {keywords: &a [*a]}", ["not valid YAML", "write that out"]),
        (MANY_ALIASES, ["not valid YAML", "write that out"]),
        ("Subject: {age__reference: death}", ["age__reference is birth or gestational"]),
        ("NWBFile: {lab: a, lab: b}", ["not valid YAML", "duplicate key"]),
        ("NWBFile: {lab: a", ["not valid YAML"]),
        ("NWBFile: {}\n---\nNWBFile: {}", ["not valid YAML", "single document"]),
        ("NWBFile: {lab: !!python/object/apply:os.getcwd []}", ["not valid YAML", "os.getcwd"]),
        (b"NWBFile: {lab: caf\xe9}", ["not valid YAML"]),
        (b"\0", ["not valid YAML"]),
        ("[" * 1_000, ["not valid YAML"]),
    ],
)
def test_wrong_files_are_refused_in_one_line(load, text, words):
    with pytest.raises(N1StoreError) as error:
        load(text)
    message = str(error.value)
    assert "metadata.yaml: " in message and "\n" not in message
    assert all(word in message for word in words), message


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_metadata(tmp_path / "none.yaml")


def test_empty_sections_say_nothing(load):
    assert load("NWBFile:\nSubject:\nEcephys:\n") == {}
    assert load("Ecephys:\n  Device: {name: ~}\n") == {"Device": {}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gain_to_uv": 0.0}, "gain of 0"),
        ({"gain_to_uv": float("nan")}, "not a number"),
        ({"gain_to_uv": 1.0, "offset_to_uv": float("inf")}, "not a number"),
        ({"offset_to_uv": 1.0}, "offset without a gain"),
        ({"subject": {"specie": "Homo sapiens"}}, "did you mean species"),
        ({"subject": {"date_of_birth": "spring"}}, "date_of_birth is not a time"),
        ({"identifier": " "}, "identifier is empty"),
        ({"subject": {"species": ""}}, "species is empty; leave it out"),
        ({"subject": {"sex": ""}}, "sex is empty"),
        ({"subject": {"age": "P7Y/P3Y"}}, "a range that does not increase: 'P7Y/P3Y'"),
        ({"subject": {"age": "PT36H/P1D"}}, "a range that does not increase"),
        ({"subject": {"sex": "male"}}, "sex is M, F, U .* not 'male'"),
        ({"subject": {"age": "30"}}, "age is a duration such as P7Y .* not '30'"),
        ({"subject": {"age": "P"}}, "not 'P'"),
        ({"subject": {"age": "P1D/spring"}}, "not 'P1D/spring'"),
        ({"subject": {"species": "mouse"}}, "not 'mouse'"),
        ({"subject": {"species": "Mus Musculus"}}, "not 'Mus Musculus'"),
        ({"subject": {"subject_id": "A/B"}}, "has a slash"),
        ({"subject": {"weight": "20"}}, "not '20'"),
        ({"session_start_time": datetime(2999, 1, 1, tzinfo=UTC)}, "is in the future"),
        ({"session_description": "\udce9"}, "session_description has characters"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(N1StoreError, match=words):
        NwbMetadata(**options)


@pytest.mark.parametrize("age", ["P3Y/P7Y", "P90D/P1Y", "PT12H/P1D", "P1D/", "P6M2W/P7M"])
def test_ranges_of_ages(age):
    NwbMetadata(subject={"age": age})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--subject-sex", "XX"], "sex is XX of the species Caenorhabditis elegans only"),
        (["--subject-sex", "XO", *MOUSE], "sex is XO of the species"),
        (["--subject-sex", "M", *WORM], "sex is XX or XO of the species"),
        (["--metadata", "born.yaml"], "date_of_birth is after the start of the session"),
        (["--subject-species", ""], "species is empty"),
        ([*WORM, "--subject-sex", "XX"], ""),
        ([*WORM, "--subject-sex", "U"], ""),
    ],
)
def test_what_cannot_all_be_true_is_refused(run, fails, tmp_path, monkeypatch, options, words):
    """As nwbinspector has it."""
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / "a.wav", on_grid(900), 1000)
    (tmp_path / "born.yaml").write_text(
        "NWBFile: {session_start_time: 2024-05-17T14:03:00+02:00}\n"
        "Subject: {date_of_birth: 2024-05-18T00:00:00+02:00}\n"
    )
    convert = "convert", "a.wav", "x.nwb", *options
    if words:
        fails(*convert, words=[words])
        assert not (tmp_path / "x.nwb").exists()
    else:
        run(*convert)


def test_what_the_source_says_counts_too(fails, run, tmp_path):
    write_wav(tmp_path / "a.wav", on_grid(900), 1000)
    run("convert", tmp_path / "a.wav", tmp_path / "x.nwb", *WORM)
    convert = "convert", tmp_path / "x.nwb", tmp_path / "y.nwb"
    fails(*convert, "--subject-sex", "F", words=["sex is XX or XO"])
    run(*convert, "--subject-sex", "XX")


@pytest.mark.parametrize("gain", [0.2, 0.195, 1.17, 0.003, 4.8828125])
def test_gains_are_the_decimal_numbers_that_were_given(tmp_path, gain):
    write_wav(tmp_path / "a.wav", on_grid(900), 1000)
    for name in ("x.nwb", "x.zarr"):
        n1store.convert(tmp_path / "a.wav", tmp_path / name, nwb=NwbMetadata(gain_to_uv=gain))
        with n1store.open(tmp_path / name) as store:
            assert store["a"].gain_to_uV[0] == gain
    with h5py.File(tmp_path / "x.nwb") as file:
        assert file["acquisition/a/data"].attrs["conversion"] == float(f"{gain}e-6")


def test_starting_times_are_unknown_where_all_are_0(run, run_json, tmp_path):
    for name in "ab":
        write_wav(tmp_path / "in" / f"{name}.wav", on_grid(900), 1000)
    convert = "convert", tmp_path / "in", tmp_path / "x.nwb", *OPTIONS, "--overwrite"
    assert run_json(*convert)["unknown"] == ["starting_times"]
    said = run(*convert).stdout
    assert "unknown           starting times\n" in said and "say it" not in said


def test_times_without_a_zone_are_local(monkeypatch):
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    try:
        summer = parse_time("2024-07-01 12:00")
        winter = parse_time("2024-01-01T12:00:00")
        metadata = NwbMetadata(session_start_time=datetime(2024, 7, 1, 12))
        made = make_nwbfile([make_series()], metadata, "id").session_start_time
    finally:
        monkeypatch.undo()
        time.tzset()
    assert summer == made == datetime(2024, 7, 1, 19, tzinfo=UTC)
    assert winter == datetime(2024, 1, 1, 20, tzinfo=UTC)
    assert parse_time("2024-07-01T12:00:00Z") == datetime(2024, 7, 1, 12, tzinfo=UTC)
    with pytest.raises(ValueError, match="is not a time such as"):
        parse_time("noon")


def test_nothing_slow_is_imported_before_it_is_needed():
    script = (
        "import sys, n1store.session.metadata\n"
        "assert not {'pynwb', 'hdmf', 'pandas', 'h5py', 'ruamel.yaml'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


# Through the command line

METADATA = """
NWBFile:
  session_id: 007
  experimenter: ["Doe, Jane"]
  institution: A university
  experiment_description: Recordings at rest.
  keywords: [rest]
  session_description: replaced by the option
Subject:
  strain: A strain
Ecephys:
  Device: {name: implant, manufacturer: A maker}
  ElectrodeGroup: {name: threads, location: motor cortex}
  ElectricalSeries: {filtering: none}
"""
OPTIONS = [
    *("--session-start-time", "2024-05-17T14:03:00+02:00"),
    *("--identifier", "session-7"),
    *("--session-description", "At rest."),
    *("--subject-id", "A10"),
    *("--subject-species", "Macaca mulatta"),
    *("--subject-sex", "F"),
    *("--subject-age", "P4Y"),
    *("--subject-description", "A subject."),
    *("--gain-to-uv", 0.25),
    *("--offset-to-uv", -2),
]
LAYOUTS = {
    "recordings": {"a": on_grid(900), "b": on_grid(700, 3)},
    "channels": {"a": on_grid(900), "b": on_grid(900, 3)},
}


@pytest.mark.parametrize("metadata", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_file_is_valid(run, tmp_path, layout, metadata):
    for name, samples in LAYOUTS[layout].items():
        write_wav(tmp_path / "in" / f"{name}.wav", samples, 19_531)
    path = tmp_path / "x.nwb"
    options = []
    if metadata:
        (tmp_path / "metadata.yaml").write_text(METADATA)
        options = [*OPTIONS, "--metadata", tmp_path / "metadata.yaml"]
    run("convert", tmp_path / "in", path, "--layout", layout, *options)
    found = remarks(path)
    assert not [remark for remark in found if remark.importance == Importance.CRITICAL]
    if metadata:
        assert found == []
    assert n1store.verify(path, [tmp_path / "in"]).problems == []


def test_what_nobody_has_said_is_listed(run, run_json, tmp_path):
    wav = write_wav(tmp_path / "a.wav", on_grid(900), 1000)
    unknown = ["session_start_time", "subject_id", "subject_species", "subject_sex", "subject_age"]
    unknown += ["gain_to_uv"]
    path = tmp_path / "x.nwb"
    said = run("convert", wav, path).stdout
    assert "unknown           session start time, subject id, " in said and ", gain\n" in said
    for name in unknown:
        assert f"--{name.replace('_', '-')}" in said
    convert = "convert", path, tmp_path / "y.nwb", "--overwrite"
    assert run_json(*convert)["unknown"] == unknown
    assert run_json(*convert, *OPTIONS)["unknown"] == []
    run("convert", wav, path, "--overwrite", "--gain-to-uv", 2, "--subject-sex", "F")
    assert run_json(*convert)["unknown"] == [*unknown[:3], "subject_age"]
    assert run_json("convert", wav, tmp_path / "x.zarr")["unknown"] == []


def test_metadata_arrive_in_the_file(run, tmp_path):
    samples = on_grid(2013)
    write_wav(tmp_path / "a.wav", samples, 1000)
    (tmp_path / "metadata.yaml").write_text(METADATA)
    path = tmp_path / "x.nwb"
    metadata = "--metadata", tmp_path / "metadata.yaml"
    run("convert", tmp_path / "a.wav", path, *OPTIONS, *metadata)
    file = pynwb.read_nwb(path)
    assert file.session_start_time == datetime(2024, 5, 17, 12, 3, tzinfo=UTC)
    assert (file.identifier, file.session_description) == ("session-7", "At rest.")
    assert (file.session_id, file.institution) == ("007", "A university")
    assert list(file.experimenter) == ["Doe, Jane"]
    subject = file.subject
    assert (subject.subject_id, subject.species, subject.sex) == ("A10", "Macaca mulatta", "F")
    assert (subject.age, subject.description, subject.strain) == ("P4Y", "A subject.", "A strain")
    assert file.devices["implant"].model.manufacturer == "A maker"
    assert file.electrode_groups["threads"].location == "motor cortex"
    series = file.acquisition["a"]
    assert series.filtering == "none"
    assert (series.conversion, series.offset) == (0.25e-6, -2e-6)
    volts = (samples * 0.25 - 2) * 1e-6
    np.testing.assert_allclose(series.get_data_in_units(), volts, rtol=1e-9)


def test_what_is_wrong_with_the_metadata_file_is_said(fails, tmp_path):
    source = write_wav(tmp_path / "a.wav", on_grid(20))
    path = tmp_path / "metadata.yaml"
    for text, word in (("Subject: {specie: a}", "species"), ("{", "YAML"), ("", "no keys")):
        path.write_text(text)
        arguments = "convert", source, tmp_path / "x.nwb", "--metadata", path
        fails(*arguments, words=[path, word])
    assert sorted(tmp_path.iterdir()) == [source, path]
