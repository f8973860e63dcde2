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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from n1store import __version__
from n1store.errors import N1StoreError, one_line
from n1store.stores.grid import DTYPE

if TYPE_CHECKING:
    from pynwb import NWBFile
    from pynwb.device import Device
    from pynwb.ecephys import ElectricalSeries, ElectrodeGroup

UNKNOWN_START = datetime(1970, 1, 1, tzinfo=UTC)
"""Start of a session of which it is unknown, because NWB wants one; `notes` then says so."""


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
        What it was made from.
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
        """Return the values of all `FIELDS` that are known."""
        options = {
            "session_start_time": self.session_start_time,
            "identifier": self.identifier,
            "session_description": self.session_description,
        }
        known = {name: dict(self.more.get(name, {})) for name in FIELDS}
        known["NWBFile"] |= _parse_section("options", "NWBFile", options)
        known["Subject"] |= _parse_section("options", "Subject", self.subject)
        known["ElectricalSeries"] |= _scale(
            known["ElectricalSeries"], self.gain_to_uv, self.offset_to_uv
        )
        return known


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
    if re.search("[\0\ud800-\udfff]", value):
        raise ValueError("has characters that HDF5 cannot keep")
    return value


def _texts(value: Any) -> list[str]:
    return [_text(one) for one in (value if isinstance(value, list) else [value])]


def _name(value: Any) -> str:
    if _text(value) == "." or re.search(r"[/\\:]", value):
        raise ValueError(f"is no name that NWB allows, without slashes and colons: {value!r}")
    return value


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
        **_parsers(_name, "name model_name"),
        **_parsers(_text, "description manufacturer model_number serial_number"),
    },
    "ElectrodeGroup": {
        **_parsers(_name, "name"),
        **_parsers(_text, "description location device"),
    },
    "ElectricalSeries": {
        **_parsers(_text, "description comments filtering"),
        **_parsers(_number, "conversion offset"),
    },
}
"""The fields of each section of the metadata, and what turns what was written into a value."""

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
        name: _parse_section(path, name, section)
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


def _parse_section(source: Any, name: str, content: Any) -> dict[str, Any]:
    _check_keys(source, name, content, FIELDS[name])
    values = {}
    for key, value in content.items():
        if value is None:
            continue
        try:
            values[key] = FIELDS[name][key](value)
        except ValueError as error:
            raise N1StoreError(f"{source}: {name}: {key} {error}") from None
    return values


def _scale(
    given: dict[str, Any], gain_to_uv: float | None, offset_to_uv: float | None
) -> dict[str, Any]:
    """Return conversion, offset and comments of each series: volts, as far as they are known."""
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
    if conversion is not None:
        return {"conversion": conversion, "offset": offset or 0.0}
    if offset is not None:
        raise N1StoreError("an offset without a gain says nothing; give the gain too")
    # NWB has no word for an unknown unit. 1 is what it takes where nothing is said, and what
    # readers multiply by without a change; NaN would make them lose the samples, and any small
    # factor would look like volts.
    note = "gain unknown: samples as in the WAV file"
    comments = f"{given['comments']} {note}" if "comments" in given else note
    return {"conversion": 1.0, "offset": 0.0, "comments": comments}


def make_nwbfile(
    series: Sequence[Series], metadata: NwbMetadata, default_identifier: str
) -> NWBFile:
    """Return an NWBFile of these series.

    Each series is in ``acquisition``, and each of its channels is a row of the electrodes table:
    whether channels of two series were the same electrode is not known.

    Parameters
    ----------
    series : sequence of Series
    metadata : NwbMetadata
    default_identifier : str
        To be used if `metadata` has none.
    """
    from pynwb import NWBFile
    from pynwb.file import Subject

    known = metadata.sections()
    nwbfile = NWBFile(**_session(known["NWBFile"], default_identifier))
    nwbfile.subject = Subject(**_subject(known["Subject"]))
    device = _add_device(nwbfile, known["Device"])
    group = _add_group(nwbfile, device, known["ElectrodeGroup"])
    _add_electrodes(nwbfile, group, series)
    start = 0
    for one in series:
        rows = np.arange(start, start + one.shape[1])
        start += one.shape[1]
        made = _electrical_series(nwbfile, one, rows, known["ElectricalSeries"])
        nwbfile.add_acquisition(made)
    return nwbfile


