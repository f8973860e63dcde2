"""What an NWB file says about its recordings: what is known, and that the rest is not.

The layout of the metadata file is neuroconv's, as far as it concerns recordings::

    NWBFile:
      session_start_time: 2024-05-17T14:03:00+02:00
      experimenter: ["Doe, Jane"]
    Subject:
      subject_id: A10
      species: Macaca mulatta
    Ecephys:
      Device:
        name: implant
      ElectrodeGroup:
        location: motor cortex
      ElectricalSeries:
        filtering: none

`FIELDS` is all that it may hold. pynwb takes a second to import, so only `make_nwbfile` does.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from n1store import __version__
from n1store.errors import N1StoreError, one_line
from n1store.stores.grid import DTYPE

if TYPE_CHECKING:
    from pynwb import NWBFile
    from pynwb.device import Device, DeviceModel
    from pynwb.ecephys import ElectricalSeries

    from n1store.session.session import Session

UNKNOWN_START = datetime(1970, 1, 1, tzinfo=UTC)
"""Start of a session of which it is unknown, because NWB wants one; `notes` then says so."""

NO_TEXT = "[\0\ud800-\udfff]"
"""Characters, as a regular expression, that HDF5 cannot keep."""


@dataclass(frozen=True)
class Series:
    """What one ElectricalSeries is made from.

    Attributes
    ----------
    name : str
        Of an object in NWB: unique, and without slashes and colons.
    shape : tuple of int
        Samples and channels.
    sampling_frequency : float
        In Hz.
    channel_ids : tuple of str
        One for each channel.
    description : str
        What it was made from; empty if that is not known.
    data : optional
        The samples as pynwb takes them; None for a dataset that is still to be filled.
    """

    name: str
    shape: tuple[int, int]
    sampling_frequency: float
    channel_ids: tuple[str, ...]
    description: str
    data: Any = None


@dataclass(frozen=True)
class NwbMetadata:
    """What the user says of a session; what is None or missing is unknown.

    Attributes
    ----------
    session_start_time : datetime, optional
        Without a time zone it is local time, as everywhere in NWB.
    identifier, session_description : str, optional
    subject : mapping of str
        Fields of `FIELDS` under Subject.
    gain_to_uv, offset_to_uv : float, optional
        Microvolts are ``sample * gain_to_uv + offset_to_uv``.
    more : mapping
        What `load_metadata` returned; it yields to the attributes above.

    Raises
    ------
    N1StoreError
        If an NWB file cannot keep it.
    """

    session_start_time: datetime | None = None
    identifier: str | None = None
    session_description: str | None = None
    subject: Mapping[str, str] = field(default_factory=dict)
    gain_to_uv: float | None = None
    offset_to_uv: float | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sections()  # which is better refused before a conversion than after it

    def sections(self) -> dict[str, dict[str, Any]]:
        """Return the values of all `FIELDS` that the user gave."""
        options = {
            "session_start_time": self.session_start_time,
            "identifier": self.identifier,
            "session_description": self.session_description,
        }
        known = {name: dict(self.more.get(name, {})) for name in FIELDS}
        known["NWBFile"] |= parse_section("options", "NWBFile", options)
        known["Subject"] |= parse_section("options", "Subject", self.subject)
        known["ElectricalSeries"] |= _scale(
            known["ElectricalSeries"], self.gain_to_uv, self.offset_to_uv
        )
        return known

    def over(self, session: Session) -> Session:
        """Return what a session says, with what the user says in its place.

        That holds for each device, group and series of the session.

        Raises
        ------
        N1StoreError
            If a name is given and there are several to which it could belong.
        """
        given = self.sections()
        renamed: dict[str, dict[str, str]] = {}
        for kind, known in (("Device", session.devices), ("ElectrodeGroup", session.groups)):
            name = given[kind].pop("name", None)
            if name and len(known) > 1:
                raise N1StoreError(
                    f"{kind}: name is {name!r}, but the sources have {len(known)}: "
                    f"{', '.join(known)}; leave it out"
                )
            renamed[kind] = {old: name or old for old in known}
        devices, groups = renamed["Device"], renamed["ElectrodeGroup"]
        columns = dict(session.columns)
        if "group" in columns:
            columns["group"] = columns["group"].map(groups.__getitem__)
        location = given["ElectrodeGroup"].get("location")
        if location and "location" in columns:
            columns["location"] = columns["location"].map(lambda _: location)
        series = {
            name: fields | given["ElectricalSeries"] for name, fields in session.series.items()
        }
        if "conversion" in given["ElectricalSeries"]:
            for fields in series.values():
                fields.pop("channel_conversion", None)  # the gain that is given is that of all
        return replace(
            session,
            file=session.file | given["NWBFile"],
            subject=session.subject | given["Subject"],
            devices={
                devices[name]: fields | given["Device"] for name, fields in session.devices.items()
            },
            groups={
                groups[name]: fields
                | given["ElectrodeGroup"]
                | {"device": devices[fields["device"]]}
                for name, fields in session.groups.items()
            },
            columns=columns,
            series=series,
        )


def parse_time(text: str) -> datetime:
    """Return the time that a text in ISO 8601 stands for, local time if it names no zone.

    Raises
    ------
    ValueError
        If it is none, with a message fit to be shown.
    """
    try:
        return _with_zone(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise ValueError(f"is not a time such as 2024-05-17T14:03:00+02:00: {text!r}") from None


def _with_zone(time: datetime) -> datetime:
    return time.astimezone() if time.tzinfo is None else time


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("is not a text")
    if re.search(NO_TEXT, value):
        raise ValueError("has characters that HDF5 cannot keep")
    return value


def _texts(value: Any) -> list[str]:
    return [_text(one) for one in (value if isinstance(value, list) else [value])]


def _name(value: Any) -> str:
    if _text(value) == "." or re.search(r"[/\\:]", value):
        raise ValueError(f"is no name that NWB allows, without slashes and colons: {value!r}")
    return value


def _device_name(value: Any) -> str:
    return _name_but_for("models", value)


def _group_name(value: Any) -> str:
    return _name_but_for("electrodes", value)


def _name_but_for(taken: str, value: Any) -> str:
    if value == taken:
        raise ValueError(f"is what NWB calls something else in the same place: {value!r}")
    return _name(value)


def _age_reference(value: Any) -> str:
    if value not in ("birth", "gestational"):
        raise ValueError(f"is birth or gestational, not {value!r}")
    return value


def _time(value: Any) -> datetime:
    return _with_zone(value) if isinstance(value, datetime) else parse_time(_text(value))


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"is not a number: {value!r}")
    return number


def _numbers(value: Any) -> list[float]:
    return [_number(one) for one in value]


def _software(value: Any) -> list[list[str]]:
    pairs = [_texts(list(pair)) for pair in value]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("is not pairs of a software and its version")
    return pairs


_Parser = Callable[[Any], Any]


def _parsers(parser: _Parser, names: str) -> dict[str, _Parser]:
    return dict.fromkeys(names.split(), parser)


FIELDS: dict[str, dict[str, _Parser]] = {
    "NWBFile": {
        **_parsers(_time, "session_start_time"),
        **_parsers(_text, "identifier session_description session_id experiment_description"),
        **_parsers(_texts, "experimenter keywords related_publications"),
        **_parsers(_text, "lab institution notes protocol surgery pharmacology virus slices"),
        **_parsers(_text, "stimulus_notes data_collection"),
    },
    "Subject": {
        **_parsers(_text, "subject_id species sex age description genotype strain weight"),
        **_parsers(_age_reference, "age__reference"),
        **_parsers(_time, "date_of_birth"),
    },
    "Device": {
        **_parsers(_device_name, "name"),
        **_parsers(_name, "model_name"),
        **_parsers(_text, "description manufacturer model_number serial_number"),
    },
    "ElectrodeGroup": {
        **_parsers(_group_name, "name"),
        **_parsers(_text, "description location device"),
    },
    "ElectricalSeries": {
        **_parsers(_text, "description comments filtering"),
        **_parsers(_number, "conversion offset"),
    },
}
"""The fields of each section of the metadata, and what turns what was written into a value."""

_MORE_FIELDS: dict[str, dict[str, _Parser]] = {
    "NWBFile": {
        **_parsers(_time, "timestamps_reference_time"),
        **_parsers(_text, "source_script source_script_file_name"),
        **_parsers(_software, "was_generated_by"),
    },
    "Device": _parsers(_text, "model_description"),
    "ElectrodeGroup": _parsers(_numbers, "position"),
    "ElectricalSeries": {
        **_parsers(_number, "starting_time resolution"),
        **_parsers(_numbers, "channel_conversion"),
        **_parsers(_text, "electrodes_description"),
    },
}

SESSION_FIELDS = {name: fields | _MORE_FIELDS.get(name, {}) for name, fields in FIELDS.items()}
"""The same with what is only carried over from one NWB file to another."""

_ECEPHYS = ("Device", "ElectrodeGroup", "ElectricalSeries")
_DEVICE = "device"


def load_metadata(path: Path) -> dict[str, Any]:
    """Return the content of a metadata file in YAML: `FIELDS`, as far as they are given.

    Raises
    ------
    N1StoreError
        If it is no such file, or has an unknown key or a wrong value.
    OSError
        If it cannot be read.
    """
    content = _read_yaml(path)
    _check_keys(path, "", content, ("NWBFile", "Subject", "Ecephys"))
    ecephys = content.get("Ecephys") or {}
    _check_keys(path, "Ecephys", ecephys, _ECEPHYS)
    sections = {"NWBFile": content.get("NWBFile"), "Subject": content.get("Subject")}
    for name in _ECEPHYS:
        section = ecephys.get(name)
        # neuroconv has lists of devices and of groups; to which one a channel belongs is not said.
        if isinstance(section, list):
            if len(section) != 1:
                raise N1StoreError(
                    f"{path}: {name} has {len(section)} entries; all channels are in one group "
                    "of one device, so give one"
                )
            section = section[0]
        sections[name] = section
    known = {
        name: parse_section(path, name, section)
        for name, section in sections.items()
        if section is not None
    }
    device = known.get("Device", {}).get("name", _DEVICE)
    group = known.get("ElectrodeGroup", {})
    if group.pop("device", device) != device:
        raise N1StoreError(f"{path}: ElectrodeGroup: device is not {device!r}, the only one")
    return known


def _read_yaml(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import SafeConstructor
    from ruamel.yaml.error import YAMLError

    class Texts(SafeConstructor):
        """Keeps scalars as they are written: a session_id of 007 or 2024-05-17 is a text."""

    for kind in ("bool", "int", "float", "timestamp"):
        Texts.add_constructor(f"tag:yaml.org,2002:{kind}", SafeConstructor.construct_scalar)
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Texts
    try:
        return yaml.load(path.read_bytes())
    except (YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise N1StoreError(f"{path}: is not valid YAML: {one_line(error)}") from error


def _check_keys(source: Any, section: str, content: Any, known: Iterable[str]) -> None:
    place = f"{source}: {section}".rstrip(": ")
    if not isinstance(content, Mapping):
        raise N1StoreError(f"{place}: holds no keys; it may have {', '.join(known)}")
    for key in content:
        if key not in known:
            # What is right somewhere else is as near as what is misspelt.
            homes = [f"{home}: {key}" for home, fields in FIELDS.items() if key in fields]
            homes += [f"Ecephys: {key}"] if key in _ECEPHYS else []
            near = difflib.get_close_matches(str(key), known, n=3, cutoff=0.6) or homes
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known)}"
            raise N1StoreError(f"{place}: has no key {str(key)!r}; {hint}")


def parse_section(
    source: Any, name: str, content: Any, fields: Mapping[str, Mapping[str, _Parser]] = FIELDS
) -> dict[str, Any]:
    """Return the values of a section's fields.

    Raises
    ------
    N1StoreError
        If one is unknown or has a wrong value; the message begins with `source`.
    """
    _check_keys(source, name, content, fields[name])
    values = {}
    for key, value in content.items():
        if value is None:
            continue
        try:
            values[key] = fields[name][key](value)
        except ValueError as error:
            raise N1StoreError(f"{source}: {name}: {key} {error}") from None
    return values


def _scale(
    given: dict[str, Any], gain_to_uv: float | None, offset_to_uv: float | None
) -> dict[str, Any]:
    """Return conversion and offset of each series, to volts, as far as they are given."""
    conversion, offset = given.get("conversion"), given.get("offset")
    try:
        if gain_to_uv is not None:
            conversion = _number(gain_to_uv) / 1e6
        if offset_to_uv is not None:
            offset = _number(offset_to_uv) / 1e6
    except ValueError as error:
        raise N1StoreError(f"gain or offset {error}") from None
    if conversion == 0:
        raise N1StoreError("a gain of 0 leaves nothing of the samples; leave it out if unknown")
    if offset is not None and conversion is None:
        raise N1StoreError("an offset without a gain says nothing; give the gain too")
    scale = {"conversion": conversion, "offset": offset}
    return {key: value for key, value in scale.items() if value is not None}


# What an NWB file says where something is not known, because NWB wants it to say something.
_NO_START = "When the session started is unknown; session_start_time stands for no real time."
_NO_GAIN = "gain unknown"
_UNKNOWN = {
    "NWBFile": {
        "session_description": f"Recordings converted by n1store {__version__}; "
        "no description of the session was given.",
    },
    # nwbinspector takes a file without a subject, or one without id, sex or age, for critically
    # wrong; these are the values that say that they are unknown: U, and an age of 0 days or more.
    "Subject": {
        "subject_id": "unknown",
        "sex": "U",
        "age": "P0D/",
        "description": "Nothing is known of the subject.",
    },
    "Device": {
        "description": "The device that recorded; nothing is known of it.",
        "model_name": "device model",
        "manufacturer": "unknown",
        "model_description": "The model of the device.",
    },
    "ElectrodeGroup": {
        "description": "All electrodes of the file; how they are grouped is unknown.",
        "location": "unknown",
    },
    "ElectricalSeries": {"description": "no description", "comments": "no comments"},
}
_WORDS_THAT_VARY = r"( from WAV files)?|n1store \S+;| else"


def what_is_known(name: str, said: dict[str, Any]) -> dict[str, Any]:
    """Return what a section of an NWB file says but for what only stands there for the unknown."""

    def bare(value: Any) -> Any:
        return re.sub(_WORDS_THAT_VARY, "", value) if isinstance(value, str) else value

    unknown = _UNKNOWN[name]
    known = {
        key: value
        for key, value in said.items()
        if key not in unknown or bare(value) != bare(unknown[key])
    }
    if known.get("session_start_time") == UNKNOWN_START:
        del known["session_start_time"]
        _take_off(known, "notes", _NO_START)
    if _take_off(known, "comments", _NO_GAIN):
        known.pop("conversion", None)
    return known


def _take_off(known: dict[str, Any], key: str, note: str) -> bool:
    """Take a note off the end of a text, if it is there."""
    text = known.get(key, "")
    if not text.endswith(note):
        return False
    known[key] = text.removesuffix(note).rstrip()
    if not known[key]:
        del known[key]
    return True


def _with_note(known: dict[str, Any], key: str, note: str) -> dict[str, Any]:
    return known | {key: " ".join(filter(None, [known.get(key), note]))}


def make_nwbfile(
    series: Sequence[Series],
    metadata: NwbMetadata,
    default_identifier: str,
    session: Session | None = None,
) -> NWBFile:
    """Return an NWBFile of these series.

    Each series is in ``acquisition``. Each channel of which the session does not know the
    electrode is a row of its own in the electrodes table: whether channels of two series were
    the same electrode is not known.

    Parameters
    ----------
    series : sequence of Series
    metadata : NwbMetadata
        Wins over the session.
    default_identifier : str
        To be used if neither has one.
    session : Session, optional
        What the sources say.
    """
    from pynwb import NWBFile
    from pynwb.file import Subject

    from n1store.session.session import Session

    session, _ = (session or Session()).complete({one.name: one.channel_ids for one in series})
    session = metadata.over(session)
    nwbfile = NWBFile(**_file(session.file, default_identifier))
    nwbfile.subject = Subject(**_subject(session.subject))
    for name, fields in session.devices.items():
        _add_device(nwbfile, name, fields)
    for name, fields in session.groups.items():
        _add_group(nwbfile, name, fields)
    _add_electrodes(nwbfile, session)
    for one in series:
        nwbfile.add_acquisition(_electrical_series(nwbfile, one, session.series[one.name]))
    return nwbfile


def _file(known: dict[str, Any], default_identifier: str) -> dict[str, Any]:
    unknown: dict[str, Any] = {"identifier": default_identifier, **_UNKNOWN["NWBFile"]}
    if "session_start_time" not in known:
        unknown["session_start_time"] = UNKNOWN_START
        known = _with_note(known, "notes", _NO_START)
    software = [*known.get("was_generated_by", []), ["n1store", __version__]]
    unique = [list(pair) for pair in dict.fromkeys(map(tuple, software))]
    return unknown | known | {"was_generated_by": unique}


def _subject(known: dict[str, Any]) -> dict[str, Any]:
    unknown = dict(_UNKNOWN["Subject"])
    if "date_of_birth" in known:
        del unknown["age"]
    if known:
        unknown["description"] = "Nothing else is known of the subject."
    return unknown | known


def _add_device(nwbfile: NWBFile, name: str, known: dict[str, Any]) -> Device:
    unknown = _UNKNOWN["Device"]
    keys = "description", "serial_number"
    device: dict[str, Any] = {key: known[key] for key in keys if key in known}
    model = {key: value for key, value in known.items() if key not in device}
    if "description" not in device:
        words = unknown["description"]
        device["description"] = words.replace("nothing", "nothing else") if known else words
    if model:
        device["model"] = _device_model(
            nwbfile,
            name=model.get("model_name", unknown["model_name"]),
            manufacturer=model.get("manufacturer", unknown["manufacturer"]),
            model_number=model.get("model_number"),
            description=model.get("model_description", unknown["model_description"]),
        )
    return nwbfile.create_device(name=name, **device)


def _device_model(nwbfile: NWBFile, **fields: Any) -> DeviceModel:
    """Return the model of these fields, which devices share; one of a name that is taken, anew."""
    name, number = fields["name"], 2
    while fields["name"] in nwbfile.device_models:
        model = nwbfile.device_models[fields["name"]]
        if all(getattr(model, key) == value for key, value in fields.items()):
            return model
        fields["name"] = f"{name}_{number}"
        number += 1
    return nwbfile.create_device_model(**fields)


def _add_group(nwbfile: NWBFile, name: str, known: dict[str, Any]) -> None:
    fields = _UNKNOWN["ElectrodeGroup"] | known
    fields["device"] = nwbfile.devices[fields["device"]]
    nwbfile.create_electrode_group(name=name, **fields)


def _add_electrodes(nwbfile: NWBFile, session: Session) -> None:
    # By columns: add_electrode takes time with the square of the rows, 51 s for 10,000.
    from hdmf.common import VectorData
    from pynwb.ecephys import ElectrodesTable

    columns = []
    for name, column in session.columns.items():
        data: Any = column.values
        if name == "group":
            data = [nwbfile.electrode_groups[group] for group in data]
        columns.append(VectorData(name=name, description=column.description, data=data))
        if name == "group":
            words = "Name of that group."
            columns.append(VectorData(name="group_name", description=words, data=column.values))
    nwbfile.electrodes = ElectrodesTable(
        id=session.ids, columns=columns, colnames=[column.name for column in columns]
    )


def _electrical_series(nwbfile: NWBFile, series: Series, known: dict[str, Any]) -> ElectricalSeries:
    from hdmf.backends.hdf5 import H5DataIO
    from hdmf.common import DynamicTableRegion
    from pynwb.ecephys import ElectricalSeries

    # File names need not be text.
    source = series.description.encode(errors="replace").decode()
    if source:
        known = _with_note(known, "description", source)
    # NWB has no word for an unknown unit. 1 is what it takes where nothing is said, and what
    # readers multiply by without a change; NaN would make them lose the samples, and any small
    # factor would look like volts.
    if not known.keys() & {"conversion", "channel_conversion"}:
        known = _with_note(known, "comments", _NO_GAIN)
    fields = {"starting_time": 0.0, **known}
    electrodes = DynamicTableRegion(
        name="electrodes",
        description=fields.pop("electrodes_description", "electrodes"),
        data=np.array(fields.pop("electrodes"), int),
        table=nwbfile.electrodes,
    )
    data = series.data
    if data is None:
        data = H5DataIO(shape=series.shape, dtype=DTYPE)
    return ElectricalSeries(
        **fields,
        name=series.name,
        data=data,
        electrodes=electrodes,
        rate=float(series.sampling_frequency),
    )
