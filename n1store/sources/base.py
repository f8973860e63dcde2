"""What every source of recordings offers to those who convert them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from n1store.codecs.pipeline import Pipeline
from n1store.recording import Samples
from n1store.session.session import Session

_PIECE_BYTES = 4 * 1024 * 1024  # of all channels, to take some of them out


class Input(ABC):
    """A recording to convert.

    Attributes
    ----------
    path : Path
        The file or store that it is in.
    label : str
        What messages call it.
    name : tuple of str
        What it is called, with the folders around it in front.
    num_samples, num_channels : int
    sampling_frequency : float
        Hz.
    channel_ids : tuple of str
    chunk_shape : tuple of int, optional
        Of its chunks, (num_samples, num_channels), where it has any.
    session : Session, optional
        What NWB says of it, where it says anything.
    num_files : int
        Original files that it came from.
    loss : str
        The codec that has changed its samples; empty if none has.
    """

    path: Path
    label: str
    name: tuple[str, ...]
    num_samples: int
    num_channels: int
    sampling_frequency: float
    channel_ids: tuple[str, ...]
    chunk_shape: tuple[int, int] | None = None
    session: Session | None = None
    num_files: int
    loss: str = ""

    @abstractmethod
    def read(self, start: int, stop: int) -> Samples:
        """Read samples, int16 of shape (stop - start, num_channels), C-contiguous."""

    def read_channels(self, start: int, stop: int, left: int, right: int) -> Samples:
        """Read samples of the channels from `left` to `right`, without all others in memory."""
        block = np.empty((stop - start, right - left), np.int16)
        length = max(1, _PIECE_BYTES // (block.itemsize * self.num_channels))
        for first in range(start, stop, length):
            last = min(first + length, stop)
            block[first - start : last - start] = self.read(first, last)[:, left:right]
        return block

    def encoded_chunk(
        self, index: tuple[int, int], pipeline: Pipeline, chunk_shape: tuple[int, int]
    ) -> bytes | None:
        """Return a chunk as the pipeline would encode it; None unless it is stored like that."""
        return None

    @abstractmethod
    def digest(self) -> Digest:
        """Return what is to be told of all samples, in order, as they are read."""


class Digest(ABC):
    """Sees all samples of an input once, and then knows which files they came from."""

    @abstractmethod
    def update(self, samples: Samples) -> None:
        """Look at the samples that come next."""

    @abstractmethod
    def sources(self) -> list[dict[str, Any]]:
        """Return what a store keeps of the files, for `OriginalFile`.

        Raises
        ------
        N1StoreError
            If the samples were not those that are stored.
        """


@dataclass
class Findings:
    """What is noticed while sources are opened, and what closes them again.

    Attributes
    ----------
    stack : ExitStack
        Closes what has been opened.
    follow_links : bool
        Whether what links in a source lead to may be read; see `n1store.open`.
    skipped : list of str
        A line for each recording that was left out.
    lost : list of str
        A line for each thing beside recordings that was left out.
    """

    stack: ExitStack
    follow_links: bool = False
    skipped: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reader:
    """What a kind of sources has to offer; each is a row of the register in `inputs`.

    Attributes
    ----------
    name : str
        What users call such sources, in the plural.
    suffixes : tuple of str
        Of the files that folders are searched for, in lower case.
    is_mine : callable
        Whether a path that exists is a source of this kind; it may look at its first bytes.
    open : callable
        From a path, and one relative to where it was looked for, to the recordings that are there.
        A source that cannot be read is an N1StoreError that names it.
    may_be_skipped : bool
        Whether one that cannot be read may be left out of many.
    """

    name: str
    suffixes: tuple[str, ...]
    is_mine: Callable[[Path], bool]
    open: Callable[[Path, str, Findings], Iterator[Input]]
    may_be_skipped: bool
