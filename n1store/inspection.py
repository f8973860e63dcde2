"""What is in an `n1` payload, block by block, and what is wrong with it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from n1store import store_kinds
from n1store.codecs import native
from n1store.display import Displayed
from n1store.errors import N1StoreError, about, counted
from n1store.regular import check_regular
from n1store.stores.chunks import is_n1


@dataclass(frozen=True, repr=False)
class Inspection(Displayed):
    """What an `n1` payload says of itself, and whether it is whole.

    Attributes
    ----------
    size : int
        Bytes of the payload.
    info : PayloadInfo or None
        None if its first bytes are damaged.
    index_bytes : int
        How many bytes precede the blocks; 0 where there is one block, or none.
    blocks : list of BlockInfo
        As they lie in the payload; empty if the index is damaged.
    problem : str
        The first thing that is wrong, and where; empty if all is well.
    """

    size: int
    info: native.PayloadInfo | None
    index_bytes: int
    blocks: list[native.BlockInfo]
    problem: str

    @property
    def ratio(self) -> float:
        """Size of the samples by that of the payload."""
        if self.info is None or not self.size:
            return float("nan")
        return int(np.prod(self.info.shape)) * self.info.dtype.itemsize / self.size

    def _headline(self) -> str:
        return self.headline

    @property
    def headline(self) -> str:
        """What it is, in a line."""
        if self.info is None:
            return f"{self.size} bytes"
        shape = " x ".join(map(str, self.info.shape))
        return (
            f"{self.size} bytes, ratio {self.ratio:.3f}: version {self.info.version}, "
            f"{self.info.dtype.name} of shape {shape}, {counted(len(self.blocks), 'block')}"
        )

    @property
    def headings(self) -> list[str]:
        """Of the columns of `rows`."""
        return [
            *("block", "channel", "samples from", "number", "byte", "bytes", "ratio"),
            *("kind", "map", "order", "lanes", "classes", "reference", "taps"),
        ]

    @property
    def rows(self) -> list[list[str]]:
        """A line of a table for each block."""
        item = self.info.dtype.itemsize if self.info else 0
        rows = []
        for number, each in enumerate(self.blocks):
            ratio = item * each.num_samples / each.size if each.size else float("inf")
            what = ["damaged", "", "", "", ""]
            if each.is_read:
                numbers = (each.order, each.num_lanes, each.num_classes)
                what = [each.kind, each.map, *(str(some or "-") for some in numbers)]
            reference = str(each.channel - each.reference) if each.reference else "-"
            taps = str(each.num_taps or "-")
            time = (each.first_sample, each.num_samples)
            where = (number, each.channel, *time, each.offset, each.size)
            rows.append([*map(str, where), f"{ratio:.3f}", *what, reference, taps])
        return rows

    def _table(self) -> tuple[list[str], list[list[str]]]:
        return self.headings, self.rows

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        info = self.info
        return {
            "size": self.size,
            "version": info.version if info else None,
            "dtype": info.dtype.name if info else None,
            "shape": list(info.shape) if info else None,
            "block_samples": info.block_samples if info else None,
            "index_bytes": self.index_bytes,
            "blocks": [asdict(each) for each in self.blocks],
            "problem": self.problem,
        }


def inspect(
    path: str | os.PathLike[str],
    recording: str | None = None,
    chunk: tuple[int, int] = (0, 0),
    *,
    follow_links: bool = False,
) -> Inspection:
    """Take a stored `n1` payload apart, and look for the first thing that is wrong with it.

    Parameters
    ----------
    path : path-like
        A store; or, without `recording`, a file that holds a payload and nothing else.
    recording : str, optional
        Of the store.
    chunk : tuple of int
        Its place in time and across channels.
    follow_links : bool
        As for `n1store.open`.

    Raises
    ------
    N1StoreError
        If there is no such file, recording or chunk, or the chunk is of another codec. What is
        wrong in the payload is not raised but listed.
    """
    path = Path(path)
    if recording is None:
        try:
            check_regular(path)
            payload = path.read_bytes()
        except OSError as error:
            raise N1StoreError(f"{path}: {error.strerror}") from error
        return inspect_payload(payload)
    with about(path), store_kinds.open(path, follow_links=follow_links) as store:
        if recording not in store:
            raise N1StoreError(f"{path}: has no recording {recording}")
        array = store.array(recording)
        counts = array.grid.counts
        if not all(0 <= place < count for place, count in zip(chunk, counts, strict=True)):
            raise N1StoreError(
                f"{path}: recording {recording} has chunks 0,0 to {counts[0] - 1},{counts[1] - 1}"
            )
        codecs = array.codecs
        codec: Any = codecs[0] if codecs and is_n1(codecs) else None
        try:
            content = None if codec is None else array.payload(chunk)
        except KeyError:
            raise N1StoreError(f"{path}: chunk {chunk[0]},{chunk[1]} is missing") from None
        if codec is None or content is None:
            raise N1StoreError(
                f"{path}: chunk {chunk[0]},{chunk[1]} of recording {recording} is no n1 payload"
            )
        return inspect_payload(content, codec.table_of_widths)


def inspect_payload(payload: bytes, widths: bytes | None = None) -> Inspection:
    """Take an `n1` payload apart, and look for the first thing that is wrong with it.

    Parameters
    ----------
    payload : bytes
    widths : bytes, optional
        The table of code widths that it was encoded with, if it was not the built-in one.

    Returns
    -------
    Inspection
    """
    try:
        info = native.n1_payload_info(payload)
        index_bytes = native.n1_index_size(payload)
    except N1StoreError as error:
        return Inspection(len(payload), None, 0, [], f"its first bytes: {error}")
    try:
        blocks = native.n1_blocks(payload)
    except N1StoreError as error:
        where = f"bytes 0 to {index_bytes - 1}, which say where its blocks are"
        return Inspection(len(payload), info, index_bytes, [], f"{where}: {error}")
    problem = ""
    try:
        native.n1_decode_part(payload, range(0), None, widths)
        for number, each in enumerate(blocks):
            problem = _problem_of(payload, info, number, each, widths)
            if problem:
                break
        else:
            native.n1_decode(payload, widths)
    except N1StoreError as error:
        problem = f"as a whole: {error}"
    return Inspection(len(payload), info, index_bytes, blocks, problem)


def _problem_of(
    payload: bytes,
    info: native.PayloadInfo,
    number: int,
    block: native.BlockInfo,
    widths: bytes | None,
) -> str:
    """Return what is wrong with a block; empty if it is decoded as it was encoded."""
    channel = np.array([block.channel], np.uint32) if len(info.shape) == 2 else None
    times = range(block.first_sample, block.first_sample + block.num_samples)
    where = (
        f"block {number}, channel {block.channel}, samples {times.start} to {times.stop - 1}, "
        f"bytes {block.offset} to {block.offset + block.size - 1}"
    )
    if block.offset + block.size > len(payload):
        return f"{where}: the payload ends before it"
    if not block.is_read:
        return f"{where}: its parameters are none that an encoder writes"
    try:
        native.n1_decode_part(payload, times, channel, widths)
    except N1StoreError as error:
        return f"{where}: {error}"
    return ""
