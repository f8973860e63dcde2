"""Read an NWB file with pynwb alone: n1store must be installed, but need not be imported."""

import sys

import pynwb
from pynwb.ecephys import ElectricalSeries


def main(path: str, seconds: str = "0.25") -> None:
    with pynwb.NWBHDF5IO(path, "r") as io:
        file = io.read()
        for name, series in file.acquisition.items():
            if isinstance(series, ElectricalSeries):
                window = series.data[: round(float(seconds) * series.rate)]
                volts = window * series.conversion + series.offset
                print(
                    f"{name}: {series.data.shape} at {series.rate:g} Hz, the first {len(window)} "
                    f"samples from {volts.min():g} to {volts.max():g} V"
                )


if __name__ == "__main__":
    main(*sys.argv[1:])
