"""The fields of what is said of a session, by section, and what turns a text into their values.

Sections and fields have the names of NWB and of neuroconv's metadata.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from n1store.errors import N1StoreError

NO_TEXT = "[\0\ud800-\udfff]"
"""Characters, as a regular expression, that HDF5 cannot keep."""


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
    return time if time.tzinfo else time.replace(tzinfo=ZoneOfThisMachine(time.astimezone()))


class ZoneOfThisMachine(tzinfo):
    """The zone of a time that named none, as this machine had it then."""

    def __init__(self, local: datetime):
        self._local = local

    def utcoffset(self, _: datetime | None) -> timedelta | None:
        return self._local.utcoffset()

    def tzname(self, _: datetime | None) -> str | None:
        return self._local.tzname()

    def dst(self, _: datetime | None) -> timedelta | None:
        return None

    def __getinitargs__(self) -> tuple[datetime]:
        return (self._local,)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("is not a text")
    if re.search(NO_TEXT, value):
        raise ValueError("has characters that HDF5 cannot keep")
    return value


def _texts(value: Any) -> list[str]:
    return [_text(one) for one in (value if isinstance(value, list) else [value])]


def _name(value: Any) -> str:
    name = _text(value)
    if name == "." or re.search(r"[/\\:]", name):
        raise ValueError(f"is no name that NWB allows, without slashes and colons: {value!r}")
    return name


def _device_name(value: Any) -> str:
    return _name_but_for("models", value)


def _group_name(value: Any) -> str:
    return _name_but_for("electrodes", value)


def _name_but_for(taken: str, value: Any) -> str:
    if value == taken:
        raise ValueError(f"is what NWB calls something else in the same place: {value!r}")
    return _name(value)


_SEXES = ("M", "F", "U", "O", "XX", "XO")


_NEMATODE = "Caenorhabditis elegans"


def _sex(value: Any) -> str:
    if value not in _SEXES:
        raise ValueError(f"is M, F, U (unknown) or O (other), not {value!r}")
    return str(value)


_DURATION = r"P(?=\d|T\d){}(T(?=\d){})?".format(
    *("".join(rf"(\d+(\.\d+)?{unit})?" for unit in units) for units in ("YMWD", "HMS"))
)


def _age(value: Any) -> str:
    """Return a duration in ISO 8601, or two with a slash, of which the second may be missing."""
    if not re.fullmatch(f"{_DURATION}(/({_DURATION})?)?", _text(value)):
        raise ValueError(f"is a duration such as P7Y (years) or P90D (days), not {value!r}")
    low, _, high = str(value).partition("/")
    if high and _days(low) >= _days(high):
        raise ValueError(f"is a range that does not increase: {value!r}")
    return str(value)


def _days(duration: str) -> float:
    """Return about how many days a duration in ISO 8601 has."""
    date, _, time = duration.partition("T")
    lengths = (
        (date, {"Y": 365.25, "M": 30.5, "W": 7, "D": 1}),
        (time, {"H": 1 / 24, "M": 1 / 1440, "S": 1 / 86_400}),
    )
    return sum(
        float(number) * days[unit]
        for text, days in lengths
        for number, unit in re.findall(r"([\d.]+)([YMWDHS])", text)
    )


def _age_reference(value: Any) -> str:
    if value not in ("birth", "gestational"):
        raise ValueError(f"is birth or gestational, not {value!r}")
    return str(value)


def _id(value: Any) -> str:
    if re.search(r"[/\\]", _text(value)):
        raise ValueError(f"has a slash, which archives do not allow: {value!r}")
    return str(value)


def _species(value: Any) -> str:
    """Return a Latin name of two words, or the address of one in NCBI's taxonomy."""
    taxon = r"http://purl\.obolibrary\.org/obo/NCBITaxon_\d+"
    if not re.fullmatch(f"[A-Z][a-z]* [a-z]+|{taxon}", _text(value)):
        raise ValueError(f"is a Latin name such as Macaca mulatta, not {value!r}")
    return str(value)


def _weight(value: Any) -> str:
    if not re.fullmatch(r"\d+(\.\d+)? [kmuμnp]?g", _text(value)):
        raise ValueError(f"is a number and a unit such as 0.02 kg, not {value!r}")
    return str(value)


def _past(value: Any) -> datetime:
    time = _time(value)
    if time > datetime.now(UTC):
        raise ValueError(f"is in the future: {time}")
    return time


def _time(value: Any) -> datetime:
    return _with_zone(value) if isinstance(value, datetime) else parse_time(_text(value))


