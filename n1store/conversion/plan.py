"""Which arrays a conversion makes of what: their names, places and chunks."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from n1store.codecs.n1 import MAX_BLOCK_SAMPLES
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError
from n1store.sources.base import Input
from n1store.stores.grid import DTYPE, Grid, chunk_shape_for, chunks_per_shard_for

Layout = Literal["recordings", "channels", "spikeinterface"]
"""An array for each recording, one of all their channels, or SpikeInterface's own layout."""

# From so many channels on blocks are short.
_MANY_CHANNELS = 512


@dataclass(frozen=True, eq=False)
class ArrayPlan:
    """An array to write: its name, place and grid, and what it is read from."""

    name: str
    path: str
    inputs: tuple[Input, ...]
    channel_ids: tuple[str, ...]
    grid: Grid

    @property
    def sampling_frequency(self) -> float:
        return self.inputs[0].sampling_frequency

    @property
    def num_files(self) -> int:
        """Original files that its inputs came from."""
        return sum(each.num_files for each in self.inputs)

    @property
    def keeps_files(self) -> bool:
        """Whether all of its channels came from files, which then can be restored."""
        return all(each.num_files for each in self.inputs)

    @property
    def raw_bytes(self) -> int:
        return DTYPE.itemsize * self.grid.shape[0] * self.grid.shape[1]


def plan_arrays(
    inputs: list[Input],
    layout: Layout,
    group: str,
    chunk_seconds: float | None,
    default_seconds: float | None,
    shard_seconds: float | None,
    chunk_channels: int | None = None,
) -> list[ArrayPlan]:
    """Decide which arrays to write, in which order, of which inputs.

    Parameters
    ----------
    inputs : list of Input
        At least one.
    layout : {'recordings', 'channels', 'spikeinterface'}
    group : str
        What the arrays are in, but for SpikeInterface's.
    chunk_seconds : float, optional
        Length of a chunk; by default an array has the chunks of the one it is made from.
    default_seconds : float, optional
        Where that has none; None for what takes 10 MB, as in NWB files.
    shard_seconds : float, optional
        How much one file holds; 0 if each chunk has its own, None for 64 chunks.
    chunk_channels : int, optional
        The most channels of a chunk; by default 64, or those that the array has which it is made
        from.

    Raises
    ------
    N1StoreError
        If the layout wants inputs to agree that do not.
    """
    names = _names([each.name for each in inputs])

    def plan(
        name: str, path: str, members: Sequence[Input], channel_ids: Sequence[str]
    ) -> ArrayPlan:
        first = members[0]
        shape = first.num_samples, len(channel_ids)
        rate = first.sampling_frequency
        seconds = default_seconds if chunk_seconds is None else chunk_seconds
        is_same = len(members) == 1 and chunk_seconds is None and chunk_channels is None
        chunk_shape = first.chunk_shape if is_same else None
        chunk_shape = chunk_shape or chunk_shape_for(shape, rate, seconds, chunk_channels)
        per_shard = chunks_per_shard_for(shape, chunk_shape, rate, shard_seconds)
        grid = Grid(shape, chunk_shape, per_shard)
        return ArrayPlan(name, path, tuple(members), tuple(channel_ids), grid)

    if layout == "channels":
        _require_alike(inputs, "num_samples", "samples")
        _require_alike(inputs, "sampling_frequency", "Hz")
        channel_ids = [
            name if each.num_channels == 1 else f"{name}-{channel}"
            for name, each in zip(names, inputs, strict=True)
            for channel in each.channel_ids
        ]
        return [plan("traces", f"{group}/traces", inputs, channel_ids)]
    if layout == "spikeinterface":
        _require_alike(inputs, "num_channels", "channels")
        _require_alike(inputs, "sampling_frequency", "Hz")
        paths = [f"traces_seg{segment}" for segment in range(len(inputs))]
    else:
        paths = [f"{group}/{name}" for name in names]
    return [
        plan(name, path, [each], each.channel_ids)
        for name, path, each in zip(names, paths, inputs, strict=True)
    ]


def with_blocks(
    pipeline: Pipeline, plans: Sequence[ArrayPlan], block_seconds: float | None
) -> Pipeline:
    """Return a pipeline whose `n1`, if it has one, makes blocks that suit all arrays.

    A window costs what the blocks cost that it lies in, and short blocks take more room: 0.2 % in
    blocks of half a second, 0.6 % in those of a quarter. By default blocks of several channels have
    1 s at most; with many channels, of which a short window has many samples, 0.25 s.

    Raises
    ------
    N1StoreError
        If `block_seconds` is given, and there is no `n1` to make blocks.
    """
    stages = pipeline.spec.split("+")
    place = pipeline.names.index("n1") if "n1" in pipeline.names else None
    if place is None:
        if block_seconds is not None:
            raise N1StoreError(f"codec {pipeline.spec} makes no blocks; n1 does")
        return pipeline
    if "block_samples=" in stages[place]:
        return pipeline
    lengths = []
    for plan in plans:
        seconds = block_seconds
        if seconds is None:
            seconds = _default_block_seconds(plan.grid.shape[1])
        length = min(seconds * plan.sampling_frequency, MAX_BLOCK_SAMPLES)
        # Chunks are a little longer than was asked for, to be of whole bytes of bits.
        if length + 8 < plan.grid.chunk_shape[0]:
            lengths.append(max(1, math.ceil(length)))
    if not lengths:
        return pipeline
    stages[place] += f"{',' if ':' in stages[place] else ':'}block_samples={min(lengths)}"
    return Pipeline.parse("+".join(stages))


def _default_block_seconds(num_channels: int) -> float:
    if num_channels == 1:
        return math.inf
    return 1.0 if num_channels < _MANY_CHANNELS else 0.25


def _require_alike(inputs: list[Input], attribute: str, unit: str) -> None:
    first, expected = inputs[0], getattr(inputs[0], attribute)
    for each in inputs:
        if getattr(each, attribute) != expected:
            raise N1StoreError(
                f"{each.label}: has {getattr(each, attribute)} {unit}, {first.label} has "
                f"{expected}; this layout takes recordings that agree",
                option="--layout recordings takes any",
            )


def _names(parts: list[tuple[str, ...]]) -> list[str]:
    """Name recordings by file stem, with the folders in front where stems are not unique."""
    counts = Counter(each[-1] for each in parts)
    names: dict[str, None] = {}
    for each in parts:
        name = each[-1] if counts[each[-1]] == 1 else "_".join(each)
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
