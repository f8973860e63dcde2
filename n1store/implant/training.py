"""Learning the code widths of the N1's converter, and usual predictors, from recordings.

The cells of the converter's codes are of very unequal width, alike for every electrode. A
model that predicts each sample as a normal distribution of voltages says how often every code
should occur; where one occurs more often than that, its cell is wider than was assumed.

A survey takes all recordings, in pieces, through `fit_piece`: voltages from codes, linear
prediction of the voltages, and the scale of what is left. A round of learning is a survey, after
which each width is multiplied by counted / expected. It starts from the synthesizer's converter,
which has but 11 parameters and knows the codes that few recordings reach.

Codes are counted from 0 here, for the implant's -512, to 1023. Voltages are in mean widths of
the middle codes, 0 being the lower edge of code 512.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from n1store.codecs.native import NUM_CODES, adc_encode
from n1store.codecs.widths import FORMAT, VERSION
from n1store.errors import N1StoreError
from n1store.implant.synth import conversion_table
from n1store.sources.files import find_files
from n1store.sources.wav import WavFile, open_wav
from n1store.system.atomic import replacing
from n1store.system.parallel import Workers

ORDER = 32
"""Order of linear prediction."""

WIDTH_UNITS = 32
"""Units of a table of widths to a mean width."""

REFLECTION_UNITS = 1024
"""Units of reflection coefficients to a radian of their arc sine."""


_ROUNDS = 3
# Added to what is counted and expected: codes that hardly occur keep their width.
_PRIOR_COUNT = 20
_MIDDLE = slice(NUM_CODES // 4, 3 * NUM_CODES // 4)

# Recordings are taken apart into pieces about as long as the chunks of a store.
_PIECE = 20_000
_FEWEST_SAMPLES = 4096
_FEWEST_CODES = 16
_MOST_CLIPPED = 0.01
# Noise finer than the cells, in mean widths, does not tell how wide they are.
_FINEST_SCALE = 1

# What any code costs at most: the share of probability that is the same for all.
_UNIFORM_SHARE = 2.0**-13


@dataclass(frozen=True, eq=False)
class Training:
    """What was learned, and from what.

    Attributes
    ----------
    widths : ndarray of uint8, shape (1024,)
        Width of each code, from -512, in units of 1/32 of the mean width of codes -256 to 255.
        A code of width 0 does not occur.
    reflections, spreads : ndarray of int16, shape (32,)
        Mean and standard deviation of the arc sines of the reflection coefficients that linear
        prediction of order 1, 2, ... adds, in units of 1/1024 rad. The first coefficient is the
        correlation of successive samples, so positive for neural recordings.
    num_recordings, num_samples : int
        What was learned from; `num_samples` counts the channels together.
    samples_sha256 : str
        SHA-256 of the sorted SHA-256s of the channels' samples.
    flat_ratio, ratio : float
        int16 bytes divided by the ideal code length under the model, without headers and
        predictors: with equal widths, and with these.
    left_out : list of str
        A line for each channel that nothing was learned from, with the reason.
    """

    widths: np.ndarray
    reflections: np.ndarray
    spreads: np.ndarray
    num_recordings: int
    num_samples: int
    samples_sha256: str
    flat_ratio: float
    ratio: float
    left_out: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return what a file of widths holds."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "num_recordings": self.num_recordings,
            "num_samples": self.num_samples,
            "samples_sha256": self.samples_sha256,
            "ideal_ratio_flat": round(self.flat_ratio, 4),
            "ideal_ratio": round(self.ratio, 4),
            "widths": self.widths.tolist(),
            "reflections": self.reflections.tolist(),
            "spreads": self.spreads.tolist(),
        }

    def to_json(self) -> str:
        """Return a file of widths, which `load_widths` reads."""
        lines = (f"  {json.dumps(key)}: {json.dumps(item)}" for key, item in self.to_dict().items())
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def to_header(self) -> str:
        """Return the C header of the codec's built-in tables."""
        return _HEADER.format(
            num_recordings=self.num_recordings,
            num_samples=self.num_samples,
            samples_sha256=self.samples_sha256,
            flat_ratio=self.flat_ratio,
            ratio=self.ratio,
            num_codes=NUM_CODES,
            widths=_c_rows(self.widths),
            order=ORDER,
            reflections=_c_rows(self.reflections),
        )


