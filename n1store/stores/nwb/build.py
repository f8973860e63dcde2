"""The NWBFile around recordings: session, subject, devices, electrodes and series.

pynwb takes a second to import, so that it is imported only when a file is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from n1store.session.metadata import NwbMetadata
from n1store.session.session import Session
from n1store.stores.grid import DTYPE
from n1store.stores.nwb.unknown import NO_GAIN, NO_START, UNKNOWN, UNKNOWN_START, with_note
from n1store.version import __version__

if TYPE_CHECKING:
    from pynwb import NWBFile
    from pynwb.device import Device, DeviceModel
    from pynwb.ecephys import ElectricalSeries


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
    how_to_read : str, optional
        What readers need, to be kept beside what else is said of it.
    data : optional
        The samples as pynwb takes them; None for a dataset that is still to be filled.
    """

    name: str
    shape: tuple[int, int]
    sampling_frequency: float
    channel_ids: tuple[str, ...]
    description: str
    how_to_read: str = ""
    data: Any = None


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
    unknown: dict[str, Any] = {"identifier": default_identifier, **UNKNOWN["NWBFile"]}
    if "session_start_time" not in known:
        unknown["session_start_time"] = UNKNOWN_START
        known = with_note(known, "notes", NO_START)
    software = [*known.get("was_generated_by", []), ["n1store", __version__]]
    unique = [list(pair) for pair in dict.fromkeys(map(tuple, software))]
    return unknown | known | {"was_generated_by": unique}


def _subject(known: dict[str, Any]) -> dict[str, Any]:
    unknown = dict(UNKNOWN["Subject"])
    if "date_of_birth" in known:
        del unknown["age"]
    if known:
        del unknown["description"]
    return unknown | known


def _add_device(nwbfile: NWBFile, name: str, known: dict[str, Any]) -> Device:
    unknown = UNKNOWN["Device"]
    keys = "description", "serial_number"
    device: dict[str, Any] = {key: known[key] for key in keys if key in known}
    model = {key: value for key, value in known.items() if key not in device}
    if "description" not in device:
        words = unknown["description"]
        device["description"] = words.partition(";")[0] + "." if known else words
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
    fields = UNKNOWN["ElectrodeGroup"] | known
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
        known = with_note(known, "description", source)
    if series.how_to_read:
        known = with_note(known, "comments", series.how_to_read)
    # NWB has no word for an unknown unit. 1 is what it takes where nothing is said, and what
    # readers multiply by without a change; NaN would make them lose the samples, and any small
    # factor would look like volts.
    if not known.keys() & {"conversion", "channel_conversion"}:
        known = with_note(known, "comments", NO_GAIN)
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
