"""The main job: recordings in, from WAV files or stores, and a store out."""

from __future__ import annotations

import hashlib
import math
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import n1store.stores
from n1store.codecs.pipeline import Pipeline
from n1store.conversion.plan import LAYOUTS, ArrayPlan, plan_arrays
from n1store.errors import N1StoreError, one_line
from n1store.session.merge import SessionPart, merge_sessions
from n1store.sizes import StoreSizes, measure_sizes
from n1store.sources.inputs import Input, StoredInput, find_inputs
from n1store.stores.grid import DTYPE
from n1store.stores.zarr.formats import FORMATS
from n1store.stores.zarr.writer import ArrayWriter, ZarrTarget, ZarrWriter
from n1store.system.atomic import replacing
from n1store.system.parallel import Workers

if TYPE_CHECKING:
    from n1store.stores.nwb.metadata import NwbMetadata
    from n1store.stores.nwb.writer import NwbTarget, NwbWriter, SeriesWriter

DEFAULT_CODEC = "n1"

_BLOCK_BYTES = 1024 * 1024  # what a worker encodes at a time, at least a chunk


@dataclass(frozen=True)
class Conversion:
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
    """

    destination: Path
    sizes: StoreSizes
    seconds: float
    skipped: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def megabytes_per_second(self) -> float:
        """Speed in 1e6 bytes of int16 samples a second."""
        return self.sizes.raw_bytes / 1e6 / self.seconds

    @property
    def xrt(self) -> float:
        """Speed in seconds of recordings a second."""
        return self.sizes.duration / self.seconds

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
        }


def convert(
    sources: str | os.PathLike | Iterable[str | os.PathLike],
    destination: str | os.PathLike,
    *,
    codec: str = DEFAULT_CODEC,
    adc: bool = True,
    chunk_seconds: float | None = None,
    layout: str = "recordings",
    zarr_format: int | None = None,
    shard_seconds: float | None = None,
    nwb: NwbMetadata | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    on_error: str = "stop",
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
    chunk_seconds : float, optional
        Length of a chunk; in samples, rounded up to a multiple of 8, at least 16. By default that
        of a store which is converted; else 1 s in Zarr, and what takes 10 MB in NWB.
    layout : {'recordings', 'channels', 'spikeinterface'}
        An array for each file; one array whose channels are those of all files; or
        SpikeInterface's own layout with a segment for each file (Zarr only).
    zarr_format : {2, 3}, optional
        3 where zarr 3 is installed, else 2. SpikeInterface's layout is always of format 2.
    shard_seconds : float, optional
        Seconds of chunks that one file holds (format 3); 0 gives each chunk its own. By
        default 64 chunks.
    nwb : NwbMetadata, optional
        What is known of the session, for an NWB file.
    workers : int, optional
        How many cores encode; by default all.
    overwrite : bool
        Whether to replace `destination`, once its replacement is complete.
    on_error : {'stop', 'skip'}
        What to do about a source that cannot be read.
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
    destination = Path(destination)
    if layout not in LAYOUTS:
        raise N1StoreError(f"no layout is called {layout!r}; there are {', '.join(LAYOUTS)}")
    lengths = 1.0 if chunk_seconds is None else chunk_seconds, shard_seconds or 0
    if not 0 < lengths[0] < math.inf or not 0 <= lengths[1] < math.inf:
        raise N1StoreError("lengths of chunks and shards must be positive")
    target: ZarrTarget | NwbTarget
    if destination.suffix == ".nwb":
        target = _nwb_target(destination, layout, zarr_format, shard_seconds, nwb)
        shard_seconds = 0
    else:
        target = _zarr_target(destination, layout, zarr_format, shard_seconds, nwb)
        shard_seconds = 0 if target.format.number == 2 else shard_seconds
    pipeline = target.prepare(_make_pipeline(codec, adc, target.checksum))

    if on_error not in ("stop", "skip"):
        raise N1StoreError(f"on_error is 'stop' or 'skip', not {on_error!r}")
    skipped: list[str] = []
    lost: list[str] = []
    with ExitStack() as stack:
        paths = [Path(source) for source in sources]
        inputs = list(find_inputs(paths, on_error, skipped, lost, stack))
        if not inputs:
            first = f"none of the sources can be read; the first: {skipped[0]}" if skipped else ""
            raise N1StoreError(first or "no sources are given")
        _refuse_to_replace_sources(inputs, destination)
        plans = plan_arrays(
            inputs, layout, target.group, chunk_seconds, target.chunk_seconds, shard_seconds
        )
        session, lines = merge_sessions({plan.name: _session_parts_of(plan) for plan in plans})
        lost += lines
        temporary = stack.enter_context(
            replacing(destination, overwrite=overwrite, folder=target.is_folder, any_kind=True)
        )
        store = target.create(temporary, session)
        stack.enter_context(store)
        encoders = stack.enter_context(Workers(workers))
        written = _write_arrays(store, plans, pipeline, encoders, on_error, skipped, progress)
        store.finish(layout, {plan.name: plan.path for plan in written}, pipeline.spec)
    with n1store.stores.open(destination) as result:
        return Conversion(
            destination, measure_sizes(result), time.perf_counter() - started, skipped, lost
        )


@dataclass(frozen=True, eq=False)
class _Step:
    """One step of writing an array: a block of whole chunks, or its end, or why it failed."""

    plan: ArrayPlan
    raw_bytes: int = 0
    attributes: dict[str, Any] | None = None
    error: N1StoreError | None = None


def _nwb_target(
    destination: Path,
    layout: str,
    zarr_format: int | None,
    shard_seconds: float | None,
    nwb: NwbMetadata | None,
) -> NwbTarget:
    from n1store.stores.nwb.metadata import NwbMetadata
    from n1store.stores.nwb.writer import NwbTarget

    if layout == "spikeinterface":
        raise N1StoreError("SpikeInterface's layout is one of Zarr; an .nwb file has another")
    if zarr_format is not None or shard_seconds is not None:
        raise N1StoreError("an .nwb file has neither a Zarr format nor shards")
    return NwbTarget(destination, nwb or NwbMetadata())


def _zarr_target(
    destination: Path,
    layout: str,
    zarr_format: int | None,
    shard_seconds: float | None,
    nwb: NwbMetadata | None,
) -> ZarrTarget:
    if nwb is not None:
        raise N1StoreError(f"{destination}: what NWB says of a session needs an .nwb file")
    is_folder = _is_folder(destination)
    if layout == "spikeinterface":
        if not is_folder:
            raise N1StoreError(f"{destination}: SpikeInterface reads folders only; leave .zip out")
        if zarr_format == 3:
            raise N1StoreError("SpikeInterface's layout is of Zarr format 2; leave format 3 out")
        zarr_format = 2
    if zarr_format is None:
        from importlib.metadata import version

        zarr_format = 3 if int(version("zarr").split(".")[0]) >= 3 else 2
    if zarr_format not in FORMATS:
        raise N1StoreError(f"there is no Zarr format {zarr_format}; there are 2 and 3")
    if shard_seconds and zarr_format == 2:
        raise N1StoreError("shards need Zarr format 3")
    return ZarrTarget(FORMATS[zarr_format], is_folder)


def _is_folder(destination: Path) -> bool:
    if re.fullmatch(r".+\.zarr", destination.name):
        return True
    if re.fullmatch(r".+\.zarr\.zip", destination.name):
        return False
    raise N1StoreError(f"{destination}: the store's name must end in .zarr, .zarr.zip or .nwb")


def _make_pipeline(codec: str, adc: bool, checksum: str) -> Pipeline:
    pipeline = Pipeline.parse(codec)
    spec = pipeline.spec
    # Small errors in the converter's codes could be large ones in samples.
    if adc and not pipeline.loss and not any(entry.maps for entry, _ in pipeline.stages):
        spec = f"adc+{spec}"
    if not pipeline.stages[-1][0].checks:
        spec = f"{spec}+{checksum}"
    return Pipeline.parse(spec)


def _refuse_to_replace_sources(inputs: list[Input], destination: Path) -> None:
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


def _write_arrays(
    store: ZarrWriter | NwbWriter,
    plans: list[ArrayPlan],
    pipeline: Pipeline,
    workers: Workers,
    on_error: str,
    skipped: list[str],
    progress: Callable[[int, int], None] | None,
) -> list[ArrayPlan]:
    """Write the arrays one after the other; return those that were not skipped."""
    written: list[ArrayPlan] = []
    array: ArrayWriter | SeriesWriter | None = None
    crcs: list[int] = []
    samples_hash: Any = None
    done, total = 0, sum(plan.raw_bytes for plan in plans)
    steps = (step for plan in plans for step in _read(plan, pipeline))
    for step, encoded in workers.in_order(steps):
        plan = step.plan
        if array is None:
            array, crcs = store.create_array(plan.path, plan.grid, pipeline), []
            # Of a recording that is one whole file, that file's says as much.
            samples_hash = None if _is_one_file(plan, pipeline) else hashlib.sha256()
        if step.error is not None:
            if on_error == "stop" or len(plan.inputs) > 1:
                raise step.error
            skipped.append(str(step.error))
            array.discard()
            array = None
        elif step.attributes is not None:
            attributes = step.attributes | {"chunk_crc32": "".join(f"{crc:08x}" for crc in crcs)}
            if samples_hash is not None:
                attributes["samples_sha256"] = samples_hash.hexdigest()
            array.finish(attributes)
            written.append(plan)
            array = None
        elif encoded is not None:
            for payload in encoded.payloads:
                array.write(payload)
            crcs += encoded.crcs
            if samples_hash is not None:
                samples_hash.update(encoded.samples.data)
            done += step.raw_bytes
            if progress is not None:
                progress(done, total)
    if not written:
        raise N1StoreError(f"none of the sources can be read; the first: {skipped[0]}")
    return written


def _read(plan: ArrayPlan, pipeline: Pipeline) -> Iterator[tuple[_Step, Callable | None]]:
    """Read an array in blocks of whole chunks, each with the call that encodes it.

    The last step has what was learned of the samples.
    """
    chunk_samples = plan.grid.chunk_shape[0]
    frame_bytes = DTYPE.itemsize * plan.grid.shape[1]
    block_samples = chunk_samples * max(1, _BLOCK_BYTES // (chunk_samples * frame_bytes))
    first = plan.inputs[0]
    stored = first if len(plan.inputs) == 1 and isinstance(first, StoredInput) else None
    if stored and not stored.can_copy(pipeline, plan.grid.chunk_shape):
        stored = None
    digests = [each.digest() for each in plan.inputs]
    keeps_samples = not _is_one_file(plan, pipeline)

    def read_block(start: int) -> tuple[_Step, Callable]:
        stop = min(start + block_samples, plan.grid.shape[0])
        parts = [each.read(start, stop) for each in plan.inputs]
        for digest, part in zip(digests, parts, strict=True):
            digest.update(part)
        samples = parts[0] if len(parts) == 1 else np.hstack(parts)
        rows = range(start // chunk_samples, -(-stop // chunk_samples))
        copies = [
            stored.copy((row, group), pipeline) if stored else None
            for row in rows
            for group in range(plan.grid.counts[1])
        ]
        call = partial(
            _encode_block, pipeline, plan.grid.chunk_shape, samples, copies, keeps_samples
        )
        return _Step(plan, samples.nbytes), call

    try:
        for start in range(0, plan.grid.shape[0], block_samples):
            yield read_block(start)
        sources = [source for digest in digests for source in digest.sources()]
    except N1StoreError as error:
        yield _Step(plan, error=error), None
        return
    attributes = {
        "sampling_frequency": plan.sampling_frequency,
        "channel_ids": list(plan.channel_ids),
        "sources": sources,
    }
    loss = _loss(plan, pipeline)
    if loss:
        # No file can be restored from it.
        attributes |= {"sources": [], "lossy": loss}
    yield _Step(plan, attributes=attributes), None


def _loss(plan: ArrayPlan, pipeline: Pipeline) -> str:
    """Return the codecs with which an array's samples are not those that were recorded."""
    losses = dict.fromkeys([*(each.loss for each in plan.inputs), pipeline.loss])
    return ", then ".join(filter(None, losses))


