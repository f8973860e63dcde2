"""Reading what an NWB file says beside the samples, and what of it has no place in a `Session`.

This reads HDF5 rather than through pynwb, which takes a second to import and gives up at files
that are not quite valid. What is not read on purpose is listed at the end, whatever it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import h5py
import numpy as np

from n1store.codecs.info import HOW_TO_READ
from n1store.errors import N1StoreError
from n1store.session.fields import NO_TEXT, SESSION_FIELDS
from n1store.session.session import DEVICE, GROUP, Column, Session
from n1store.stores.nwb.chunks import is_hardly_written
from n1store.stores.nwb.objects import Item, Objects
from n1store.stores.nwb.summary import HINT
from n1store.stores.nwb.types import SERIES, type_of
from n1store.stores.nwb.unknown import what_is_known
from n1store.stores.nwb.values import read_values

_DEVICES = "general/devices"
_EPHYS = "general/extracellular_ephys"
_ELECTRODES = f"{_EPHYS}/electrodes"
_SUBJECT = "general/subject"
_MOST_VALUES = 1_000_000  # of anything but samples and timestamps
_BLOCK = 1 << 20  # of timestamps, which are read at a time
_TOP = ("session_start_time", "identifier", "session_description", "timestamps_reference_time")

# What every file, or object, has for itself and no copy takes over.
_OWN_OBJECTS = {"specifications", "file_create_date"}
_OWN_ATTRIBUTES = {"neurodata_type", "namespace", "object_id", ".specloc", "nwb_version"}
_OWN_ATTRIBUTES |= {"DIMENSION_LABELS", "DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME"}


def read_session(
    file: h5py.File,
    objects: Objects,
    recordings: Mapping[str, str],
    origins: Mapping[str, str],
    own: str,
) -> tuple[Session, list[str]]:
    """Read what an NWB file says beside the samples.

    Parameters
    ----------
    file : h5py.File
    objects : Objects
        What finds its objects.
    recordings : mapping of str to str
        Paths of its ElectricalSeries by the names of recordings.
    origins : mapping of str to str
        What n1store put behind the description of a series, by path.
    own : str
        Path of what n1store kept in the file.

    Returns
    -------
    Session
    lost : list of str
        A line for everything in the file that is not in the session.
    """
    return _Reader(file, objects, own).session(recordings, origins)


class _Reader:
    def __init__(self, file: h5py.File, objects: Objects, own: str):
        self._file = file
        self._objects = objects
        self._own = _OWN_OBJECTS | {own}
        self._read: set[str] = set()  # paths of objects
        self._read_attributes: set[tuple[str, str]] = set()
        self._lost: list[str] = []
        self._seen: set[int] = set()  # addresses of groups that were looked at for the rest

    def session(
        self, recordings: Mapping[str, str], origins: Mapping[str, str]
    ) -> tuple[Session, list[str]]:
        devices = dict(self._devices())
        groups = dict(self._groups(devices))
        ids, columns = self._electrodes(groups)
        for fields in groups.values():
            devices.setdefault(fields["device"], {})
        session = Session(
            file=self._file_fields(),
            subject=self._subject(),
            devices=devices,
            groups=groups,
            ids=ids,
            columns=columns,
            series={
                name: self._series(path, len(ids), origins.get(path, ""))
                for name, path in recordings.items()
            },
        )
        self._lost = list(dict.fromkeys(self._lost))
        ancestors = {str(parent) for path in self._read for parent in PurePosixPath(path).parents}
        self._lost += self._rest(self._file, "", ancestors)
        return session, self._lost

    # What is read

    def _value(self, path: str) -> Any:
        """Return a dataset as text, number or list of them; None if there is none."""
        dataset = self._find(path)
        if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
            return None
        self._read.add(path)
        if dataset.size > _MOST_VALUES:
            self._lost.append(f"{path}: its {dataset.size} values are too many to be read")
            return None
        values = self._values(dataset)
        return None if values is None else values.tolist()

    def _values(self, dataset: h5py.Dataset) -> np.ndarray | None:
        """Return a dataset's values; None, and lost, if they are too large."""
        try:
            return read_values(dataset, "surrogateescape")
        except N1StoreError as error:
            self._lost.append(str(error))
            return None

    def _attribute(self, path: str, name: str) -> Any:
        """Return an attribute as text or number; None if there is none."""
        item = self._find(path)
        value = None if item is None else item.attrs.get(name)
        if value is None or isinstance(value, h5py.Empty | h5py.Reference):
            return None
        self._read_attributes.add((path, name))
        return _plain(value)

    def _known(self, name: str, place: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is said and known of a section's fields; what has a wrong value is lost."""
        fields = {}
        for key, value in said.items():
            if value is None or value == [] or str(value).strip() == "":
                continue
            try:
                fields[key] = SESSION_FIELDS[name][key](value)
            except (ValueError, TypeError) as error:
                self._lost.append(f"{place}: {key} {error}")
        return what_is_known(name, fields)

    def _file_fields(self) -> dict[str, Any]:
        paths = {key: key if key in _TOP else f"general/{key}" for key in SESSION_FIELDS["NWBFile"]}
        paths["stimulus_notes"] = "general/stimulus"
        del paths["source_script_file_name"]
        said = {key: self._value(path) for key, path in paths.items()}
        if said["source_script"] is not None:
            said["source_script_file_name"] = self._attribute("general/source_script", "file_name")
        if said["timestamps_reference_time"] == said["session_start_time"]:
            del said["timestamps_reference_time"]
        self._look_for_zone("session_start_time", said["session_start_time"])
        return self._known("NWBFile", "file", said)

    def _subject(self) -> dict[str, Any]:
        keys = [key for key in SESSION_FIELDS["Subject"] if key != "age__reference"]
        said = {key: self._value(f"{_SUBJECT}/{key}") for key in keys}
        if isinstance(said["weight"], int | float):
            said["weight"] = f"{said['weight']} kg"
        if said["age"] is not None:
            reference = self._attribute(f"{_SUBJECT}/age", "reference")
            if reference != "birth":  # which is what goes without saying
                said["age__reference"] = reference
        self._look_for_zone(f"{_SUBJECT}/date_of_birth", said["date_of_birth"])
        if self._find(_SUBJECT) is not None:
            self._read.add(_SUBJECT)
            self._look_at_type(_SUBJECT, "Subject")
        return self._known("Subject", _SUBJECT, said)

    def _devices(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for path, device in self._groups_in(_DEVICES):
            if "neurodata_type" not in device.attrs:
                continue  # the group of their models
            self._read.add(path)
            self._look_at_type(path, "Device")
            keys = ("description", "serial_number", "manufacturer", "model_number", "model_name")
            said = {key: self._attribute(path, key) for key in keys}
            model = self._same(self._find(f"{path}/model"), f"{_DEVICES}/models")
            if model is not None:
                self._read |= {f"{path}/model", model}
                self._look_at_type(model, "DeviceModel")
                said["model_name"] = model.rpartition("/")[2]
                said["model_description"] = self._attribute(model, "description")
                for key in ("manufacturer", "model_number"):
                    said[key] = self._attribute(model, key)
            yield self._name(path), self._known("Device", path, said)

    def _groups(self, devices: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for path, group in self._groups_in(_EPHYS):
            device = self._find(f"{path}/device")
            if path == _ELECTRODES or (device is None and type_of(group) != "ElectrodeGroup"):
                continue
            self._read.add(path)
            self._look_at_type(path, "ElectrodeGroup")
            said = {key: self._attribute(path, key) for key in ("description", "location")}
            said["position"] = self._position(f"{path}/position")
            device = self._same(device, _DEVICES)
            if device is not None:
                self._read.add(f"{path}/device")
            name = self._name(device) if device else DEVICE
            yield self._name(path), self._known("ElectrodeGroup", path, said) | {"device": name}

    def _position(self, path: str) -> list[float] | None:
        """Return x, y and z, which have been a compound type or three numbers."""
        dataset = self._find(path)
        if not isinstance(dataset, h5py.Dataset) or dataset.size not in (1, 3):
            return None
        self._read.add(path)
        values = self._values(dataset)
        if values is None:
            return None
        return list(values.item()) if values.dtype.names else values.ravel().tolist()

    def _electrodes(self, groups: dict[str, dict[str, Any]]) -> tuple[list[int], dict[str, Column]]:
        table = self._find(_ELECTRODES)
        if table is None:
            return [], {}
        self._read.add(_ELECTRODES)
        self._read_attributes.add((_ELECTRODES, "colnames"))
        self._attribute(_ELECTRODES, "description")  # the same in all files
        numbers = self._value(f"{_ELECTRODES}/id")
        if numbers is None:
            raise N1StoreError(f"{_ELECTRODES}/id: the numbers of the electrodes are not there")
        ids = [int(number) for number in np.ravel(numbers)]
        columns = {}
        for name in map(_plain, np.ravel(table.attrs.get("colnames", []))):
            path = f"{_ELECTRODES}/{name}"
            values = self._column(name, len(ids), groups)
            if values is not None:
                self._read.add(path)
                columns[name] = Column(str(self._attribute(path, "description") or ""), values)
        if "group" not in columns:
            groups.setdefault(GROUP, {"device": DEVICE})
            columns["group"] = Column("The group that the electrode is in.", [GROUP] * len(ids))
        if columns.pop("group_name", columns["group"]).values != columns["group"].values:
            self._lost.append(f"{_ELECTRODES}/group_name: is now what the groups are called")
        if "location" not in columns or columns["location"].dtype != "text":
            columns["location"] = Column("Location of the electrode.", ["unknown"] * len(ids))
        return ids, columns

    def _column(
        self, name: str, count: int, groups: Mapping[str, Any]
    ) -> list[str] | np.ndarray | None:
        """Return a column of numbers or texts, or names of groups; None if it is none."""
        dataset = self._find(f"{_ELECTRODES}/{name}")
        if (
            not isinstance(dataset, h5py.Dataset)
            or self._find(f"{_ELECTRODES}/{name}_index")
            is not None  # so that its values are not one for each electrode
            or dataset.shape not in ((count,), (count, 1))
            or type_of(dataset) != "VectorData"
        ):
            return None
        values = self._values(dataset)
        if values is None:
            return None
        if name == "group":
            names = {
                group: self._name(path)
                for path, group in self._groups_in(_EPHYS)
                if path != _ELECTRODES and self._name(path) in groups
            }
            targets = [self._file[one] if one else None for one in values.ravel()]
            return [names[group] for group in targets] if names.keys() >= set(targets) else None
        values = values.ravel()
        if values.dtype.kind in "biuf" and values.dtype.itemsize <= 8:
            return values
        texts = values.tolist()
        is_text = values.dtype.kind == "O" and all(isinstance(text, str) for text in texts)
        return texts if is_text and not re.search(NO_TEXT, "".join(texts)) else None

    def _series(self, path: str, num_electrodes: int, origin: str) -> dict[str, Any]:
        self._read |= {path, f"{path}/data"}
        self._look_at_type(path, SERIES)
        if not path.startswith("acquisition/"):
            self._lost.append(f"{path}: is in acquisition now")
        said = {key: self._attribute(path, key) for key in ("description", "comments", "filtering")}
        said["description"] = str(said["description"] or "").removesuffix(origin).rstrip()
        for key in ("conversion", "offset", "resolution"):
            said[key] = self._attribute(f"{path}/data", key)
        if said["conversion"] is None:
            said["conversion"] = 1.0  # as NWB has it
        if said["resolution"] is not None and not said["resolution"] > 0:
            del said["resolution"]  # -1 and NaN stand for unknown
        if not said["offset"]:
            del said["offset"]
        self._look_at_unit(f"{path}/data", "volts")
        said["channel_conversion"] = self._value(f"{path}/channel_conversion")
        if said["channel_conversion"] is not None:
            self._attribute(f"{path}/channel_conversion", "axis")
        said["starting_time"] = self._start(path)
        fields = {}
        region = self._find(f"{path}/electrodes")
        if region is not None and self._same_as(region, region.attrs.get("table"), _ELECTRODES):
            self._read_attributes.add((f"{path}/electrodes", "table"))
            said["electrodes_description"] = self._attribute(f"{path}/electrodes", "description")
            rows = self._value(f"{path}/electrodes")
            if rows is not None and all(0 <= row < num_electrodes for row in np.ravel(rows)):
                fields["electrodes"] = np.ravel(rows).tolist()
            else:
                self._lost.append(f"{path}/electrodes: there are no such electrodes")
        else:
            self._lost.append(f"{path}/electrodes: are of no table of this file")
        return self._known("ElectricalSeries", path, said) | fields

    def _start(self, path: str) -> float | None:
        """Return when a series starts; timestamps are made regular, as samples are."""
        if self._find(f"{path}/starting_time") is not None:
            self._attribute(f"{path}/starting_time", "rate")
            self._look_at_unit(f"{path}/starting_time", "seconds")
            return self._value(f"{path}/starting_time") or None
        timestamps = self._objects.require(self._file, f"{path}/timestamps")
        self._read.add(f"{path}/timestamps")
        self._attribute(f"{path}/timestamps", "interval")
        self._look_at_unit(f"{path}/timestamps", "seconds")
        if is_hardly_written(timestamps):
            self._lost.append(f"{path}/timestamps: nearly all of them were never written")
            return None
        count, start = len(timestamps), float(timestamps[0])
        step = (float(timestamps[-1]) - start) / max(count - 1, 1)
        farthest = 0.0
        for first in range(0, count, _BLOCK):
            block = timestamps[first : first + _BLOCK]
            regular = start + step * np.arange(first, first + len(block))
            farthest = max(farthest, float(np.abs(block - regular).max()))
        if farthest > 1e-6 * step:  # which is more than rounding
            self._lost.append(
                f"{path}/timestamps: are now a start and a rate, up to {farthest:.2g} s away"
            )
        return start or None

    # What is not

    def _rest(self, group: h5py.Group, path: str, ancestors: set[str]) -> Iterator[str]:
        """Yield a line for all in a group that was not read, and for its attributes.

        What has a second name is named once more, and not gone into, as it may hold itself.
        """
        self._seen.add(_address(group))
        yield from self._attributes_not_read(group, path)
        for name in group:
            place = f"{path}/{name}".lstrip("/")
            if place in self._own:
                continue
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.SoftLink | h5py.ExternalLink):
                if place not in self._read:
                    yield f"{place} (a link)"
                continue
            item = group[name]
            kind = type_of(item)
            if place not in self._read | ancestors and _address(item) in self._seen:
                yield f"{place} (a link)"
            elif place in self._read or place in ancestors or not kind:
                if isinstance(item, h5py.Group):
                    yield from self._rest(item, place, ancestors)
                elif place in self._read:
                    yield from self._attributes_not_read(item, place)
                else:
                    yield place
            # Other series have been named as left out.
            elif kind != SERIES:
                yield f"{place} ({kind})"

    def _attributes_not_read(self, item: h5py.Group | h5py.Dataset, path: str) -> Iterator[str]:
        for name in item.attrs:
            known = name in _OWN_ATTRIBUTES or (path, name) in self._read_attributes
            is_hint = name == HINT and re.match(HOW_TO_READ, str(item.attrs[name]))
            if not known and not is_hint:  # which is made anew
                yield f"{path or 'file'}: attribute {name}"

    def _look_at_type(self, path: str, expected: str) -> None:
        kind = type_of(self._objects.require(self._file, path))
        if kind not in ("", expected):
            self._lost.append(f"{path}: is of type {expected} now, not {kind}")

    def _look_at_unit(self, path: str, expected: str) -> None:
        unit = self._attribute(path, "unit")
        if unit not in (None, expected):
            self._lost.append(f"{path}: its unit, {unit}, which NWB does not allow")

    def _look_for_zone(self, path: str, text: str | None) -> None:
        try:
            if text and datetime.fromisoformat(text).tzinfo is None:
                self._lost.append(f"{path}: names no time zone; it is taken for local time")
        except ValueError:
            pass  # which is said where it is parsed

    # Finding one's way

    def _find(self, path: str) -> Item | None:
        """Return an object; None also, and lost, if it is in another file."""
        try:
            return self._objects.find(self._file, path)
        except N1StoreError as error:
            self._lost.append(str(error))
            return None

    def _groups_in(self, path: str) -> Iterator[tuple[str, h5py.Group]]:
        for name in self._find(path) or ():
            item = self._find(f"{path}/{name}")
            if isinstance(item, h5py.Group):
                yield f"{path}/{name}", item

    def _same(self, target: h5py.Group | None, path: str) -> str | None:
        """Return the path of a link's target among the groups below `path`."""
        found = (place for place, group in self._groups_in(path) if group == target)
        return next(found, None)

    def _same_as(self, holder: Item, reference: Any, path: str) -> bool:
        """Return whether a reference that an object holds is to the one at a path of the file."""
        return (
            isinstance(reference, h5py.Reference)
            and bool(reference)
            and holder.file[reference] == self._find(path)
        )

    @staticmethod
    def _name(path: str) -> str:
        """Return an object's name as NWB allows it, which is all but always as it is."""
        return re.sub(r"[\\:]|^models$", "_", path.rpartition("/")[2])


def _address(item: Item) -> int:
    address: int = h5py.h5o.get_info(item.id).addr
    return address


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value