def _session(given: dict[str, Any], default_identifier: str) -> dict[str, Any]:
    unknown: dict[str, Any] = {
        "identifier": default_identifier,
        "session_description": f"Recordings converted from WAV files by n1store {__version__}; "
        "no description of the session was given.",
    }
    if "session_start_time" not in given:
        note = "When the session started is unknown; session_start_time stands for no real time."
        unknown["session_start_time"] = UNKNOWN_START
        given = given | {"notes": f"{given['notes']} {note}" if "notes" in given else note}
    return unknown | given | {"was_generated_by": [["n1store", __version__]]}


def _subject(given: dict[str, Any]) -> dict[str, Any]:
    # nwbinspector takes a file without a subject, or one without id, sex or age, for critically
    # wrong; these are the values that say that they are unknown: U, and an age of 0 days or more.
    unknown = {"subject_id": "unknown", "sex": "U"}
    if "date_of_birth" not in given:
        unknown["age"] = "P0D/"
    unknown["description"] = f"Nothing {'else ' if given else ''}is known of the subject."
    return unknown | given


def _add_device(nwbfile: NWBFile, given: dict[str, Any]) -> Device:
    model = {
        key: given.pop(key)
        for key in ("manufacturer", "model_name", "model_number")
        if key in given
    }
    unknown = {
        "name": _DEVICE,
        "description": f"The device that recorded; nothing {'else ' if given or model else ''}"
        "is known of it.",
    }
    if model:
        given["model"] = nwbfile.create_device_model(
            name=model.get("model_name", "device model"),
            manufacturer=model.get("manufacturer", "unknown"),
            model_number=model.get("model_number"),
            description="The model of the device.",
        )
    return nwbfile.create_device(**unknown | given)


def _add_group(nwbfile: NWBFile, device: Device, given: dict[str, Any]) -> ElectrodeGroup:
    unknown = {
        "name": "electrodes",
        "description": "All electrodes of the file; how they are grouped is unknown.",
        "location": "unknown",
    }
    return nwbfile.create_electrode_group(**unknown | given, device=device)


def _add_electrodes(nwbfile: NWBFile, group: ElectrodeGroup, series: Sequence[Series]) -> None:
    # By columns: add_electrode takes time with the square of the rows, 51 s for 10,000.
    from hdmf.common import VectorData
    from pynwb.ecephys import ElectrodesTable

    names = [name for one in series for name in one.channel_ids]
    columns = {
        "location": ("Location of the electrode.", [group.location] * len(names)),
        "group": ("The group that the electrode is in.", [group] * len(names)),
        "group_name": ("Name of that group.", [group.name] * len(names)),
        "channel_name": ("Name of the channel in its series.", names),
    }
    nwbfile.electrodes = ElectrodesTable(
        id=np.arange(len(names)),
        columns=[
            VectorData(name=name, description=description, data=data)
            for name, (description, data) in columns.items()
        ],
        colnames=list(columns),
    )


def _electrical_series(
    nwbfile: NWBFile, series: Series, rows: np.ndarray, given: dict[str, Any]
) -> ElectricalSeries:
    from hdmf.backends.hdf5 import H5DataIO
    from hdmf.common import DynamicTableRegion
    from pynwb.ecephys import ElectricalSeries

    # File names need not be text.
    source = series.description.encode(errors="replace").decode()
    description = f"{given['description']} {source}" if "description" in given else source
    data = series.data
    if data is None:
        data = H5DataIO(shape=series.shape, dtype=DTYPE)
    return ElectricalSeries(
        **given | {"description": description},
        name=series.name,
        data=data,
        electrodes=DynamicTableRegion(
            name="electrodes",
            description="the channels' electrodes",
            data=rows,
            table=nwbfile.electrodes,
        ),
        starting_time=0.0,
        rate=float(series.sampling_frequency),
    )
