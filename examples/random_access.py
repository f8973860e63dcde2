"""Read a window of a recording by time; only the chunks that it touches are decoded."""

import sys

import n1store


def main(path: str, start_seconds: str = "1.5", seconds: str = "0.25") -> None:
    with n1store.open(path) as store:
        for name, recording in store.items():
            rate = recording.sampling_frequency
            first = round(float(start_seconds) * rate)
            window = recording.traces[first : first + round(float(seconds) * rate)]
            print(f"{name}: {window.shape} from {first / rate:.3f} s, mean {window.mean():.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
