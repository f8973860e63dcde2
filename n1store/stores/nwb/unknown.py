"""What an NWB file says where something is not known, because NWB wants it to say something."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from n1store.codecs.info import HOW_TO_READ
from n1store.version import __version__

if TYPE_CHECKING:
    from pynwb import NWBFile

UNKNOWN_START = datetime(1970, 1, 1, tzinfo=UTC)
"""Start of a session of which it is unknown, because NWB wants one; `notes` then says so."""


NO_START = "When the session started is unknown; session_start_time stands for no real time."


NO_GAIN = "gain unknown"


UNKNOWN = {
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


_WORDS_THAT_VARY = r"( from WAV files)?|n1store \S+;| else|; nothing( else)? is known of it"


def what_is_unknown(nwbfile: NWBFile) -> list[str]:
    """Return what a file does not know that was made, by the names of the options that say it.

    No option says starting times.
    """
    subject, unknown = nwbfile.subject, UNKNOWN["Subject"]
    is_unknown = {
        "session_start_time": nwbfile.session_start_time == UNKNOWN_START,
        "subject_id": subject.subject_id == unknown["subject_id"],
        "subject_species": subject.species is None,
        "subject_sex": subject.sex == unknown["sex"],
        "subject_age": subject.age == unknown["age"],
        "gain_to_uv": any(
            series.comments.endswith(NO_GAIN) for series in nwbfile.acquisition.values()
        ),
        # All beginning at once is what is written where nothing is known.
        "starting_times": len(nwbfile.acquisition) > 1
        and not any(series.starting_time for series in nwbfile.acquisition.values()),
    }
    return [name for name, there in is_unknown.items() if there]


def what_is_known(name: str, said: dict[str, Any]) -> dict[str, Any]:
    """Return what a section of an NWB file says but for what only stands there for the unknown."""

    def bare(value: Any) -> Any:
        return re.sub(_WORDS_THAT_VARY, "", value) if isinstance(value, str) else value

    unknown = UNKNOWN[name]
    known = {
        key: value
        for key, value in said.items()
        if key not in unknown or bare(value) != bare(unknown[key])
    }
    if known.get("session_start_time") == UNKNOWN_START:
        del known["session_start_time"]
        _take_off(known, "notes", NO_START)
    if _take_off(known, "comments", NO_GAIN):
        known.pop("conversion", None)
    if hint := re.search(HOW_TO_READ, known.get("comments", "")):
        _take_off(known, "comments", hint[0])
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


def with_note(known: dict[str, Any], key: str, note: str) -> dict[str, Any]:
    """Return the fields with a note behind the text of one of them."""
    return known | {key: " ".join(filter(None, [known.get(key), note]))}
