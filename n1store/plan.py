"""Which arrays a conversion makes of which files: their names, places and chunks."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from n1store.stores.grid import DTYPE, Grid
from n1store.wav import WavError, WavFile, default_channel_ids

LAYOUTS = ("recordings", "channels", "spikeinterface")

_MAX_CHUNK_CHANNELS = 64
_CHUNK_BYTES = 10e6
_CHUNKS_PER_SHARD = 64  # in time; a file for each chunk costs more than encoding it


@dataclass(frozen=True, eq=False)
class ArrayPlan:
    """An array to write: its name, place and grid, and the files it is read from."""

    name: str
    path: str
    wavs: tuple[WavFile, ...]
    labels: tuple[str, ...]
    channel_ids: tuple[str, ...]
    grid: Grid

    @property
    def sampling_frequency(self) -> int:
        return self.wavs[0].sampling_frequency

    @property
    def raw_bytes(self) -> int:
        return sum(wav.num_samples * wav.frame_bytes for wav in self.wavs)


def plan_arrays(
    wavs: list[tuple[WavFile, str]],
    layout: str,
    group: str,
    chunk_seconds: float | None,
    shard_seconds: float | None,
) -> list[ArrayPlan]:
    """Decide which arrays to write, in which order, of which files.

    Parameters
    ----------
    wavs : list of (WavFile, str)
        Files, at least one, and the relative paths that tell them from each other.
    layout : {'recordings', 'channels', 'spikeinterface'}
    group : str
        What the arrays are in, but for SpikeInterface's.
    chunk_seconds : float, optional
        Length of a chunk; by default what takes 10 MB, as in NWB files.
    shard_seconds : float, optional
        How much one file holds; 0 if each chunk has its own, None for 64 chunks.

    Raises
    ------
    WavError
        If the layout wants files to agree that do not.
    """
    names = _names([label for _, label in wavs])

    def plan(name: str, path: str, members: Sequence[int], channel_ids: Sequence[str]) -> ArrayPlan:
        first = wavs[members[0]][0]
        shape = first.num_samples, len(channel_ids)
        return ArrayPlan(
            name,
            path,
            tuple(wavs[member][0] for member in members),
            tuple(wavs[member][1] for member in members),
            tuple(channel_ids),
            _grid(shape, first.sampling_frequency, chunk_seconds, shard_seconds),
        )

    if layout == "channels":
        _require_alike(wavs, "num_samples", "samples")
        _require_alike(wavs, "sampling_frequency", "Hz")
        channel_ids = [
            name if wav.num_channels == 1 else f"{name}-{channel}"
            for name, (wav, _) in zip(names, wavs, strict=True)
            for channel in range(wav.num_channels)
        ]
        return [plan("traces", f"{group}/traces", range(len(wavs)), channel_ids)]
    if layout == "spikeinterface":
        _require_alike(wavs, "num_channels", "channels")
        _require_alike(wavs, "sampling_frequency", "Hz")
        paths = [f"traces_seg{segment}" for segment in range(len(wavs))]
    else:
        paths = [f"{group}/{name}" for name in names]
    return [
        plan(name, path, [member], default_channel_ids(wavs[member][0].num_channels))
        for member, (name, path) in enumerate(zip(names, paths, strict=True))
    ]


def _require_alike(wavs: list[tuple[WavFile, str]], attribute: str, unit: str) -> None:
    first, expected = wavs[0][0], getattr(wavs[0][0], attribute)
    for wav, _ in wavs:
        if getattr(wav, attribute) != expected:
            raise WavError(
                wav.path,
                f"has {getattr(wav, attribute)} {unit}, {first.path.name} has {expected}; "
                "this layout takes files that agree, --layout recordings takes any",
            )


def _names(labels: list[str]) -> list[str]:
    """Name recordings by file stem, with the folders in front where stems are not unique."""
    paths = [Path(label).with_suffix("") for label in labels]
    counts = Counter(path.name for path in paths)
    names: dict[str, None] = {}
    for path in paths:
        name = path.name if counts[path.name] == 1 else "_".join(path.parts)
        # What Zarr or NWB does not allow in a name, and what is no text.
        name = re.sub(r"[/:\\\x00-\x1f\x7f\ud800-\udfff]", "_", name)
        name = name.replace("zarr.json", "zarr_json")
        name = unique = re.sub(r"^(\.|__)+", "", name) or "recording"
        number = 2
        while unique in names:
            unique = f"{name}_{number}"
            number += 1
        names[unique] = None
    return list(names)


def _grid(
    shape: tuple[int, int],
    sampling_frequency: int,
    chunk_seconds: float | None,
    shard_seconds: float | None,
) -> Grid:
    num_samples, num_channels = shape
    groups = -(-num_channels // _MAX_CHUNK_CHANNELS)
    chunk_channels = -(-num_channels // groups)
    wanted = _CHUNK_BYTES / (DTYPE.itemsize * chunk_channels)
    if chunk_seconds is not None:
        wanted = chunk_seconds * sampling_frequency
    # Blosc shuffles bits in groups of eight samples, and else silently leaves them as they are;
    # WavPack takes no fewer than 16.
    # Rounded up, so that whole seconds of a recording leave no chunk of a few samples.
    chunk_samples = 8 * max(2, math.ceil(min(wanted / 8, -(-num_samples // 8)) - 1e-6))
    chunks_in_time = -(-num_samples // chunk_samples)
    per_shard = _CHUNKS_PER_SHARD
    if shard_seconds is not None:
        per_shard = round(min(shard_seconds * sampling_frequency / chunk_samples, chunks_in_time))
    per_shard = max(1, min(per_shard, chunks_in_time))
    sharded = shard_seconds != 0 and chunks_in_time * groups > 1
    return Grid(shape, (chunk_samples, chunk_channels), per_shard if sharded else 0)
