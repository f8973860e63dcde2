"""Options that several commands take, and what an exit code says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from n1store.errors import N1StoreError

if TYPE_CHECKING:
    from n1store.session.metadata import NwbMetadata

# Exit codes, beside 0 for success and click's 2 for wrong options.
FAILED = 1
SKIPPED_SOURCES = 3
INTERRUPTED = 130


class Interrupted(click.ClickException):
    """The user or the system wants the command to stop."""

    exit_code = INTERRUPTED


PATH = click.Path(path_type=Path)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), help="Cores to use.  [default: all]"
)
follow_links_option = click.option(
    "--follow-links",
    is_flag=True,
    help="Read what links in it lead to, also those of HDF5: any file of this machine.",
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace what exists, once its replacement is complete."
)
level_option = click.option(
    "--level",
    type=click.IntRange(1, 3),
    default=2,
    show_default=True,
    help="1 is fast, 3 the smallest.",
)
widths_option = click.option(
    "--widths",
    "widths_file",
    metavar="JSON",
    type=PATH,
    help="A table of code widths to use instead of the built-in one.",
)


def load_widths_option(path: Path | None) -> bytes | None:
    """Return the table of code widths in the file that was given, if one was."""
    if path is None:
        return None
    from n1store.codecs.widths import load_widths

    return load_widths(path)


_SUBJECT_FIELDS = ("subject_id", "species", "sex", "age", "description")
NWB_FIELDS = (
    *("session_start_time", "identifier", "session_description"),
    *(f"subject_{name.removeprefix('subject_')}" for name in _SUBJECT_FIELDS),
    *("gain_to_uv", "offset_to_uv", "metadata"),
)


_Function = TypeVar("_Function", bound=Callable[..., Any])


def nwb_options(command: _Function) -> _Function:
    """Add the options that say what an NWB file tells of a session."""
    helps = {
        "session_start_time": "when the session began, such as 2024-05-17T14:03:00+02:00.",
        "identifier": "by default one that follows from the files' content.",
        "gain_to_uv": "microvolts of a step of the samples.",
        "offset_to_uv": "microvolts of a sample of 0.",
        "metadata": "all this and more in YAML, laid out as neuroconv's metadata.",
    }
    for name in reversed(NWB_FIELDS):
        kind = float if name.endswith("_uv") else PATH if name == "metadata" else str
        option = f"--{name.replace('_', '-')}"
        metavar = "FILE" if name == "metadata" else None
        words = helps.get(name, f"the {name.replace('_', ' ')}.")
        store = "NWB and Zarr" if name.endswith("_uv") else "NWB"
        command = click.option(option, type=kind, metavar=metavar, help=f"{store}: {words}")(
            command
        )
    return command


def nwb_metadata(given: dict[str, Any]) -> NwbMetadata | None:
    """Return what the options of `NWB_FIELDS` say; None if none of them was given."""
    if all(value is None for value in given.values()):
        return None
    from n1store.session.fields import parse_time
    from n1store.session.metadata import NwbMetadata, load_metadata

    path, start = given.pop("metadata"), given.pop("session_start_time")
    try:
        start = None if start is None else parse_time(start)
    except ValueError as error:
        raise N1StoreError(f"--session-start-time {error}") from None
    subject = {
        name: given.pop(f"subject_{name.removeprefix('subject_')}") for name in _SUBJECT_FIELDS
    }
    return NwbMetadata(
        session_start_time=start,
        subject={name: value for name, value in subject.items() if value is not None},
        more={} if path is None else load_metadata(path),
        **given,
    )
