"""Read a store with zarr alone: n1store must be installed, but need not be imported."""

import sys

import zarr


def main(path: str) -> None:
    store = zarr.open(path, mode="r")  # without a mode it would be opened for writing
    for name, traces in store["recordings"].arrays():
        rate = traces.attrs["sampling_frequency"]
        window = traces[: round(rate)]
        print(
            f"{name}: {traces.shape} at {rate:g} Hz, "
            f"in the first second from {window.min()} to {window.max()}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
