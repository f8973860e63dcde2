"""Compress a series with n1 through neuroconv's backend configuration (neuroconv 0.10)."""

import sys

import numpy as np
from neuroconv.tools.nwb_helpers import configure_backend, get_default_backend_configuration
from nwb_custom_filter import RATE, make_nwbfile, make_traces
from pynwb import NWBHDF5IO
from pynwb.ecephys import ElectricalSeries

from n1store.codecs.hdf5 import N1


def main(path: str, num_channels: str = "4", seconds: str = "3") -> None:
    traces = make_traces(int(num_channels), float(seconds))
    file, electrodes = make_nwbfile(traces.shape[1])
    series = ElectricalSeries(
        name="traces", data=traces, electrodes=electrodes, rate=RATE, conversion=1e-6
    )
    file.add_acquisition(series)

    configuration = get_default_backend_configuration(file, backend="hdf5")
    dataset = configuration.dataset_configurations["acquisition/traces/data"]
    dataset.compressors = [N1(dataset.chunk_shape[1])]
    configure_backend(file, configuration)

    with NWBHDF5IO(path, "w") as io:
        io.write(file)
    with NWBHDF5IO(path, "r") as io:
        stored = io.read().acquisition["traces"].data
        assert np.array_equal(stored, traces)
        print(f"{traces.nbytes / stored.id.get_storage_size():.2f} times smaller, and identical")


if __name__ == "__main__":
    main(*sys.argv[1:])