_HEADER = """\
/*
 * Tables of the n1 codec, learned from recordings and made by `n1store train`; see
 * n1store/implant/training.py for how. Not to be edited: payloads are decoded with them, so that
 * any change is one of format. `make train` makes the same ones of the same recordings.
 *
 * recordings      {num_recordings}
 * samples         {num_samples}
 * SHA-256         {samples_sha256},
 *                 of the sorted SHA-256s of the samples of each channel
 * ideal ratio     {ratio:.4f}, with equal widths {flat_ratio:.4f}
 */
#ifndef N1STORE_N1_WIDTHS_H
#define N1STORE_N1_WIDTHS_H

#include <stdint.h>

/*
 * Width of the cell of each of the converter's codes, from -512, in units of 1/32 of the mean
 * width of codes -256 to 255; 0 for a code that does not occur.
 */
static const uint8_t N1_WIDTHS[{num_codes}] = {{
{widths}
}};

/*
 * Means of the arc sines of the reflection coefficients, from order 1, in units of 1/1024 rad.
 * The first coefficient is the correlation of successive samples.
 */
static const int16_t N1_REFLECTIONS[{order}] = {{
{reflections}
}};

#endif
"""


def _c_rows(values: np.ndarray) -> str:
    width = max(len(str(value)) for value in values)
    return "\n".join(
        "    " + " ".join(f"{value:>{width}}," for value in row) for row in values.reshape(-1, 16)
    )


