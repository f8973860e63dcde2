"""What several sources say of new recordings, as one session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from n1store.errors import N1StoreError
from n1store.session.session import Session


class SessionPart(NamedTuple):
    """What goes into a new recording: one that a source has, and what is said there."""

    source: str
    session: Session | None
    recording: str
    channel_ids: Sequence[str]


def merge_sessions(
    recordings: Mapping[str, Sequence[SessionPart]],
) -> tuple[Session | None, list[str]]:
    """Return what the sources of new recordings say, as one session.

    Parameters
    ----------
    recordings : mapping of str to sequence of SessionPart
        By the names of the new recordings; the channels of several are put side by side.

    Returns
    -------
    Session or None
        None if no source says anything.
    lost : list of str
        A line for what cannot be kept, because sources do not agree.
    """
    parts = [part for several in recordings.values() for part in several]
    sources = {id(part.session): part for part in parts if part.session is not None}
    if not sources:
        return None, []
    lost: list[str] = []
    merged = Session()
    first_rows: dict[int, int] = {}
    for key, (source, session, *_) in sources.items():
        assert session is not None
        first_rows[key] = len(merged.ids)
        merged, lines = merged.with_electrodes_of(session)
        lost += [f"{source}: {line}" for line in lines]
    series = {}
    for name, several in recordings.items():
        series[name], lines = _side_by_side(several, first_rows)
        lost += [f"{name}: {line}" for line in lines]
    sessions = {part.source: part.session for part in sources.values() if part.session}
    merged = replace(
        merged,
        file=_agreed({source: session.file for source, session in sessions.items()}, lost),
        subject=_only({source: session.subject for source, session in sessions.items()}, lost),
        series=series,
    )
    channels = {
        name: [channel for part in several for channel in part.channel_ids]
        for name, several in recordings.items()
    }
    merged, lines = merged.complete(channels)
    return merged, lost + lines


def _agreed(said: dict[str, dict[str, Any]], lost: list[str]) -> dict[str, Any]:
    """Return the fields of files in which no two sources contradict each other."""
    agreed: dict[str, Any] = {}
    first: dict[str, str] = {}
    differ: dict[tuple[str, str], list[str]] = {}
    for source, fields in said.items():
        for key, value in fields.items():
            if key == "was_generated_by":
                value = [*agreed.get(key, []), *value]
                agreed[key] = [list(pair) for pair in dict.fromkeys(map(tuple, value))]
            elif agreed.setdefault(key, value) != value:
                differ.setdefault((first[key], source), []).append(key)
            else:
                first.setdefault(key, source)
    for (one, other), keys in differ.items():
        lost.append(f"{', '.join(keys)} of the file: {one} and {other} differ in this")
    contradicted = {key for keys in differ.values() for key in keys}
    if "source_script" in contradicted:
        contradicted.add("source_script_file_name")  # which is nothing without it
    return {key: value for key, value in agreed.items() if key not in contradicted}


def _only(said: dict[str, dict[str, Any]], lost: list[str]) -> dict[str, Any]:
    """Return the subject, if there is but one."""
    known = {source: subject for source, subject in said.items() if subject}
    for source, subject in known.items():
        first = next(iter(known))
        if subject != known[first]:
            lost.append(f"subject: {first} and {source} have different ones")
            return {}
    return next(iter(known.values()), {})


def _side_by_side(
    parts: Sequence[SessionPart], first_rows: dict[int, int]
) -> tuple[dict[str, Any], list[str]]:
    """Return what is said of a recording, and a line for each field that its parts differ in."""
    rows: list[int | None] = []
    said: list[dict[str, Any]] = []
    factors: list[float] | None = []
    for part in parts:
        fields = dict(part.session.series.get(part.recording, {}) if part.session else {})
        count = len(part.channel_ids)
        unknown: list[int | None] = [None] * count
        theirs = fields.pop("electrodes", unknown)
        first = first_rows.get(id(part.session), 0)
        rows += [None if row is None else first + row for row in theirs]
        scales = fields.get("channel_conversion", [1.0] * count)
        if not len(theirs) == len(scales) == count:
            raise N1StoreError(
                f"{part.source}: recording {part.recording}: what it says for NWB is of another "
                "number of channels"
            )
        if "conversion" not in fields and "channel_conversion" not in fields:
            factors = None
        elif factors is not None:
            factors += [fields.get("conversion", 1.0) * scale for scale in scales]
        said.append(fields)
    fields, lost = said[0], []
    if len(parts) > 1:
        if factors is not None:
            same = len(set(factors)) == 1
            scale = (
                {"conversion": factors[0]}
                if same
                else {"conversion": 1.0, "channel_conversion": factors}
            )
            said = [each | scale for each in said]
        keys = dict.fromkeys(key for each in said for key in each)
        values = {key: [each.get(key) for each in said] for key in keys}
        fields = {
            key: several[0]
            for key, several in values.items()
            if several.count(several[0]) == len(said)
        }
        lost = [f"{key}: those of its channels differ" for key in keys if key not in fields]
    return fields | {"electrodes": rows}, lost