def parse_number(value: Any) -> float:
    """Return a finite number; ValueError, with a message fit to be shown, if it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"is not a number: {value!r}")
    return number


def to_volts(microvolts: float) -> float:
    """Return the volts of this decimal number: those of 0.2 are 2e-07, and nothing beside it."""
    return float(Decimal(repr(float(microvolts))).scaleb(-6))


def to_microvolts(volts: float) -> float:
    """Return the microvolts of this decimal number; what `to_volts` has given comes back."""
    return float(Decimal(repr(float(volts))).scaleb(6))


def _volts(value: Any) -> float:
    volts = parse_number(value)
    if not math.isfinite(to_microvolts(volts)):
        raise ValueError(f"is no number of volts that anything has: {volts}")
    return volts


def _numbers(value: Any) -> list[float]:
    return [parse_number(one) for one in value]


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
        **_parsers(_past, "session_start_time"),
        **_parsers(_text, "identifier session_description experiment_description"),
        **_parsers(_id, "session_id"),
        **_parsers(_texts, "experimenter keywords related_publications"),
        **_parsers(_text, "lab institution notes protocol surgery pharmacology virus slices"),
        **_parsers(_text, "stimulus_notes data_collection"),
    },
    "Subject": {
        **_parsers(_id, "subject_id"),
        **_parsers(_species, "species"),
        **_parsers(_weight, "weight"),
        **_parsers(_text, "description genotype strain"),
        **_parsers(_sex, "sex"),
        **_parsers(_age, "age"),
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
        **_parsers(_volts, "conversion offset"),
    },
}
"""The fields of each section of the metadata, and what turns what was written into a value."""


_MORE_FIELDS: dict[str, dict[str, _Parser]] = {
    "NWBFile": {
        **_parsers(_time, "session_start_time timestamps_reference_time"),
        **_parsers(_text, "session_id"),
        **_parsers(_text, "source_script source_script_file_name"),
        **_parsers(_software, "was_generated_by"),
    },
    "Subject": _parsers(_text, "subject_id species sex age weight"),
    "Device": _parsers(_text, "model_description"),
    "ElectrodeGroup": _parsers(_numbers, "position"),
    "ElectricalSeries": {
        **_parsers(parse_number, "starting_time resolution"),
        **_parsers(_numbers, "channel_conversion"),
        **_parsers(_text, "electrodes_description"),
    },
}


SESSION_FIELDS = {name: fields | _MORE_FIELDS.get(name, {}) for name, fields in FIELDS.items()}
"""The same with what is only carried over from one NWB file to another, as it is there."""


ECEPHYS = ("Device", "ElectrodeGroup", "ElectricalSeries")


def check_keys(source: Any, section: str, content: Any, known: Iterable[str]) -> None:
    """Raise N1StoreError, beginning with `source`, unless all keys of a section are known."""
    place = f"{source}: {section}".rstrip(": ")
    if not isinstance(content, Mapping):
        raise N1StoreError(f"{place}: holds no keys; it may have {', '.join(known)}")
    for key in content:
        if key not in known:
            # What is right somewhere else is as near as what is misspelt.
            homes = [f"{home}: {key}" for home, fields in FIELDS.items() if key in fields]
            homes += [f"Ecephys: {key}"] if key in ECEPHYS else []
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
    check_keys(source, name, content, fields[name])
    values = {}
    for key, value in content.items():
        if value is None:
            continue
        if isinstance(value, str) and not value.strip():
            raise N1StoreError(f"{source}: {name}: {key} is empty; leave it out if it is unknown")
        try:
            values[key] = fields[name][key](value)
        except ValueError as error:
            raise N1StoreError(f"{source}: {name}: {key} {error}") from None
    return values


def check_subject(file: Mapping[str, Any], subject: Mapping[str, Any]) -> None:
    """Raise N1StoreError if what is said of a session and its subject cannot all be true."""
    species, sex = subject.get("species"), subject.get("sex")
    if sex in ("XX", "XO") and species != _NEMATODE:
        raise N1StoreError(f"Subject: sex is {sex} of the species {_NEMATODE} only")
    if sex in ("M", "F", "O") and species == _NEMATODE:
        raise N1StoreError(f"Subject: sex is XX or XO of the species {_NEMATODE}, not {sex}")
    start, birth = file.get("session_start_time"), subject.get("date_of_birth")
    if start is not None and birth is not None and birth > start:
        raise N1StoreError(f"Subject: date_of_birth is after the start of the session: {birth}")
