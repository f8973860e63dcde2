"""What each codec of the catalogue is to users: in Zarr, in HDF5, and on this machine."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from n1store.codecs.catalogue import CATALOGUE, find
from n1store.codecs.hdf5_filters import FILTERS, FILTERS_BY_ID, Filter
from n1store.codecs.pipeline import Pipeline
from n1store.codecs.spec import Entry, Parameter
from n1store.errors import N1StoreError, NotHereError, one_line
from n1store.version import __version__

EXAMPLE_CHUNK = (20_000, 64)
"""Shape of the chunk that cd_values are given for."""


@dataclass(frozen=True)
class InFormat:
    """A codec in a format of files.

    Attributes
    ----------
    written : dict of str
        What a file says of it, as far as that is known here: `codecs`, the metadata of a Zarr
        array; or `filter_id`, `cd_values` and `chunk_shape`, for which these are, in HDF5.
    readers_need : list of str
        Packages for those who read such a file.
    why_not : str, optional
        Why the format cannot have it, or not here, and what to do about that.
    """

    written: dict[str, Any]
    readers_need: list[str]
    why_not: str | None = None

    def lines(self) -> list[str]:
        """Return what a file says, and why not, for people."""
        lines = [json.dumps(codec) for codec in self.written.get("codecs") or ()]
        if self.written.get("filter_id"):
            lines.append(f"filter {self.written['filter_id']}")
        if (cd_values := self.written.get("cd_values")) is not None:
            length, channels = self.written["chunk_shape"]
            values = ", ".join(map(str, cd_values)) or "none"
            lines.append(f"cd_values {values} for chunks of {length} x {channels}")
        if self.why_not:
            lines.append(self.why_not)
        return lines or ["yes, but not shown before it is installed"]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        return {**self.written, "readers_need": self.readers_need, "why_not": self.why_not}


@dataclass(frozen=True)
class CodecInfo:
    """A codec of the catalogue, as it is here.

    Attributes
    ----------
    entry : Entry
    why_missing : str, optional
        Why it cannot be used here, and how to install it.
    zarr2, zarr3, hdf5 : InFormat
    notes : list of str
        What `convert` does about it, in whole sentences.
    """

    entry: Entry
    why_missing: str | None
    zarr2: InFormat
    zarr3: InFormat
    hdf5: InFormat
    notes: list[str]

    @property
    def parameters(self) -> str:
        """Its parameters with their defaults, as they are written in a pipeline."""
        return ",".join(
            f"[{each.name}=…]" if each.default is None else f"{each.name}={each.default}"
            for each in self.entry.parameters
        )

    @property
    def installed(self) -> str:
        """Whether it can be used here, in a word or two."""
        if self.why_missing:
            return "no"
        return "not in HDF5" if self.entry.hdf5 and self.hdf5.why_not else "yes"

    @property
    def examples(self) -> list[str]:
        """A command for each kind of store that it can be in."""
        defaults = [each for each in self.entry.parameters if each.default is not None]
        settings = ",".join(f"{each.name}={each.default}" for each in defaults)
        codec = f"{self.entry.name}:{settings}" if settings else self.entry.name
        if self.entry.stands_in_front:
            codec = f"{codec}+zstd"
        elif self.entry.group == "checksum":
            codec = f"zstd+{codec}"
        endings = ["zarr", "nwb"] if self.entry.hdf5 else ["zarr"]
        return [f"n1store convert data/ out.{ending} --codec {codec}" for ending in endings]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        return {
            "name": self.entry.name,
            "group": self.entry.group,
            "kind": self.entry.kind,
            "summary": self.entry.summary,
            "parameters": [_to_dict(each) for each in self.entry.parameters],
            "installed": self.why_missing is None,
            "why_missing": self.why_missing,
            "zarr2": self.zarr2.to_dict(),
            "zarr3": self.zarr3.to_dict(),
            "hdf5": self.hdf5.to_dict(),
            "maps": self.entry.maps,
            "checks": self.entry.checks,
            "notes": self.notes,
            "examples": self.examples,
        }


def all_codecs() -> list[CodecInfo]:
    """Return all codecs, in the catalogue's order."""
    return [_describe(entry) for entry in CATALOGUE.values()]


def codec_info(name: str) -> CodecInfo:
    """Return one codec; N1StoreError with the nearest names if there is none."""
    return _describe(find(name))


def shortcomings(codecs: Iterable[CodecInfo]) -> list[str]:
    """Return a line for each reason why something cannot be used here that could be."""
    names: dict[str, list[str]] = {}
    for info in codecs:
        reasons = [info.why_missing, info.zarr3.why_not, info.entry.hdf5 and info.hdf5.why_not]
        for reason in dict.fromkeys(filter(None, reasons)):
            names.setdefault(str(reason), []).append(info.entry.name)
    return [
        f"{'all' if len(those) == len(CATALOGUE) else ', '.join(those)}: {reason}"
        for reason, those in names.items()
    ]


def values_of(parameter: Parameter) -> str:
    """Return the values that a parameter takes, in words."""
    if parameter.content:
        return "a file"
    return ", ".join(parameter.choices) or f"{parameter.low} to {parameter.high}"


def zarr_readers_need(entries: Iterable[Entry], zarr_format: int) -> list[str]:
    """Return the packages that those need who read a Zarr array of these codecs and format."""
    zarr = "zarr>=3" if zarr_format == 3 else "zarr"
    return list(dict.fromkeys([zarr, *(each for entry in entries for each in entry.packages)]))