def _is_one_file(plan: ArrayPlan, pipeline: Pipeline) -> bool:
    """Return whether an array is one whole WAV file, whose hash then is that of the samples too."""
    return not _loss(plan, pipeline) and sum(each.num_files for each in plan.inputs) == 1


@dataclass(frozen=True, eq=False)
class _Encoded:
    """What is stored of a block: its chunks, the CRC-32 of their samples; and these, if wanted."""

    payloads: list[bytes]
    crcs: list[int]
    samples: np.ndarray | None


def _encode_block(
    pipeline: Pipeline,
    chunk_shape: tuple[int, int],
    samples: np.ndarray,
    copies: list[bytes | None],
    keeps_samples: bool,
) -> _Encoded:
    """Encode a block of whole chunks but for those that are copied."""
    try:
        payloads = [
            copy or pipeline.encode(_padded(chunk, chunk_shape))
            for chunk, copy in zip(_chunks_of(samples, chunk_shape), copies, strict=True)
        ]
        if pipeline.loss:
            decoded = (pipeline.decode(payload, chunk_shape) for payload in payloads)
            samples = _together(decoded, samples.shape, chunk_shape)
        crcs = [zlib.crc32(chunk.data) for chunk in _chunks_of(samples, chunk_shape)]
        return _Encoded(payloads, crcs, samples if keeps_samples else None)
    except (ValueError, RuntimeError, OverflowError) as error:
        size = " x ".join(map(str, chunk_shape))
        raise N1StoreError(
            f"{pipeline.spec} cannot encode a chunk of {size} samples: {one_line(error)}"
        ) from error


