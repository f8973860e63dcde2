"""Writing arrays: samples read in blocks, encoded on all cores, stored in order.

Reading, encoding and storing are steps of a stream through `Workers.in_order`, so that short
recordings keep all cores busy as well as long ones.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from n1store.codecs.pipeline import Pipeline
from n1store.conversion.plan import ArrayPlan
from n1store.errors import N1StoreError, one_line
from n1store.recording import Samples
from n1store.sources.base import Digest
from n1store.stores.base import ArrayWriter, StoreWriter
from n1store.stores.grid import DTYPE
from n1store.system.parallel import Workers

_BLOCK_BYTES = 1024 * 1024  # what a worker encodes at a time, at least a chunk
_MOST_BYTES = 32 * _BLOCK_BYTES  # of samples that are read at a time, at least a chunk

Step = tuple[Callable[[Any], None], Callable[[], Any] | None]
"""What stores a result, in order, and what makes it, by any worker."""


def write_arrays(
    store: StoreWriter,
    plans: Sequence[ArrayPlan],
    pipeline: Pipeline,
    *,
    workers: int | None,
    skipped: list[str] | None,
    progress: Callable[[int, int], None] | None,
) -> list[ArrayPlan]:
    """Write arrays, one after the other.

    Parameters
    ----------
    store : StoreWriter
    plans : sequence of ArrayPlan
    pipeline : Pipeline
        What chunks are encoded by.
    workers : int, optional
        How many cores encode; by default all.
    skipped : list of str, optional
        Gets a line for each array whose input cannot be read; without it, that is an error.
    progress : callable, optional
        Called with the bytes of samples done and to do.

    Returns
    -------
    list of ArrayPlan
        Those that were not skipped.

    Raises
    ------
    N1StoreError
        If an input cannot be read, or none can, or a chunk cannot be encoded.
    """
    arrays = [_Array(plan, pipeline, store, skipped) for plan in plans]
    done, total = 0, sum(plan.raw_bytes for plan in plans)
    if progress is not None:
        progress(0, total)
    steps = (step for array in arrays for step in array.steps())
    with Workers(workers) as encoders:
        for take, result in encoders.in_order(steps):
            take(result)
            if progress is not None and isinstance(result, _Encoded):
                done += result.raw_bytes
                progress(done, total)
    written = [array.plan for array in arrays if array.is_written]
    if not written:
        raise N1StoreError(f"none of the sources can be read; the first: {(skipped or [''])[0]}")
    return written


@dataclass(frozen=True, eq=False)
class _Encoded:
    """What is stored of a block: its chunks, the CRC-32 of their samples; and these, if wanted."""

    raw_bytes: int
    payloads: list[bytes]
    crcs: list[int]
    samples: Samples | None


class _Array:
    """An array on its way from its inputs into a store."""

    def __init__(
        self, plan: ArrayPlan, pipeline: Pipeline, store: StoreWriter, skipped: list[str] | None
    ):
        self.plan = plan
        self.is_written = False
        self._pipeline = pipeline
        self._store = store
        self._skipped = skipped
        self._writer: ArrayWriter | None = None
        self._crcs: list[int] = []
        losses = dict.fromkeys([*(each.loss for each in plan.inputs), pipeline.loss])
        self._loss = ", then ".join(filter(None, losses))
        # Of a recording that is one whole file, that file's hash says as much.
        is_one_file = plan.keeps_files and not self._loss and plan.num_files == 1
        self._samples_hash = None if is_one_file else hashlib.sha256()

    def steps(self) -> Iterator[Step]:
        """Read the array in blocks of whole chunks; its end, or what went wrong, is the last."""
        digests = [each.digest() for each in self.plan.inputs]
        try:
            for start, stop in self.plan.grid.blocks(_BLOCK_BYTES):
                for encode in self._read(start, stop, digests):
                    yield self._store_block, encode
            sources = [source for digest in digests for source in digest.sources()]
        except N1StoreError as error:
            yield partial(self._give_up, error), None
            return
        yield partial(self._finish, sources), None

    def _read(
        self, start: int, stop: int, digests: list[Digest]
    ) -> Iterator[Callable[[], _Encoded]]:
        """Read a block, and give what encodes it.

        A large row of chunks is encoded chunk by chunk, so that no more than two rows are in
        memory; a still larger one is also read some channels at a time, and before that for the
        hashes, which want all channels of a sample side by side.
        """
        (length, width), (_, groups) = self.plan.grid.chunk_shape, self.plan.grid.counts
        num_bytes = DTYPE.itemsize * (stop - start) * self.plan.grid.shape[1]
        if num_bytes <= _BLOCK_BYTES or stop - start > length or self._pipeline.loss:
            samples = self._read_all(start, stop, digests)
            yield partial(self._encode, samples, self._copies(start, stop))
            return
        at_once = max(1, groups * _MOST_BYTES // num_bytes)
        if at_once >= groups:
            samples = self._hashed(start, stop, digests)
            yield from self._chunk_by_chunk(samples, self._copies(start, stop))
            return
        length = max(1, (stop - start) * at_once // groups)
        for first in range(start, stop, length):
            self._hashed(first, min(first + length, stop), digests)
        copies = self._copies(start, stop)
        for first in range(0, groups, at_once):
            samples = self._read_channels(start, stop, first * width, (first + at_once) * width)
            yield from self._chunk_by_chunk(samples, copies[first : first + at_once])
            del samples

    def _chunk_by_chunk(
        self, samples: Samples, copies: Sequence[bytes | None]
    ) -> Iterator[Callable[[], _Encoded]]:
        width = self.plan.grid.chunk_shape[1]
        for number, copy in enumerate(copies):
            part = samples[:, number * width : (number + 1) * width]
            yield partial(self._encode, part, [copy], is_hashed=True)

    def _hashed(self, start: int, stop: int, digests: list[Digest]) -> Samples:
        samples = self._read_all(start, stop, digests)
        if self._samples_hash is not None:
            self._samples_hash.update(samples.data)
        return samples

    def _read_all(self, start: int, stop: int, digests: list[Digest]) -> Samples:
        """Read samples of all channels that come next, and have their files' hashes go on."""
        parts = [each.read(start, stop) for each in self.plan.inputs]
        for digest, part in zip(digests, parts, strict=True):
            digest.update(part)
        return parts[0] if len(parts) == 1 else np.hstack(parts)

    def _read_channels(self, start: int, stop: int, left: int, right: int) -> Samples:
        """Read samples of the channels from `left` to `right`, as far as there are any."""
        parts, first = [], 0
        for each in self.plan.inputs:
            own = max(left - first, 0), min(right - first, each.num_channels)
            if own[0] < own[1]:
                parts.append(each.read_channels(start, stop, *own))
            first += each.num_channels
        return parts[0] if len(parts) == 1 else np.hstack(parts)

    def _copies(self, start: int, stop: int) -> list[bytes | None]:
        """Return the chunks of a block that the input has encoded already, in C order."""
        chunk_samples, _ = self.plan.grid.chunk_shape
        rows = range(start // chunk_samples, -(-stop // chunk_samples))
        indices = [(row, group) for row in rows for group in range(self.plan.grid.counts[1])]
        if len(self.plan.inputs) > 1:
            return [None] * len(indices)
        encoded_chunk = self.plan.inputs[0].encoded_chunk
        return [
            encoded_chunk(index, self._pipeline, self.plan.grid.chunk_shape) for index in indices
        ]

    def _encode(
        self, samples: Samples, copies: list[bytes | None], *, is_hashed: bool = False
    ) -> _Encoded:
        """Encode a block of whole chunks but for those that are copied."""
        pipeline, chunk_shape = self._pipeline, self.plan.grid.chunk_shape
        try:
            payloads = [
                copy or pipeline.encode(_padded(chunk, chunk_shape))
                for chunk, copy in zip(_chunks_of(samples, chunk_shape), copies, strict=True)
            ]
            if pipeline.loss:
                decoded = (pipeline.decode(payload, chunk_shape) for payload in payloads)
                samples = _together(decoded, samples.shape, chunk_shape)
            crcs = [zlib.crc32(chunk.data) for chunk in _chunks_of(samples, chunk_shape)]
            # Samples that need not be hashed need not wait in memory either.
            hashed = None if self._samples_hash is None or is_hashed else samples
            return _Encoded(samples.nbytes, payloads, crcs, hashed)
        except (ValueError, RuntimeError, OverflowError) as error:
            size = " x ".join(map(str, chunk_shape))
            raise N1StoreError(
                f"{pipeline.spec} cannot encode a chunk of {size} samples: {one_line(error)}"
            ) from error

    def _open_writer(self) -> ArrayWriter:
        if self._writer is None:
            self._writer = self._store.create_array(self.plan.path, self.plan.grid, self._pipeline)
        return self._writer

    def _store_block(self, block: _Encoded) -> None:
        for payload in block.payloads:
            self._open_writer().write(payload)
        self._crcs += block.crcs
        if self._samples_hash is not None and block.samples is not None:
            self._samples_hash.update(block.samples.data)

    def _finish(self, sources: list[dict[str, Any]], _: None) -> None:
        attributes: dict[str, Any] = {
            "sampling_frequency": self.plan.sampling_frequency,
            "channel_ids": list(self.plan.channel_ids),
            "sources": sources if self.plan.keeps_files and not self._loss else [],
        }
        if self._loss:
            attributes["lossy"] = self._loss
        attributes["chunk_crc32"] = "".join(f"{crc:08x}" for crc in self._crcs)
        if self._samples_hash is not None:
            attributes["samples_sha256"] = self._samples_hash.hexdigest()
        self._open_writer().finish(attributes)
        self.is_written = True

    def _give_up(self, error: N1StoreError, _: None) -> None:
        if self._skipped is None or len(self.plan.inputs) > 1:
            raise error
        self._skipped.append(str(error))
        self._open_writer().discard()


def _together(
    chunks: Iterable[Samples], shape: tuple[int, ...], chunk_shape: tuple[int, int]
) -> Samples:
    """Return a block that chunks, in C order, were cut out of."""
    samples = np.empty(shape, DTYPE)
    for chunk, part in zip(chunks, _parts_of(samples, chunk_shape), strict=True):
        part[:] = chunk[: part.shape[0], : part.shape[1]]
    return samples


def _chunks_of(samples: Samples, chunk_shape: tuple[int, int]) -> Iterator[Samples]:
    """Cut whole chunks, C-contiguous and in C order, out of (num_samples, num_channels)."""
    return map(np.ascontiguousarray, _parts_of(samples, chunk_shape))


def _parts_of(samples: Samples, chunk_shape: tuple[int, int]) -> Iterator[Samples]:
    for start in range(0, samples.shape[0], chunk_shape[0]):
        for channel in range(0, samples.shape[1], chunk_shape[1]):
            yield samples[start : start + chunk_shape[0], channel : channel + chunk_shape[1]]


def _padded(chunk: Samples, shape: tuple[int, int]) -> Samples:
    """Fill a chunk at the array's end up with its last values, which cost least to store."""
    if chunk.shape == shape:
        return chunk
    missing = [(0, full - length) for full, length in zip(shape, chunk.shape, strict=True)]
    return np.pad(chunk, missing, mode="edge")
