"""What NWB says of recordings beside their samples, on its way from one store to another.

It is read from NWB files, by whatever program they were made, kept in Zarr stores as JSON, and
written by `make_nwbfile`. Of what has no place in it a line is kept: nothing is lost silently.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from n1store.errors import N1StoreError
from n1store.session.fields import SESSION_FIELDS, parse_section, to_microvolts

DEVICE = "device"
GROUP = "electrode_group"  # "electrodes" is the name of their table, which is beside it
_CHANNEL_NAME = "Name of the channel in its series."


@dataclass(frozen=True, eq=False)
class Column:
    """A column of the electrodes table.

    Attributes
    ----------
    description : str
    values : list of str, or ndarray of bool, int or float, shape (num_electrodes,)
    """

    description: str
    values: list[str] | np.ndarray

    @property
    def dtype(self) -> str:
        """``text``, or NumPy's name of the type."""
        return "text" if isinstance(self.values, list) else self.values.dtype.name

    def map(self, change: Callable[[str], str]) -> Column:
        """Return the column with each text changed."""
        return Column(self.description, [change(text) for text in self.values])

    def followed_by(self, other: Column) -> Column | None:
        """Return both, one after the other; None if one has texts and the other numbers."""
        if isinstance(self.values, list) and isinstance(other.values, list):
            return Column(self.description, [*self.values, *other.values])
        kinds = {self.dtype, other.dtype}
        if "text" in kinds or ("bool" in kinds and len(kinds) > 1):
            return None
        return Column(self.description, np.concatenate([self.values, other.values]))

    def unknown(self, count: int) -> Column | None:
        """Return a column of as many unknown values; None if this kind has none."""
        if isinstance(self.values, list):
            return Column(self.description, [""] * count)
        if self.values.dtype.kind == "f":
            return Column(self.description, np.full(count, math.nan, self.values.dtype))
        return None