def _together(
    chunks: Iterable[np.ndarray], shape: tuple[int, ...], chunk_shape: tuple[int, int]
) -> np.ndarray:
    """Return a block that chunks, in C order, were cut out of."""
    samples = np.empty(shape, DTYPE)
    for chunk, part in zip(chunks, _parts_of(samples, chunk_shape), strict=True):
        part[:] = chunk[: part.shape[0], : part.shape[1]]
    return samples


def _chunks_of(samples: np.ndarray, chunk_shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """Cut whole chunks, C-contiguous and in C order, out of (num_samples, num_channels)."""
    return map(np.ascontiguousarray, _parts_of(samples, chunk_shape))


def _parts_of(samples: np.ndarray, chunk_shape: tuple[int, int]) -> Iterator[np.ndarray]:
    for start in range(0, samples.shape[0], chunk_shape[0]):
        for channel in range(0, samples.shape[1], chunk_shape[1]):
            yield samples[start : start + chunk_shape[0], channel : channel + chunk_shape[1]]


def _padded(chunk: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Fill a chunk at the array's end up with its last values, which cost least to store."""
    if chunk.shape == shape:
        return chunk
    missing = [(0, full - length) for full, length in zip(shape, chunk.shape, strict=True)]
    return np.pad(chunk, missing, mode="edge")
