"""Compress a series with n1 in an NWB file that pynwb writes."""

import sys
import warnings
from datetime import UTC, datetime

import numpy as np
from pynwb import NWBHDF5IO, H5DataIO, NWBFile
from pynwb.ecephys import ElectricalSeries

from n1store.codecs.hdf5 import N1

RATE = 19531.0


def main(path: str, num_channels: str = "4", seconds: str = "3") -> None:
    traces = make_traces(int(num_channels), float(seconds))
    file, electrodes = make_nwbfile(traces.shape[1])

    chunks = (min(len(traces), round(RATE)), min(traces.shape[1], 64))
    n1 = N1(chunks[1])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*compression may not be available", UserWarning)
        data = H5DataIO(
            traces,
            chunks=chunks,
            compression=n1.filter_id,
            compression_opts=n1.filter_options,
            allow_plugin_filters=True,
        )
    series = ElectricalSeries(
        name="traces", data=data, electrodes=electrodes, rate=RATE, conversion=1e-6
    )
    file.add_acquisition(series)

    with NWBHDF5IO(path, "w") as io:
        io.write(file)
    with NWBHDF5IO(path, "r") as io:
        stored = io.read().acquisition["traces"].data
        assert np.array_equal(stored, traces)
        print(f"{traces.nbytes / stored.id.get_storage_size():.2f} times smaller, and identical")


def make_traces(num_channels: int, seconds: float) -> np.ndarray:
    """Return int16 samples of shape (num_samples, num_channels): a walk of random steps."""
    random = np.random.default_rng(0)
    steps = random.normal(0, 40, (round(seconds * RATE), num_channels))
    return np.cumsum(steps, axis=0).clip(-32768, 32767).astype("int16")


def make_nwbfile(num_channels: int) -> tuple:
    """Return an NWBFile without series, and the region of all its electrodes."""
    file = NWBFile(
        session_description="how a series is compressed",
        identifier="example",
        session_start_time=datetime(2026, 1, 1, tzinfo=UTC),
    )
    device = file.create_device("implant")
    group = file.create_electrode_group(
        "group", description="all electrodes", location="unknown", device=device
    )
    for _ in range(num_channels):
        file.add_electrode(group=group, location="unknown")
    region = list(range(num_channels))
    return file, file.create_electrode_table_region(region, "all, in the order of the channels")


if __name__ == "__main__":
    main(*sys.argv[1:])
