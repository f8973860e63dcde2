"""Synthetic recordings that compress like those of the Neuralink N1 implant.

Spectra, offsets and converter were fitted to the recordings that Neuralink published for its
compression challenge (mono, 19,531 Hz, 10-bit codes on a 16-bit grid), the spikes roughly so. How
much electrodes share and what artefacts look like is assumed. What is modelled:

- **Background.** Three spectra add up: the local field potential, flat to 40 Hz and falling
  steeply above; the 1/f activity of distant neurons, which the amplifier rolls off at 4 kHz; and
  white noise. Their powers and the offset differ from electrode to electrode. The electrodes of
  a recording share most of their local field potential.
- **Spikes.** Up to three neurons an electrode, each with its own waveform, size and firing rate,
  and silent for 3 ms after every spike.
- **Artefacts**, in some recordings: jolts that saturate all electrodes and then decay.
- **The converter.** The implant's code widths are very unequal: some codes hardly ever occur.
  A successive-approximation converter with two flaws would explain it, see
  `conversion_table`.

Voltages are in nominal steps of the converter, 0 being the middle of its range.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from n1store.errors import N1StoreError
from n1store.sources.wav import MAX_CHANNELS, write_wav

_MAX_FREQUENCY = 1_000_000

# One recording in so many has artefacts.
_ARTEFACT_PERIOD = 10

# A signal is made in pieces of _STEP + _OVERLAP samples, each fading into the next. The squares
# of the two fades add up to one, so that noise keeps its power.
_STEP = 28672
_OVERLAP = 4096
_FADE_IN = np.sin(np.linspace(0, np.pi / 2, _OVERLAP))
_FADE_OUT = _FADE_IN[::-1]

_NUM_CODES = 1024
_POSITIONS_PER_STEP = 32


@dataclass(frozen=True)
class Converter:
    """A successive-approximation converter of 10 bits with two flaws; by default the implant's.

    Attributes
    ----------
    bit_weights : tuple of float
        What setting each bit, from the lowest, adds to the voltage it compares with, in steps;
        ideal would be powers of two. The implant's two highest are the least certain: few
        recordings reach that far.
    settling_error : float
        What a comparison adds while the bit above, just set, is still settling, in steps.
    """

    bit_weights: tuple[float, ...] = (
        *(0.976, 1.648, 4.154, 8.472, 16.458),
        *(32.312, 64.619, 128.416, 256.0, 512.07),
    )
    settling_error: float = 0.247


N1_CONVERTER = Converter()

_MOST_RECORDINGS = 1_000_000


def synthesize(
    directory: str | Path,
    num_recordings: int = 8,
    seconds: float = 5.0,
    num_channels: int = 1,
    sampling_frequency: int = 19531,
    seed: int = 0,
    overwrite: bool = False,
    converter: Converter = N1_CONVERTER,
) -> list[Path]:
    """Write synthetic recordings as 16-bit PCM WAV files ``synth-000.wav``, ``synth-001.wav``, ...

    Every tenth recording has artefacts, in which it is clipped.

    Parameters
    ----------
    directory : str or Path
        Where to write; created where missing.
    num_recordings : int
        Number of files.
    seconds : float
        Duration of each: ``round(seconds * sampling_frequency)`` samples a channel.
    num_channels : int
        Channels of each, 1 to 1024.
    sampling_frequency : int
        Samples a second and channel, in Hz.
    seed : int
        Same seed, same files.
    overwrite : bool
        Whether to replace files that exist.
    converter : Converter
        What makes codes of voltages.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    N1StoreError
        If an argument is out of range, or a file exists and `overwrite` is false; nothing is
        written then.
    """
    if not 1 <= num_recordings <= _MOST_RECORDINGS:
        raise N1StoreError(
            f"num_recordings must be at least 1 and at most {_MOST_RECORDINGS}, "
            f"not {num_recordings}"
        )
    _check(seconds, num_channels, sampling_frequency)
    paths = [Path(directory) / f"synth-{index:03d}.wav" for index in range(num_recordings)]
    for path in paths:
        if path.exists() and not overwrite:
            raise N1StoreError(f"{path}: exists already", option="--overwrite replaces it")

    Path(directory).mkdir(parents=True, exist_ok=True)
    for index, path in enumerate(paths):
        artefacts = index % _ARTEFACT_PERIOD == _ARTEFACT_PERIOD - 1
        blocks = synthesize_blocks(
            seconds, num_channels, sampling_frequency, (seed, index), artefacts, converter
        )
        write_wav(
            path,
            blocks,
            sampling_frequency=sampling_frequency,
            num_channels=num_channels,
            num_samples=round(seconds * sampling_frequency),
            overwrite=overwrite,
        )
    return paths


def synthesize_blocks(
    seconds: float,
    num_channels: int = 1,
    sampling_frequency: float = 19531,
    seed: int | Sequence[int] = 0,
    artefacts: bool = False,
    converter: Converter = N1_CONVERTER,
) -> Iterator[np.ndarray]:
    """Generate one synthetic recording block by block, in bounded memory.

    Parameters
    ----------
    seconds : float
        Duration: ``round(seconds * sampling_frequency)`` samples a channel.
    num_channels : int
        Channels, 1 to 1024. A channel does not depend on how many others there are.
    sampling_frequency : float
        Samples a second and channel, in Hz.
    seed : int or sequence of int
        Same seed, same recording.
    artefacts : bool
        Whether a jolt saturates the electrodes in every block.
    converter : Converter
        What makes codes of voltages.

    Returns
    -------
    iterator of numpy.ndarray
        Blocks of shape (n, num_channels), int16, C-contiguous, every value on the implant's grid.
        n is the same for all blocks but the last, which may be shorter.

    Raises
    ------
    N1StoreError
        If an argument is out of range.
    """
    _check(seconds, num_channels, sampling_frequency)
    seeds = np.random.SeedSequence(seed).spawn(1 + num_channels)
    shared, *own = (np.random.default_rng(child) for child in seeds)
    electrodes = [_Electrode(rng, sampling_frequency) for rng in own]
    num_samples = round(seconds * sampling_frequency)
    table = conversion_table(converter)
    return _blocks(num_samples, sampling_frequency, electrodes, shared, artefacts, table)


def _check(seconds: float, num_channels: int, sampling_frequency: float) -> None:
    if not 1 <= num_channels <= MAX_CHANNELS:
        raise N1StoreError(f"num_channels must be 1 to {MAX_CHANNELS}, not {num_channels}")
    if not 0 < sampling_frequency <= _MAX_FREQUENCY:
        raise N1StoreError(
            f"sampling_frequency must be above 0 and at most {_MAX_FREQUENCY} Hz, "
            f"not {sampling_frequency}"
        )
    num_samples = seconds * sampling_frequency
    if not (math.isfinite(num_samples) and round(num_samples) > 0):
        raise N1StoreError(f"seconds must be finite and last at least one sample, not {seconds}")


def _blocks(
    num_samples: int,
    sampling_frequency: float,
    electrodes: list["_Electrode"],
    shared: np.random.Generator,
    artefacts: bool,
    table: np.ndarray,
) -> Iterator[np.ndarray]:
    densities = _spectral_densities(sampling_frequency)
    for start in range(0, num_samples, _STEP):
        common = _white_spectrum(shared) * np.sqrt(densities[0])
        jolt = _jolt(shared, sampling_frequency) if artefacts else 0.0
        block = np.empty((min(_STEP, num_samples - start), len(electrodes)), np.int16)
        for channel, electrode in enumerate(electrodes):
            voltage = electrode.next_block(common, densities) + jolt
            position = (voltage[: len(block)] + _NUM_CODES // 2) * _POSITIONS_PER_STEP
            block[:, channel] = table.take(position.astype(np.intp), mode="clip")
        yield block


class _Electrode:
    """The voltage of one electrode, block by block."""

    def __init__(self, rng: np.random.Generator, sampling_frequency: float) -> None:
        self._rng = rng
        self._offset = rng.normal(15, 9)
        field = rng.lognormal(1.5, 1.0)
        distant = rng.lognormal(2.7, 0.55)
        white = rng.lognormal(-6.95, 0.45)
        self._common_gain = math.sqrt(0.8 * field)
        self._own_powers = np.array([0.2 * field, distant, white])
        self._neurons = [_Neuron(rng, sampling_frequency) for _ in range(rng.integers(4))]
        self._tail: np.ndarray | None = None

    def next_block(self, common: np.ndarray, densities: np.ndarray) -> np.ndarray:
        """Return the next `_STEP` samples; `common` is the field potential all electrodes share."""
        own_gain = np.sqrt(self._own_powers @ densities)
        spectrum = _white_spectrum(self._rng) * own_gain + common * self._common_gain
        voltage = np.fft.irfft(spectrum)
        voltage[_STEP:] *= _FADE_OUT
        if self._tail is not None:
            voltage[:_OVERLAP] *= _FADE_IN
            voltage[:_OVERLAP] += self._tail
        for neuron in self._neurons:
            neuron.add_spikes(voltage)
        self._tail = voltage[_STEP:].copy()
        return voltage[:_STEP] + self._offset


class _Neuron:
    """The spikes of one neuron."""

    def __init__(self, rng: np.random.Generator, sampling_frequency: float) -> None:
        self._rng = rng
        # A sharp trough, then a shallow wave of the other sign; times in ms.
        t = np.arange(-0.6, 2.4, 1000 / sampling_frequency)
        trough = np.exp(-((t / rng.uniform(0.08, 0.18)) ** 2) / 2)
        wave = np.exp(-(((t - 0.7) / 0.5) ** 2) / 2)
        self._waveform = rng.uniform(15, 65) * (rng.uniform(0.1, 0.3) * wave - trough)
        self._silence = 0.003 * sampling_frequency
        self._interval = sampling_frequency / rng.lognormal(1.0, 0.8)
        self._next = rng.exponential(self._interval)

    def add_spikes(self, voltage: np.ndarray) -> None:
        """Add the spikes that begin in the first `_STEP` samples; the last ends in the overlap."""
        while self._next < _STEP:
            start = int(self._next)
            voltage[start : start + len(self._waveform)] += self._waveform
            self._next += self._silence + self._rng.exponential(self._interval)
        self._next -= _STEP


def _white_spectrum(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(_STEP + _OVERLAP + 2).view(np.complex128)


def _spectral_densities(sampling_frequency: float) -> np.ndarray:
    """Return the power densities of field potential, distant neurons and white noise, 3 rows.

    Scaled such that a white spectrum times the root of one yields squared steps per Hz.
    """
    num_samples = _STEP + _OVERLAP
    f = np.fft.rfftfreq(num_samples, 1 / sampling_frequency)
    f[0] = f[1]  # Not to divide by 0.
    field = 1 / (1 + (f / 40) ** 2) ** 1.5
    distant = 1 / f / (1 + (f / 4000) ** 2) ** 1.5
    densities = np.stack([field, distant, np.ones_like(f)])
    # The electrodes are coupled by capacitors, which hold back what is slower than 1 Hz.
    damped: np.ndarray = densities * f**2 / (f**2 + 1)
    return damped * sampling_frequency * num_samples / 4


def _jolt(rng: np.random.Generator, sampling_frequency: float) -> np.ndarray:
    """Return an artefact that begins somewhere in the first half of a block."""
    time = (np.arange(_STEP) - rng.integers(_STEP // 2)) / sampling_frequency
    size = rng.choice([-1, 1]) * rng.uniform(1000, 3000)
    decay = np.exp(-np.maximum(time, 0) / rng.uniform(0.005, 0.02))
    jolt: np.ndarray = size * decay * (time >= 0)
    return jolt


def conversion_table(converter: Converter = N1_CONVERTER) -> np.ndarray:
    """Return the int16 value of every voltage, `_POSITIONS_PER_STEP` entries to a step.

    The converter finds a code from the highest bit down: it sets the bit, compares the voltage
    with the weights of all bits set so far, and keeps the bit if the voltage is not below. Two
    flaws make the code widths unequal, alike for every electrode: the weights are not exact
    powers of two, and where the bit above was kept, it has not settled yet and the comparison is
    with a little more. The widths this gives for the implant's converter differ from those
    measured by 0.05 steps r.m.s.
    """
    weights, settling_error = converter.bit_weights, converter.settling_error
    num_steps = math.ceil(sum(weights)) + 1  # Enough to reach the highest code.
    voltage = (np.arange(num_steps * _POSITIONS_PER_STEP) + 0.5) / _POSITIONS_PER_STEP
    sum_of_kept = np.zeros_like(voltage)
    code = np.zeros(voltage.shape, np.int64)
    kept = np.zeros(voltage.shape, bool)
    for bit in reversed(range(len(weights))):
        kept = voltage >= sum_of_kept + weights[bit] + settling_error * kept
        sum_of_kept += weights[bit] * kept
        code |= kept.astype(np.int64) << bit
    # The implant's 10-bit codes were spread over the 16-bit range, truncating towards zero.
    return np.trunc((code - _NUM_CODES // 2 + 0.5) * 65535 / 1023 - 0.5).astype(np.int16)