def hdf5_readers_need(filters: Iterable[tuple[Entry, int]]) -> list[str]:
    """Return the packages that those need who read an HDF5 dataset of these codecs and filters."""
    packages = ["h5py or pynwb"]
    for entry, filter_id in filters:
        hdf5_filter = FILTERS_BY_ID[filter_id]
        if hdf5_filter.brought_by in ("hdf5plugin", "n1store"):
            packages.append(hdf5_filter.brought_by)
        if hdf5_filter.name == "numcodecs":  # it runs the codec itself
            packages += entry.packages
    return list(dict.fromkeys(packages))


def how_to_read(readers_need: list[str]) -> str:
    """Return what is kept beside samples for those who find them and do not know how to read them.

    Parameters
    ----------
    readers_need : list of str
        As `zarr_readers_need` or `hdf5_readers_need` gives it.
    """
    packages = " ".join(shlex.quote(each.partition(" or ")[0]) for each in readers_need)
    return f"Written by n1store {__version__}; to read it: pip install {packages}."


HOW_TO_READ = r"Written by n1store \S+; to read it: pip install [^\n]+\.$"
"""A pattern that finds these words at the end of others."""


def why_no_filter(hdf5_filter: Filter) -> str | None:
    """Return why HDF5 cannot use a filter here, and what to do about that."""
    import h5py

    if hdf5_filter.brought_by == "n1store":
        try:
            from n1store.codecs import hdf5  # which tells HDF5 where the plugins are

            hdf5.require(hdf5_filter)
        except (ImportError, NotHereError) as error:
            return one_line(error)
    remedy = "install another h5py"
    if hdf5_filter.brought_by == "hdf5plugin":
        remedy = "pip install --upgrade hdf5plugin"
        try:
            import hdf5plugin  # noqa: F401
        except (ImportError, OSError) as error:
            return f"HDF5 reads it with hdf5plugin only ({one_line(error)}): {remedy}"
    if h5py.h5z.filter_avail(hdf5_filter.filter_id):
        return None
    return f"HDF5 finds no filter {hdf5_filter.filter_id}; to install it: {remedy}"


def _describe(entry: Entry) -> CodecInfo:
    pipeline, why_missing = None, None
    try:
        pipeline = Pipeline.parse(entry.name)
    except N1StoreError as error:
        why_missing = one_line(error)
    return CodecInfo(
        entry,
        why_missing,
        InFormat({"codecs": pipeline.zarr2() if pipeline else None}, zarr_readers_need([entry], 2)),
        InFormat(
            {"codecs": pipeline.zarr3() if pipeline else None},
            zarr_readers_need([entry], 3),
            _why_no_zarr3(),
        ),
        _in_hdf5(entry, pipeline),
        _notes(entry),
    )


def _why_no_zarr3() -> str | None:
    # Asked for rather than imported, which takes longer than all the rest.
    installed = version("zarr")
    if int(installed.split(".")[0]) >= 3:
        return None
    return f"zarr {installed} cannot read Zarr format 3; to read it: pip install 'zarr>=3'"


def _in_hdf5(entry: Entry, pipeline: Pipeline | None) -> InFormat:
    filter_id, cd_values, why_not = None, None, None
    packages: list[str] = []
    if not entry.hdf5:
        why_not = "HDF5 has no filter for it"
    else:
        hdf5_filter = FILTERS[entry.hdf5]
        filter_id = hdf5_filter.filter_id
        packages = hdf5_readers_need([(entry, filter_id)])
        try:
            if pipeline is not None:
                ((_, cd_values),) = pipeline.for_hdf5().hdf5(EXAMPLE_CHUNK)
                why_not = why_no_filter(hdf5_filter)
        except (N1StoreError, ImportError) as error:
            why_not = one_line(error)
    written = {"filter_id": filter_id, "cd_values": cd_values, "chunk_shape": EXAMPLE_CHUNK}
    return InFormat(written, packages, why_not)


def _notes(entry: Entry) -> list[str]:
    checksums = ", ".join(each.name for each in CATALOGUE.values() if each.group == "checksum")
    notes = []
    if entry.stands_in_front:
        notes.append("It stands in front of another codec.")
    if entry.group == "checksum":
        notes.append(
            f"It stands behind another codec. convert adds that of the format: {checksums}."
        )
    elif entry.checks:
        notes.append("Any changed bit is an error; convert puts no checksum behind it.")
    elif not entry.stands_in_front:
        notes.append(f"convert puts the format's checksum behind it: {checksums}.")
    if entry.name == "adc":
        notes.append("convert puts it in front by itself; --no-adc leaves it out.")
    elif entry.maps:
        notes.append("It maps samples to the converter's codes itself; convert adds no adc.")
    elif "n1store" in entry.packages:
        notes.append("convert puts adc in front; --no-adc leaves it out.")
    elif entry.group != "checksum":
        notes.append("convert puts adc in front, so that readers need n1store; not with --no-adc.")
    if entry.loses_with:
        notes.append(
            f"With {entry.loses_with} it is lossy: samples come back changed, and WAV files cannot "
            "be restored; adc is not put in front then."
        )
    if entry.hdf5_home:
        notes.append("Its chunks have other bytes in HDF5 than in Zarr, and are encoded anew.")
    return notes


def _to_dict(parameter: Parameter) -> dict[str, Any]:
    content: dict[str, Any] = {"name": parameter.name, "default": parameter.default}
    if parameter.content:
        return content | {"type": "file"}
    if parameter.choices:
        return content | {"type": "choice", "choices": parameter.choices}
    kind = "integer" if parameter.is_integer else "number"
    return content | {"type": kind, "low": parameter.low, "high": parameter.high}
