"""Read an NWB file with h5py alone: n1store must be installed, but need not be imported."""

import sys

import h5py


def main(path: str) -> None:
    with h5py.File(path, "r") as file:
        for name, series in file["acquisition"].items():
            if series.attrs["neurodata_type"] == "ElectricalSeries":
                traces = series["data"]
                print(
                    f"{name}: {traces.shape} of {traces.dtype} in chunks of {traces.chunks}, "
                    f"{traces[:].min()} to {traces[:].max()}, "
                    f"{traces.nbytes / traces.id.get_storage_size():.2f} times smaller"
                )


if __name__ == "__main__":
    main(*sys.argv[1:])
