"""The main job: recordings in, from whatever source, and a store out."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from n1store import store_kinds
from n1store.codecs.pipeline import Pipeline
from n1store.conversion.arrays import write_arrays
from n1store.conversion.plan import ArrayPlan, Layout, plan_arrays, with_blocks
from n1store.display import Displayed
from n1store.errors import N1StoreError
from n1store.session.merge import SessionPart, merge_sessions
from n1store.sizes import StoreSizes, measure_sizes
from n1store.sources.base import Findings, Input
from n1store.sources.inputs import find_inputs

if TYPE_CHECKING:
    from n1store.session.metadata import NwbMetadata

DEFAULT_CODEC = "n1"

OnError = Literal["stop", "skip"]
"""What to do about a source that cannot be read."""


@dataclass(frozen=True, repr=False)
class Conversion(Displayed):
    """What a conversion did.

    Attributes
    ----------
    destination : Path
    sizes : StoreSizes
        Of the store that was written.
    seconds : float
        Wall time, from the first look at the sources to the finished store.
    skipped : list of str
        A line for each source that was left out.
    lost : list of str
        A line for each thing that sources say beside their samples and that was not kept.
    unknown : list of str
        What the store would say of the session and nobody has told, by the names that the options
        of the command line have too; and ``starting_times``, if all of several recordings begin
        at 0.
    """

    destination: Path
    sizes: StoreSizes = field(repr=False)
    seconds: float
    skipped: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def megabytes_per_second(self) -> float:
        """Speed in 1e6 bytes of int16 samples a second."""
        return self.sizes.raw_bytes / 1e6 / self.seconds

    @property
    def xrt(self) -> float:
        """Speed in seconds of recordings a second."""
        return self.sizes.duration / self.seconds

    def _headline(self) -> str:
        return f"{self.destination}: {self.sizes.headline}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        lists = {"skipped": self.skipped, "not kept": self.lost}
        return [], [
            *self.sizes.rows,
            ["converted", f"{self.seconds:.2f} s, {self.megabytes_per_second:.0f} MB/s"],
            *([label, line] for label, lines in lists.items() for line in lines),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        return {
            "destination": str(self.destination),
            **self.sizes.to_dict(),
            "seconds": self.seconds,
            "encode_mb_per_s": self.megabytes_per_second,
            "encode_xrt": self.xrt,
            "skipped": self.skipped,
            "lost": self.lost,
            "unknown": self.unknown,
        }


def convert(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    destination: str | os.PathLike[str],
    *,
    codec: str = DEFAULT_CODEC,
    adc: bool = True,
    checksum: bool = True,
    chunk_seconds: float | None = None,
    chunk_channels: int | None = None,
    block_seconds: float | None = None,
    layout: Layout = "recordings",
    zarr_format: Literal[2, 3] | None = None,
    shard_seconds: float | None = None,
    nwb: NwbMetadata | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    on_error: OnError = "stop",
    follow_links: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Conversion:
    """Convert recordings to a compressed Zarr store or NWB file.

    Parameters
    ----------
    sources : path-like or iterable of path-like
        WAV files, folders to search for them, and stores, whose encoded chunks are copied where
        codec and chunks stay the same.
    destination : path-like
        Ends in ``.zarr`` (a folder), ``.zarr.zip`` or ``.nwb`` (a file).
    codec : str
        Pipeline, such as ``n1:level=3`` or ``delta+zstd``.
    adc : bool
        Whether to map samples to the converter's codes first. `n1` does that itself.
    checksum : bool
        Whether readers without n1store are to notice changed bits: each chunk then ends with a
        checksum, unless the codec has one. Programs that know few codecs read format 2 only
        without. `verify` has checksums of its own.
    chunk_seconds : float, optional
        Length of a chunk; in samples, rounded up to a multiple of 8, at least 16. By default that
        of a store which is converted; else 1 s in Zarr, and what takes 10 MB in NWB.
    chunk_channels : int, optional
        The most channels of a chunk; by default that of a store which is converted, else 64.
    block_seconds : float, optional
        Length of the blocks within a chunk, of one channel each, which `n1` decodes one by one. By
        default 1 s at most where there are several channels, 0.25 s where there are 512 or more,
        and as long as suits where there is one.
    layout : {'recordings', 'channels', 'spikeinterface'}
        An array for each file; one array whose channels are those of all files; or
        SpikeInterface's own layout with a segment for each file (Zarr only).
    zarr_format : {2, 3}, optional
        3 where zarr 3 is installed, else 2. SpikeInterface's layout is always of format 2.
    shard_seconds : float, optional
        Seconds of chunks that one file holds (format 3); 0 gives each chunk its own. By
        default 64 chunks.
    nwb : NwbMetadata, optional
        What is known of the session, for an NWB file: an `n1store.NwbMetadata`.
    workers : int, optional
        How many cores encode; by default all.
    overwrite : bool
        Whether to replace `destination`, once its replacement is complete.
    on_error : {'stop', 'skip'}
        What to do about a source that cannot be read.
    follow_links : bool
        Whether what links in a source lead to may be read, as `n1store.open` has it.
    progress : callable, optional
        Called with the bytes of samples done and to do.

    Returns
    -------
    Conversion

    Raises
    ------
    N1StoreError
        If anything is wrong with the arguments or the sources. Then, as after any other
        exception, `destination` is as it was.
    """
    started = time.perf_counter()
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    path = Path(destination)
    _check(layout, on_error, chunk_seconds, chunk_channels, block_seconds, shard_seconds)
    target = store_kinds.destination_for(
        path,
        layout=layout,
        zarr_format=zarr_format,
        shard_seconds=shard_seconds,
        nwb=nwb,
        overwrite=overwrite,
    )
    complete = _complete(Pipeline.parse(codec), adc, target.checksum if checksum else "")
    target.prepare(complete)  # says at once if there is none
    with ExitStack() as stack:
        findings = Findings(stack, follow_links)
        inputs = list(find_inputs([Path(source) for source in sources], on_error, findings))
        _refuse_nothing_or_itself(inputs, path, findings.skipped)
        plans = plan_arrays(
            inputs,
            layout,
            target.group,
            chunk_seconds,
            target.chunk_seconds,
            target.shard_seconds,
            chunk_channels,
        )
        pipeline = target.prepare(with_blocks(complete, plans, block_seconds))
        session, lost = merge_sessions({plan.name: _session_parts_of(plan) for plan in plans})
        lost += [
            f"{plan.name}: its {plan.num_files} original files, as other channels came from none"
            for plan in plans
            if plan.num_files and not plan.keeps_files
        ]
        if nwb is not None:
            nwb.warn_of_zones()
        with target:
            with target.create(session) as store:
                written = write_arrays(
                    store,
                    plans,
                    pipeline,
                    workers=workers,
                    skipped=findings.skipped if on_error == "skip" else None,
                    progress=progress,
                )
                recordings = {plan.name: plan.path for plan in written}
                store.finish(layout, recordings, pipeline)
                unknown = list(store.unknown)
            target.publish()
    with store_kinds.open(path) as result:
        sizes = measure_sizes(result)
    seconds = time.perf_counter() - started
    return Conversion(path, sizes, seconds, findings.skipped, findings.lost + lost, unknown)


def _check(
    layout: str,
    on_error: str,
    chunk_seconds: float | None,
    chunk_channels: int | None,
    block_seconds: float | None,
    shard_seconds: float | None,
) -> None:
    if layout not in get_args(Layout):
        raise N1StoreError(
            f"no layout is called {layout!r}; there are {', '.join(get_args(Layout))}"
        )
    if on_error not in get_args(OnError):
        raise N1StoreError(f"on_error is 'stop' or 'skip', not {on_error!r}")
    lengths = [1.0 if each is None else each for each in (chunk_seconds, block_seconds)]
    if not all(0 < each < math.inf for each in lengths) or not 0 <= (shard_seconds or 0) < math.inf:
        raise N1StoreError("lengths of chunks, blocks and shards must be positive")
    if chunk_channels is not None and chunk_channels < 1:
        raise N1StoreError("a chunk has at least one channel")


def _complete(pipeline: Pipeline, adc: bool, checksum: str) -> Pipeline:
    """Return the pipeline with `adc` in front and the checksum behind it, where it lacks them."""
    spec = pipeline.spec
    # Small errors in the converter's codes could be large ones in samples.
    if adc and not pipeline.loss and not any(entry.maps for entry, _ in pipeline.stages):
        spec = f"adc+{spec}"
    if checksum and not pipeline.stages[-1][0].checks:
        spec = f"{spec}+{checksum}"
    return Pipeline.parse(spec)


def _refuse_nothing_or_itself(inputs: list[Input], destination: Path, skipped: list[str]) -> None:
    if not inputs:
        first = f"none of the sources can be read; the first: {skipped[0]}" if skipped else ""
        raise N1StoreError(first or "no sources are given")
    target = Path(os.path.realpath(destination))
    for path in dict.fromkeys(each.path for each in inputs):
        # Both where a link stands and where it leads to.
        if any(target in (place, *place.parents) for place in (path, Path(os.path.realpath(path)))):
            raise N1StoreError(f"{destination}: holds the source {path}; choose another name")


def _session_parts_of(plan: ArrayPlan) -> list[SessionPart]:
    """Return what the sources of an array say beside samples, and for which of its channels."""
    parts, first = [], 0
    for each in plan.inputs:
        channel_ids = plan.channel_ids[first : first + each.num_channels]
        parts.append(SessionPart(str(each.path), each.session, each.name[-1], channel_ids))
        first += each.num_channels
    return parts