def train_to_file(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    destination: str | os.PathLike[str],
    *,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Training:
    """Learn as `train` does and write the result.

    Parameters
    ----------
    sources, workers, progress
        As for `train`.
    destination : path-like
        Ends in ``.json`` for a file that `load_widths` reads, or in ``.h`` for the C header of
        the codec's built-in tables.
    overwrite : bool
        Whether to replace `destination`, once its replacement is complete.

    Raises
    ------
    N1StoreError
        As `train` does, or if `destination` cannot be. Then, as after any other exception,
        `destination` is as it was.
    """
    destination = Path(destination)
    if destination.suffix not in (".json", ".h"):
        raise N1StoreError(f"{destination}: the name of a file of widths must end in .json or .h")
    with replacing(destination, overwrite=overwrite) as temporary:
        training = train(sources, workers=workers, progress=progress)
        is_header = destination.suffix == ".h"
        temporary.write_text(training.to_header() if is_header else training.to_json())
    return training


def train(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    initial_widths: np.ndarray | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Training:
    """Learn code widths and mean reflection coefficients from recordings.

    The same recordings give the same result, in whatever order. Channels are left out that
    are too short, hold samples off the N1's grid, are clipped or silent.

    Parameters
    ----------
    sources : path-like or iterable of path-like
        WAV files of the N1, and folders to search for them.
    initial_widths : ndarray, shape (1024,), optional
        Code widths to begin with, in any unit; by default those of the synthesizer's converter.
    workers : int, optional
        How many cores to use; by default all.
    progress : callable, optional
        Called with the bytes of samples done and to do.

    Returns
    -------
    Training

    Raises
    ------
    N1StoreError
        If a source cannot be read, or nothing can be learned from any.
    """
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    files = find_files([Path(source) for source in sources])
    if not files:
        raise N1StoreError("no sources are given")
    left_out: list[str] = []
    recordings = [_usable_channels(open_wav(path), left_out) for path, _ in files]
    # Sums of floating-point numbers depend on their order, so it must not be that of the files.
    recordings = sorted((r for r in recordings if r.channels), key=lambda r: r.digests)
    if not recordings:
        raise N1StoreError(f"nothing can be learned from the sources; the first: {left_out[0]}")
    num_samples = sum(recording.num_samples for recording in recordings)
    digests = sorted(digest for recording in recordings for digest in recording.digests)

    total = (_ROUNDS + 2) * num_samples
    done = 0

    def report(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(2 * done, 2 * total)

    report(0)
    with Workers(workers) as fitters:
        survey = partial(_survey, recordings, fitters, report)
        flat = survey(cell_edges(np.ones(NUM_CODES)))
        edges = cell_edges(_synthetic_widths() if initial_widths is None else initial_widths)
        for _ in range(_ROUNDS):
            edges = survey(edges).better_edges()
        widths = np.clip(np.diff(np.rint(WIDTH_UNITS * edges)), 0, 255).astype(np.uint8)
        final = survey(cell_edges(widths))

    angles = REFLECTION_UNITS * np.arcsin(final.reflections)
    return Training(
        widths=widths,
        reflections=np.rint(angles.mean(axis=0)).astype(np.int16),
        spreads=np.rint(angles.std(axis=0)).astype(np.int16),
        num_recordings=len(recordings),
        num_samples=num_samples,
        samples_sha256=hashlib.sha256(b"".join(digests)).hexdigest(),
        flat_ratio=flat.ratio,
        ratio=final.ratio,
        left_out=left_out,
    )


@dataclass(frozen=True)
class _Recording:
    """The usable channels of a WAV file: their numbers, and the SHA-256 of each one's samples."""

    wav: WavFile
    channels: list[int]
    digests: list[bytes]

    @property
    def num_samples(self) -> int:
        return self.wav.num_samples * len(self.channels)

    def pieces(self) -> Iterator[np.ndarray]:
        """Read the codes of the channels, piece by piece."""
        for block in _blocks(self.wav):
            for channel in self.channels:
                yield (block[:, channel] >> 6) + NUM_CODES // 2


def _blocks(wav: WavFile) -> Iterator[np.ndarray]:
    """Read a WAV file in blocks of almost equal length."""
    count = math.ceil(wav.num_samples / _PIECE)
    bounds = [wav.num_samples * index // max(count, 1) for index in range(count + 1)]
    for start, stop in pairwise(bounds):
        yield wav.read(start, stop)


def _usable_channels(wav: WavFile, left_out: list[str]) -> _Recording:
    counts = np.zeros((wav.num_channels, NUM_CODES), np.int64)
    hashes = [hashlib.sha256() for _ in range(wav.num_channels)]
    for block in _blocks(wav):
        codes = adc_encode(block)
        for channel, channel_codes in enumerate(codes.T):
            is_on_grid = (channel_codes >= -NUM_CODES // 2) & (channel_codes < NUM_CODES // 2)
            indices = channel_codes[is_on_grid] + NUM_CODES // 2
            counts[channel] += np.bincount(indices, minlength=NUM_CODES)
            hashes[channel].update(block[:, channel].tobytes())
    problems = [_problem(counts[channel], wav.num_samples) for channel in range(wav.num_channels)]
    for channel, problem in enumerate(problems):
        if problem:
            place = f", channel {channel}" if wav.num_channels > 1 else ""
            left_out.append(f"{wav.path}{place}: {problem}")
    channels = [channel for channel, problem in enumerate(problems) if not problem]
    return _Recording(wav, channels, [hashes[channel].digest() for channel in channels])


def _problem(counts: np.ndarray, num_samples: int) -> str | None:
    """Return why nothing can be learned from a channel with these counts of codes."""
    off_grid = num_samples - counts.sum()
    if num_samples < _FEWEST_SAMPLES:
        return f"is too short: {num_samples} samples of at least {_FEWEST_SAMPLES}"
    if off_grid:
        return f"is no recording of the N1: {off_grid} samples are off its grid"
    if counts[0] + counts[-1] > _MOST_CLIPPED * num_samples:
        return f"is clipped in {(counts[0] + counts[-1]) / num_samples:.1%} of its samples"
    if np.count_nonzero(counts) < _FEWEST_CODES:
        return f"is silent: it holds {np.count_nonzero(counts)} different values"
    return None


@dataclass(frozen=True, eq=False)
class Fit:
    """What the model says of a piece of a recording.

    Attributes
    ----------
    reflections : ndarray of float64, shape (ORDER,)
    counted : ndarray of int64, shape (NUM_CODES,)
        Of the samples that were predicted: all but the first `ORDER`, and dead ones.
    spectrum : ndarray of complex128
        Of the probability density of voltages, summed over these samples.
    bits : float
        Their code length.
    """

    reflections: np.ndarray
    counted: np.ndarray
    spectrum: np.ndarray
    bits: float


@dataclass(frozen=True, eq=False)
class _Survey:
    """What the model says of all recordings, given the edges of the cells."""

    edges: np.ndarray
    reflections: np.ndarray  # a row for each piece
    counted: np.ndarray
    expected: np.ndarray
    bits: float

    @property
    def ratio(self) -> float:
        return 16 * float(self.counted.sum()) / self.bits

    def better_edges(self) -> np.ndarray:
        factors = (self.counted + _PRIOR_COUNT) / (self.expected + _PRIOR_COUNT)
        factors[[0, -1]] = 1  # These cells have no outer edge.
        return cell_edges(np.diff(self.edges) * factors)


def _survey(
    recordings: list[_Recording],
    workers: Workers,
    report: Callable[[int], None],
    edges: np.ndarray,
) -> _Survey:
    calls = (
        (piece.size, partial(fit_piece, piece, edges))
        for recording in recordings
        for piece in recording.pieces()
    )
    reflections = []
    counted = np.zeros(NUM_CODES, np.int64)
    spectrum = np.zeros(_FREQUENCIES.size, np.complex128)
    bits = 0.0
    for num_samples, fit in workers.in_order(calls):
        if fit is not None:
            reflections.append(fit.reflections)
            counted += fit.counted
            spectrum += fit.spectrum
            bits += fit.bits
        report(num_samples)
    if not reflections:
        raise N1StoreError("nothing can be learned from the sources: there is hardly any noise")
    expected = expected_counts(edges, spectrum)
    return _Survey(edges, np.array(reflections), counted, expected, bits)


# Voltages in bins, for densities: far beyond the converter's range on both sides.
_NUM_BINS, _BINS_PER_WIDTH = 1 << 16, 32
_BIN_EDGES = (np.arange(_NUM_BINS + 1) - _NUM_BINS / 2 - 0.5) / _BINS_PER_WIDTH
_FREQUENCIES = np.fft.rfftfreq(_NUM_BINS, 1 / _BINS_PER_WIDTH)


def fit_piece(codes: np.ndarray, edges: np.ndarray) -> Fit | None:
    """Fit the model to a piece of a recording.

    Parameters
    ----------
    codes : ndarray of integers, shape (num_samples,)
        Codes from 0 to 1023.
    edges : ndarray of float64, shape (1025,)
        Edges of their cells, as `cell_edges` returns them.

    Returns
    -------
    Fit or None
        None if nothing can be learned from the piece.
    """
    # A sample like all those that would predict it is of a dead electrode or converter.
    num_changes = np.cumsum(np.diff(codes, prepend=-1) != 0)
    is_live = num_changes[ORDER:] > num_changes[:-ORDER]
    if not is_live.any():
        return None
    voltages = ((edges[1:] + edges[:-1]) / 2)[codes]
    mean = voltages.mean()
    reflections, predictor = _levinson(_autocorrelation(voltages - mean))
    predicted = np.convolve(voltages - mean, predictor, "valid")[:-1] + mean
    residual = voltages[ORDER:] - predicted
    codes, predicted, residual = codes[ORDER:][is_live], predicted[is_live], residual[is_live]
    # Judged by the middle half of the residual, as spikes are not noise.
    lower, upper = np.percentile(residual, [25, 75])
    scale = (upper - lower) / 1.349
    if scale < _FINEST_SCALE:
        return None

    counted = np.bincount(codes, minlength=NUM_CODES)
    bins = np.rint(predicted * _BINS_PER_WIDTH).astype(np.int64) + _NUM_BINS // 2
    histogram = np.bincount(bins.clip(0, _NUM_BINS - 1), minlength=_NUM_BINS)
    spectrum = np.fft.rfft(histogram) * np.exp(-2 * (np.pi * scale * _FREQUENCIES) ** 2)

    open_edges = np.concatenate([[-np.inf], edges[1:-1], [np.inf]])
    probability = _normal_cdf((open_edges[codes + 1] - predicted) / scale)
    probability -= _normal_cdf((open_edges[codes] - predicted) / scale)
    probability += _UNIFORM_SHARE * (1 / NUM_CODES - probability)
    return Fit(reflections, counted, spectrum, -float(np.log2(probability).sum()))


def expected_counts(edges: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
    """Return how often each code should occur, given the spectrum of the density of voltages."""
    below = np.concatenate([[0], np.cumsum(np.fft.irfft(spectrum))])
    return np.diff(np.interp(edges, _BIN_EDGES, below))


def _autocorrelation(values: np.ndarray) -> np.ndarray:
    size = 1 << (values.size + ORDER).bit_length()
    result = np.fft.irfft(np.abs(np.fft.rfft(values, size)) ** 2)[: ORDER + 1]
    result[0] *= 1 + 1e-9  # A trace of white noise, lest pure tones be predicted perfectly.
    return result


def _levinson(autocorrelation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the reflection coefficients, and the predictor that they give."""
    reflections = np.empty(ORDER)
    predictor = np.empty(0)
    power = autocorrelation[0]
    for order in range(ORDER):
        known = predictor @ autocorrelation[order:0:-1]
        reflection = (autocorrelation[order + 1] - known) / power
        predictor = np.append(predictor - reflection * predictor[::-1], reflection)
        power *= 1 - reflection**2
        reflections[order] = reflection
    return reflections, predictor


_CDF_REACH, _CDF_STEPS = 8, 128
_CDF = np.array(
    [
        math.erfc(_CDF_REACH / math.sqrt(2) - step / (_CDF_STEPS * math.sqrt(2))) / 2
        for step in range(2 * _CDF_REACH * _CDF_STEPS + 1)
    ]
)
_CDF_RISES = np.diff(_CDF, append=_CDF[-1])


def _normal_cdf(values: np.ndarray) -> np.ndarray:
    # np.interp, which searches for each value, takes ten times as long.
    steps = _CDF_STEPS * (values.clip(-_CDF_REACH, _CDF_REACH) + _CDF_REACH)
    whole = steps.astype(np.int64)
    shares: np.ndarray = _CDF[whole] + (steps - whole) * _CDF_RISES[whole]
    return shares


def _synthetic_widths() -> np.ndarray:
    """Return the code widths of the synthesizer's converter, a model fitted to the implant's."""
    counts = np.bincount((conversion_table() >> 6) + NUM_CODES // 2, minlength=NUM_CODES)
    return counts + 0.03  # Codes that it does not know may be learned.


def cell_edges(widths: np.ndarray) -> np.ndarray:
    """Return the 1025 edges of cells of these widths, whose unit does not matter."""
    edges = np.concatenate([[0], np.cumsum(widths, dtype=np.float64)])
    centred: np.ndarray = edges - edges[NUM_CODES // 2]
    return centred / float(widths[_MIDDLE].mean())
