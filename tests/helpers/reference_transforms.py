"""Decoders of the transforms' payloads, delta to iwt, written from filters/format/codecs.md alone.

Plain Python in whole numbers, one after the other, with the names of the specification, whose
sections stand above the functions, behind a §.
"""

import math

import numpy as np


def signed(number):
    return (int(number) + 32768) % 65536 - 32768


# § Header of a transform
def frames_of_eights(num_channels):
    return 8 // math.gcd(8, num_channels)


# § lpc
def lpc_frames(num_channels, order):
    """Return the frames that lpc adds to the header's."""
    eights = frames_of_eights(num_channels)
    return -(-(1 + order) // eights) * eights


# § Transforms, Header of a transform, Grain
def specified(name, payload):
    """Return the data of a payload as uint16, of shape (num_samples, num_channels)."""
    numbers = np.frombuffer(payload, "<u2")
    num_channels, (parameter, grain) = (
        int(numbers[0]) + 65536 * int(numbers[1]),
        numbers[2:4].tolist(),
    )
    frames = numbers.reshape(-1, num_channels)[frames_of_eights(num_channels) :]
    if name == "lpc":  # the frames of 0
        frames = np.delete(frames, np.s_[parameter + 1 : lpc_frames(num_channels, parameter)], 0)
    assert grain in (range(16) if name in ("lpc", "iwt") else range(1))
    columns = [UNDO[name](column.tolist(), parameter, grain) for column in frames.T]
    return np.array(columns).T.astype("u2")


# § delta
def undo_delta(y, order, _):
    x = [0, 0]
    for number in y:
        x.append((number + x[-1] if order == 1 else number + 2 * x[-1] - x[-2]) % 65536)
    return x[2:]


# § lpc
def undo_lpc(column, order, g):
    s, coefficients = column[0], [signed(number) for number in column[1 : order + 1]]
    assert 0 <= s <= 15
    x = [0] * order
    for y in column[order + 1 :]:
        e = sum(c * x[-k] for k, c in enumerate(coefficients, start=1)) - 2**s * x[-1]
        x.append(signed(y + x[-1] + (e + 2 ** (s + g) // 2 >> s + g) * 2**g))
    return [number % 65536 for number in x[order:]]


# § iwt
def undo_iwt(column, levels, g):
    lengths = [len(column)]
    for _ in range(levels):
        lengths.append(-(-lengths[-1] // 2))
    for n, num_smooth in zip(lengths[-2::-1], lengths[:0:-1], strict=True):
        x, d = [0] * n, [signed(number) for number in column[num_smooth:n]]
        for i, s in enumerate(column[:num_smooth]):
            before, after = d[max(i - 1, 0) :][:1], d[min(i, len(d) - 1) :][:1]
            x[2 * i] = signed(
                s - ((before[0] + after[0] + 2 ** (g + 1) >> g + 2) * 2**g if d else 0)
            )
        for i in range(len(d)):
            right = x[2 * i + 2] if 2 * i + 2 < n else x[2 * i]
            rise = (right - x[2 * i] + 2**g - 1 >> g + 1) * 2**g
            x[2 * i + 1] = signed(d[i] + x[2 * i] + rise)
        column[:n] = x
    return [number % 65536 for number in column]


UNDO = {"delta": undo_delta, "lpc": undo_lpc, "iwt": undo_iwt}