@dataclass(frozen=True, eq=False)
class Session:
    """What NWB says of recordings; what is missing is unknown.

    Attributes
    ----------
    file, subject : dict
        Fields of `SESSION_FIELDS` under NWBFile and Subject.
    devices, groups : dict of str to dict
        Fields of Device and ElectrodeGroup by name; a group's ``device`` is a name.
    ids : list of int
        Of the electrodes.
    columns : dict of str to Column
        Of the electrodes; at least ``group``, the names of groups, and ``location``, if there are
        any electrodes.
    series : dict of str to dict
        Fields of ElectricalSeries by the names of recordings; ``electrodes`` are the rows of its
        channels, each None if it is unknown.
    """

    file: dict[str, Any] = field(default_factory=dict)
    subject: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    ids: list[int] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    series: dict[str, dict[str, Any]] = field(default_factory=dict)

    def scale_to_uv(
        self, recordings: Iterable[str], num_channels: int
    ) -> tuple[list[float], list[float]] | None:
        """Return gains and offsets to microvolts of channels, where recordings agree in them."""
        scales = []
        for name in recordings:
            fields = self.series.get(name, {})
            if not fields.keys() & {"conversion", "channel_conversion"}:
                return None
            factors = fields.get("channel_conversion", [1.0] * num_channels)
            conversion, offset = fields.get("conversion", 1.0), fields.get("offset", 0.0)
            gains = [to_microvolts(conversion * factor) for factor in factors]
            if not all(map(math.isfinite, gains)):
                return None
            scales.append((gains, [to_microvolts(offset)] * num_channels))
        return scales[0] if scales and scales.count(scales[0]) == len(scales) else None

    def to_json(self, recordings: Iterable[str]) -> dict[str, Any]:
        """Return what JSON can hold of it, which is all, of these recordings."""
        return {
            "NWBFile": _plain(self.file),
            "Subject": _plain(self.subject),
            "Device": [{"name": name, **fields} for name, fields in self.devices.items()],
            "ElectrodeGroup": [{"name": name, **fields} for name, fields in self.groups.items()],
            "electrodes": {
                "id": self.ids,
                "columns": [
                    {
                        "name": name,
                        "description": column.description,
                        "dtype": column.dtype,
                        "values": _to_list(column),
                    }
                    for name, column in self.columns.items()
                ],
            },
            "ElectricalSeries": {name: self.series.get(name, {}) for name in recordings},
        }

    @classmethod
    def from_json(cls, source: Any, content: Any) -> Session:
        """Return the session that `to_json` turned into `content`.

        Raises
        ------
        N1StoreError
            If it is damaged; the message begins with `source`.
        """
        try:
            return cls._from_json(source, content)
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise N1StoreError(f"{source}: what it says for NWB is damaged") from error

    @classmethod
    def _from_json(cls, source: Any, content: Any) -> Session:
        def parse(name: str, fields: Any) -> dict[str, Any]:
            return parse_section(source, name, fields, SESSION_FIELDS)

        def named(name: str) -> dict[str, dict[str, Any]]:
            sections = [parse(name, fields) for fields in content[name]]
            return {section.pop("name"): section for section in sections}

        devices, groups = named("Device"), named("ElectrodeGroup")
        ids = [_as(int, number) for number in content["electrodes"]["id"]]
        columns = {
            _as(str, column["name"]): Column(
                _as(str, column["description"]), _from_list(column["dtype"], column["values"])
            )
            for column in content["electrodes"]["columns"]
        }
        series = {}
        for name, fields in content["ElectricalSeries"].items():
            fields = dict(fields)
            rows = [_as(int, row) for row in fields.pop("electrodes")]
            if not all(0 <= row < len(ids) for row in rows):
                raise ValueError("there are no such electrodes")
            series[name] = parse("ElectricalSeries", fields) | {"electrodes": rows}
        if any(len(column.values) != len(ids) for column in columns.values()):
            raise ValueError("columns are of different lengths")
        if any(fields["device"] not in devices for fields in groups.values()):
            raise ValueError("a group is of no device")
        if columns["location"].dtype != "text" or not set(columns["group"].values) <= set(groups):
            raise ValueError("an electrode is nowhere")
        file, subject = parse("NWBFile", content["NWBFile"]), parse("Subject", content["Subject"])
        return cls(file, subject, devices, groups, ids, columns, series)

    def complete(self, channels: Mapping[str, Sequence[str]]) -> tuple[Session, list[str]]:
        """Give each channel without an electrode one of which nothing is known.

        Parameters
        ----------
        channels : mapping of str to sequence of str
            Names of the channels of each recording.

        Returns
        -------
        Session
        lost : list of str
            A line for each column of the table that cannot be kept.
        """
        series = {}
        new: list[str] = []
        for name, names in channels.items():
            fields = self.series.get(name, {})
            rows = list(fields.get("electrodes", [None] * len(names)))
            for position, row in enumerate(rows):
                if row is None:
                    rows[position] = len(self.ids) + len(new)
                    new.append(names[position])
            series[name] = fields | {"electrodes": rows}
        if not new:
            return replace(self, series=series), []
        named = self
        if self.ids and "channel_name" not in self.columns:
            names_by_row = {
                row: channel
                for name, names in channels.items()
                for row, channel in zip(series[name]["electrodes"], names, strict=True)
            }
            texts = [names_by_row.get(row, str(number)) for row, number in enumerate(self.ids)]
            column = Column(_CHANNEL_NAME, texts)
            named = replace(self, columns=self.columns | {"channel_name": column})
        first = max(self.ids, default=-1) + 1
        added = Session(
            devices={DEVICE: {}},
            groups={GROUP: {"device": DEVICE}},
            ids=list(range(first, first + len(new))),
            columns={
                "location": Column("Location of the electrode.", ["unknown"] * len(new)),
                "group": Column("The group that the electrode is in.", [GROUP] * len(new)),
                "channel_name": Column(_CHANNEL_NAME, new),
            },
        )
        united, lost = named.with_electrodes_of(added)
        return replace(united, series=series), lost

    def with_electrodes_of(self, other: Session) -> tuple[Session, list[str]]:
        """Return this with another's devices and groups, and its electrodes behind its own.

        Returns
        -------
        Session
        lost : list of str
            A line for each name, column and id that cannot be kept.
        """
        devices, device_names = _united(self.devices, other.devices)
        moved = {
            name: fields | {"device": device_names[fields["device"]]}
            for name, fields in other.groups.items()
        }
        groups, group_names = _united(self.groups, moved)
        lost = [
            f"{kind} {old}: is called {new} here, as there is another one"
            for kind, names in (("device", device_names), ("electrode group", group_names))
            for old, new in names.items()
            if old != new
        ]
        theirs = dict(other.columns)
        if "group" in theirs:
            theirs["group"] = theirs["group"].map(group_names.__getitem__)
        united = replace(self, devices=devices, groups=groups)
        if not other.ids:
            return united, lost
        if not self.ids:
            return replace(united, ids=other.ids, columns=theirs), lost
        ids = [*self.ids, *other.ids]
        if len(set(ids)) < len(ids):
            lost.append("ids of electrodes: are numbered anew, as some were there already")
            ids = list(range(len(ids)))
        columns = {}
        for name in dict.fromkeys([*self.columns, *theirs]):
            column = _stacked(name, self.columns.get(name), self.ids, theirs.get(name), other.ids)
            if column is None:
                lost.append(f"column {name} of the electrodes: some have no value of its kind")
            else:
                columns[name] = column
        return replace(united, ids=ids, columns=columns), lost


def _united(
    ours: dict[str, dict[str, Any]], theirs: dict[str, dict[str, Any]]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return both, and what each of theirs is called now; the same of the same name is one."""
    united, names = dict(ours), {}
    for name, fields in theirs.items():
        new, number = name, 2
        while united.get(new, fields) != fields:
            new = f"{name}_{number}"
            number += 1
        united[new] = fields
        names[name] = new
    return united, names


def _stacked(
    name: str,
    first: Column | None,
    first_ids: list[int],
    second: Column | None,
    second_ids: list[int],
) -> Column | None:
    """Return the columns of two tables as one; None if something in it would be made up."""
    if name == "channel_name":
        # What channels are called that have no name.
        first = first or Column(_CHANNEL_NAME, list(map(str, first_ids)))
        second = second or Column(_CHANNEL_NAME, list(map(str, second_ids)))
    first = first or (second.unknown(len(first_ids)) if second else None)
    second = second or (first.unknown(len(second_ids)) if first else None)
    return first.followed_by(second) if first and second else None


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in fields.items()
    }


def _to_list(column: Column) -> list[Any]:
    if isinstance(column.values, list):
        return column.values
    values: list[Any] = column.values.tolist()
    if column.values.dtype.kind != "f":
        return values
    # As Zarr's fill values, which JSON has no numbers for either.
    words = {math.inf: "Infinity", -math.inf: "-Infinity"}
    return [value if math.isfinite(value) else words.get(value, "NaN") for value in values]


def _from_list(dtype: str, values: list[Any]) -> list[str] | np.ndarray:
    if dtype == "text":
        return [_as(str, value) for value in values]
    column = np.array(values, dtype).reshape(len(values))
    if column.dtype.kind not in "biuf":
        raise TypeError(f"{dtype} is no number")
    return column


def _as(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
