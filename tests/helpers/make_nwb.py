"""NWB files as others make them, with pynwb and h5py, independently of the package."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
from pynwb import NWBHDF5IO, H5DataIO, NWBFile, TimeSeries
from pynwb.ecephys import LFP, ElectricalSeries
from pynwb.file import Subject

START = datetime(2024, 5, 17, 14, 3, 0, 5, tzinfo=timezone(timedelta(hours=2)))


def samples(shape, seed=0):
    steps = np.random.default_rng(seed).integers(-90, 91, shape)
    return np.clip(np.cumsum(steps, axis=0), -30_000, 30_000).astype("<i2")


def write(path, nwbfile):
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    return path


def make_bare(num_electrodes, **fields):
    """Return a file with electrodes, and the function that makes series of the first of them."""
    required = {
        "session_description": "A session.",
        "identifier": "session-1",
        "session_start_time": START,
    }
    nwbfile = NWBFile(**required | fields)
    device = nwbfile.create_device(name="probe", description="A probe.")
    group = nwbfile.create_electrode_group(
        name="shank", description="A shank.", location="CA1", device=device
    )
    for _ in range(num_electrodes):
        nwbfile.add_electrode(location="CA1", group=group)

    def series(name, data, rows=None, **fields):
        shape = getattr(data, "data", data).shape
        rows = list(range(1 if len(shape) == 1 else shape[1])) if rows is None else rows
        region = nwbfile.create_electrode_table_region(rows, "these")
        timing = {} if "timestamps" in fields else {"rate": 1000.0}
        return ElectricalSeries(name=name, data=data, electrodes=region, **timing | fields)

    return nwbfile, series


def write_full(path):
    """Write a file that says all that can be carried over, but for what is `EXTRAS`."""
    return write(path, _full())


def _full():
    nwbfile = NWBFile(
        session_description="A day.",
        identifier="day-1",
        session_start_time=START,
        timestamps_reference_time=datetime(2024, 5, 17, tzinfo=UTC),
        experimenter=["Doe, Jane", "Roe, Richard"],
        keywords=["rest", "cortex"],
        related_publications=["doi:1", "doi:2"],
        was_generated_by=[["acquirer", "1.2"]],
        source_script="acquire()",
        source_script_file_name="acquire.m",
        **{
            name: f"The {name}: Grüße."
            for name in (
                *("session_id", "experiment_description", "lab", "institution", "notes"),
                *("protocol", "surgery", "pharmacology", "virus", "slices", "stimulus_notes"),
                *("data_collection",),
            )
        },
    )
    nwbfile.subject = Subject(
        subject_id="A10",
        species="Mus musculus",
        sex="F",
        age="P90D",
        age__reference="gestational",
        date_of_birth=datetime(2024, 2, 1, tzinfo=UTC),
        genotype="wild type",
        strain="C57BL/6J",
        weight="20 g",
        description="A mouse.",
    )
    model = nwbfile.create_device_model(
        name="probes", manufacturer="A maker", model_number="3b", description="A model."
    )
    devices = [
        nwbfile.create_device(name=name, description=name, serial_number=name[-1], model=model)
        for name in ("probe A", "probe B")
    ]
    groups = [
        nwbfile.create_electrode_group(
            name=f"shank {number}",
            description=f"Shank {number}.",
            location=f"CA{number}",
            device=device,
            position=(1.0, 2.0, float(number)),
        )
        for number, device in enumerate(devices)
    ]
    for name in ("depth", "good", "label"):
        nwbfile.add_electrode_column(name, f"The {name}.")
    for number in range(8):
        nwbfile.add_electrode(
            id=100 + number,
            group=groups[number % 2],
            location=f"layer {number}",
            x=float(number),
            y=float("nan"),
            z=float("inf"),
            imp=1e6 + number,
            rel_x=1.0,
            filtering="none",
            reference="skull",
            depth=number,
            good=number % 3 == 0,
            label=f"Électrode {number}",
        )

    def region(*rows):
        return nwbfile.create_electrode_table_region(list(rows), f"rows {rows}")

    raw = ElectricalSeries(
        name="raw",
        data=H5DataIO(samples((5000, 8)), compression="gzip"),
        electrodes=region(*reversed(range(8))),
        starting_time=3.5,
        rate=1000.0,
        conversion=2e-7,
        offset=1e-3,
        resolution=1e-6,
        channel_conversion=np.linspace(1, 2, 8),
        filtering="0.1 Hz to 5 kHz",
        comments="Some comments.",
        description="Raw.",
    )
    nwbfile.add_acquisition(raw)
    plain = ElectricalSeries(
        name="plain", data=samples((800, 2), 1), electrodes=region(3, 5), rate=1000.0
    )
    nwbfile.add_acquisition(plain)
    return nwbfile


def write_with_extras(path):
    """Write the same with what cannot be carried over."""
    nwbfile = _full()
    nwbfile.add_acquisition(TimeSeries(name="wheel", data=samples(50), unit="m", rate=10.0))
    nwbfile.add_stimulus(TimeSeries(name="tone", data=samples(50), unit="V", rate=10.0))
    nwbfile.add_trial(start_time=0.0, stop_time=1.0)
    nwbfile.add_unit(spike_times=[1.0, 2.0])
    nwbfile.add_electrode_column(
        "neighbours", "Which are near.", data=[[1]] * 8, index=[1, 2, 3, 4, 5, 6, 7, 8]
    )
    nwbfile.create_device_model(name="spare", manufacturer="A maker")
    module = nwbfile.create_processing_module("ecephys", "What was computed.")
    lfp = LFP()
    module.add(lfp)
    region = nwbfile.create_electrode_table_region([0, 1], "two")
    times = np.cumsum(np.full(400, 0.01)) + 2
    times[1:-1] += 0.004
    lfp.create_electrical_series(
        name="lfp", data=samples((400, 2), 2), electrodes=region, timestamps=times
    )
    lfp.create_electrical_series(
        name="smooth", data=np.zeros((400, 2)), electrodes=region, rate=100.0
    )
    nwbfile.add_scratch(np.arange(3), name="jotted", description="Something.")
    return write(path, nwbfile)
