"""Freeze payloads of a simple codec, which every later version must decode.

`python tests/codecs/freeze.py NAME` is run when the codec is added. It writes
tests/format/data/NAME-v1.npz: payloads of the data that stand in coders-v1.npz, with each extreme
of the parameter. Once the codec is released, what stands there is never replaced.
"""

import sys
from pathlib import Path

import numpy as np

from n1store.codecs import native
from n1store.errors import N1StoreError

FOLDER = Path(__file__).parents[1] / "format/data"
FIRST = FOLDER / "coders-v1.npz"
"""The data by name, and the payloads of the first five coders, each by that and the data's name."""


def frozen_data():
    """Return the data to encode, by name."""
    with np.load(FIRST) as content:
        return {name: content[name].tobytes() for name in content.files if " " not in name}


def frozen_payloads(name):
    """Return what was frozen of a codec: data and payload, each time."""
    own = FOLDER / f"{name}-v1.npz"
    with np.load(own if own.exists() else FIRST) as content:
        keys = [key for key in content.files if key.startswith(f"{name} ")]
        payloads = {key: content[key].tobytes() for key in keys}
    data = frozen_data()
    return [(data[key.split(" ")[1]], payload) for key, payload in payloads.items()]


def main(name):
    codec, path = native.simple_codec(name), FOLDER / f"{name}-v1.npz"
    if path.exists() or frozen_payloads(name):
        sys.exit(f"{name} is frozen already; what was frozen is never replaced")
    payloads = {}
    for data_name, data in frozen_data().items():
        for parameter in sorted({codec.parameters[0], codec.parameters[-1]}):
            try:
                payloads[f"{name} {data_name} {parameter}"] = codec.encode(data, 1, parameter)
            except N1StoreError:  # a transform takes whole numbers only
                print(f"{data_name} is not encoded: {len(data)} bytes")
    np.savez_compressed(path, **payloads)
    print(f"{path}: {len(payloads)} payloads")


if __name__ == "__main__":
    main(*sys.argv[1:])
