"""Read a store with zarr alone: n1store must be installed, but need not be imported."""

import sys

import zarr


def main(path: str) -> None:
    for name, traces in zarr.open_group(path, mode="r")["recordings"].arrays():
        rate = traces.attrs["sampling_frequency"]
        print(f"{name}: {traces.shape} at {rate:g} Hz, {traces[:].min()} to {traces[:].max()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
