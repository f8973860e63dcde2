"""Convert WAV files to a store and read them back."""

import sys

import n1store


def main(sources: str, destination: str, codec: str = "n1") -> None:
    result = n1store.convert(sources, destination, codec=codec)
    print(f"{result.sizes.raw_bytes / result.sizes.stored_bytes:.2f} times smaller")

    with n1store.open(destination) as store:
        for name, recording in store.items():
            print(
                f"{name}: {recording.num_channels} channels, {recording.duration:.2f} s, "
                f"first samples {recording.traces[:3, 0]}"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
