"""What the user says of a session, in options and in a file of YAML.

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

`n1store.session.fields.FIELDS` is all that it may hold.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from n1store.errors import N1StoreError, one_line
from n1store.regular import read_small
from n1store.session.fields import (
    ECEPHYS,
    FIELDS,
    ZoneOfThisMachine,
    check_keys,
    check_subject,
    parse_number,
    parse_section,
    to_volts,
)
from n1store.session.session import Session

_log = logging.getLogger(__name__)


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

    @property
    def is_scale(self) -> bool:
        """Whether it says nothing but a gain and an offset."""
        said = {key for fields in self.sections().values() for key in fields}
        return said <= {"conversion", "offset"}

    def warn_of_zones(self) -> None:
        """Log which time zone was taken for each time that names none."""
        given = self.sections()
        for key, time in (given["NWBFile"] | given["Subject"]).items():
            if isinstance(time, datetime) and isinstance(time.tzinfo, ZoneOfThisMachine):
                _log.warning("%s: names no time zone; that of this machine is taken: %s", key, time)

    def over(self, session: Session) -> Session:
        """Return what a session says, with what the user says in its place.

        That holds for each device, group and series of the session.

        Raises
        ------
        N1StoreError
            If a name is given and there are several to which it could belong, or if what is said of
        the subject cannot all be true.
        """
        given = self.sections()
        file, subject = session.file | given["NWBFile"], session.subject | given["Subject"]
        if given["NWBFile"] or given["Subject"]:
            check_subject(file, subject)
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
            file=file,
            subject=subject,
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


_DEVICE = "device"
_MOST_BYTES = 1 << 20


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
    check_keys(path, "", content, ("NWBFile", "Subject", "Ecephys"))
    ecephys = content.get("Ecephys") or {}
    check_keys(path, "Ecephys", ecephys, ECEPHYS)
    sections = {"NWBFile": content.get("NWBFile"), "Subject": content.get("Subject")}
    for name in ECEPHYS:
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
    from ruamel.yaml.composer import Composer
    from ruamel.yaml.constructor import SafeConstructor
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.events import AliasEvent

    class Texts(SafeConstructor):
        """Keeps scalars as they are written: a session_id of 007 or 2024-05-17 is a text."""

    class NoAliases(Composer):
        """Refuses references to what stands elsewhere, of which a few lines can make gigabytes."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.parser.check_event(AliasEvent):
                raise YAMLError("it refers to another place in it, with *; write that out")
            return super().compose_node(parent, index)

    for kind in ("bool", "int", "float", "timestamp"):
        Texts.add_constructor(f"tag:yaml.org,2002:{kind}", SafeConstructor.construct_scalar)
    content = read_small(path, _MOST_BYTES)
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor, yaml.Composer = Texts, NoAliases
    try:
        return yaml.load(content)
    except RecursionError:
        raise N1StoreError(f"{path}: is not valid YAML: it is nested too deeply") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise N1StoreError(f"{path}: is not valid YAML: {one_line(error)}") from error


def _scale(
    given: dict[str, Any], gain_to_uv: float | None, offset_to_uv: float | None
) -> dict[str, Any]:
    """Return conversion and offset of each series, to volts, as far as they are given."""
    conversion, offset = given.get("conversion"), given.get("offset")
    try:
        if gain_to_uv is not None:
            conversion = to_volts(parse_number(gain_to_uv))
        if offset_to_uv is not None:
            offset = to_volts(parse_number(offset_to_uv))
    except ValueError as error:
        raise N1StoreError(f"gain or offset {error}") from None
    if conversion == 0:
        raise N1StoreError("a gain of 0 leaves nothing of the samples; leave it out if unknown")
    if offset is not None and conversion is None:
        raise N1StoreError("an offset without a gain says nothing; give the gain too")
    scale = {"conversion": conversion, "offset": offset}
    return {key: value for key, value in scale.items() if value is not None}
