"""What is converted: WAV files, and recordings that are in stores already."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs.compat import ensure_bytes

import n1store.stores
from n1store.codecs.pipeline import Pipeline, split_checksum
from n1store.errors import N1StoreError
from n1store.recording import Recording
from n1store.session.session import Session
from n1store.sources.originals import SamplesHash, SourceFile
from n1store.sources.wav import WavError, WavFile, default_channel_ids, find_wavs, open_wav
from n1store.stores.base import Store


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
        WAV files that it came from.
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
    def read(self, start: int, stop: int) -> np.ndarray:
        """Read samples, int16 of shape (stop - start, num_channels), C-contiguous."""

    @abstractmethod
    def digest(self) -> Digest:
        """Return what is to be told of all samples, in order, as they are read."""


class Digest(ABC):
    """Sees all samples of an input once, and then knows which files they came from."""

    @abstractmethod
    def update(self, samples: np.ndarray) -> None:
        """Look at the samples that come next."""

    @abstractmethod
    def sources(self) -> list[dict[str, Any]]:
        """Return what a store keeps of the files, for `SourceFile`.

        Raises
        ------
        N1StoreError
            If the samples were not those that are stored.
        """


class WavInput(Input):
    """A WAV file.

    Parameters
    ----------
    wav : WavFile
    file : str
        Its path relative to where it was looked for.
    """

    def __init__(self, wav: WavFile, file: str):
        self.path = wav.path
        self.label = str(wav.path)
        self.name = Path(file).with_suffix("").parts
        self.num_samples = wav.num_samples
        self.num_channels = wav.num_channels
        self.sampling_frequency = float(wav.sampling_frequency)
        self.channel_ids = default_channel_ids(wav.num_channels)
        self.num_files = 1
        self._wav = wav
        self._file = file

    def read(self, start: int, stop: int) -> np.ndarray:
        return self._wav.read(start, stop)

    def digest(self) -> _WavDigest:
        return _WavDigest(self._wav, self._file)


class _WavDigest(Digest):
    def __init__(self, wav: WavFile, file: str):
        self._wav = wav
        self._file = file
        self._hash = hashlib.sha256(wav.header)

    def update(self, samples: np.ndarray) -> None:
        self._hash.update(samples.data)

    def sources(self) -> list[dict[str, Any]]:
        self._hash.update(self._wav.trailer)
        source = SourceFile.of(self._wav, self._file, self._hash.hexdigest())
        return [source.to_attributes(self._wav.num_samples, self._wav.sampling_frequency)]


class StoredInput(Input):
    """A recording of a store, of which the store's session says more."""

    def __init__(self, store: Store, name: str, session: Session | None):
        recording = store[name]
        self.path = store.path
        self.label = f"{store.path}: recording {name}"
        self.name = (name,)
        self.num_samples = recording.num_samples
        self.num_channels = recording.num_channels
        self.sampling_frequency = recording.sampling_frequency
        self.channel_ids = recording.channel_ids
        self.array = store.array(name)
        self.chunk_shape = self.array.grid.chunk_shape if self.array.is_chunked else None
        self.session = session
        self.loss = recording.attributes.get("lossy", "")
        self.num_files = len(recording.attributes.get("sources", []))
        self._recording = recording

    def read(self, start: int, stop: int) -> np.ndarray:
        try:
            return np.ascontiguousarray(self._recording.read(start, stop), "<i2")
        except N1StoreError as error:
            raise N1StoreError(f"{self.path}: {error}") from error

    def digest(self) -> _StoredDigest:
        return _StoredDigest(self.path, self._recording)

    def can_copy(self, pipeline: Pipeline, chunk_shape: tuple[int, int]) -> bool:
        """Return whether chunks are, but for a checksum, what the pipeline would make of them."""
        codecs = self.array.codecs
        if codecs is None or chunk_shape != self.array.grid.chunk_shape:
            return False
        wanted, _ = split_checksum([codec for _, codec in pipeline.stages])
        return wanted == split_checksum(codecs)[0]

    def copy(self, index: tuple[int, int], pipeline: Pipeline) -> bytes | None:
        """Return a chunk as the pipeline would make it; None if it is stored otherwise."""
        try:
            payload = self.array.payload(index)
        except KeyError:
            return None  # what is missing has been read as samples that are all the same
        if payload is None or self.array.codecs is None:
            return None
        _, checksum = split_checksum(self.array.codecs)
        content = payload if checksum is None else checksum.decode(payload)
        _, checksum = split_checksum([codec for _, codec in pipeline.stages])
        return ensure_bytes(content if checksum is None else checksum.encode(content))


def find_inputs(
    paths: list[Path], on_error: str, skipped: list[str], lost: list[str], stack: ExitStack
) -> Iterator[Input]:
    """Open what is to be converted.

    Parameters
    ----------
    paths : list of Path
        WAV files, folders to search for them, and stores.
    on_error : {'stop', 'skip'}
        What to do about a WAV file that cannot be read.
    skipped : list of str
        Gets a line for each that was left out.
    lost : list of str
        Gets a line for each thing that stores hold beside recordings and that is left out.
    stack : ExitStack
        Closes the stores.
    """
    stores = [path for path in paths if n1store.stores.is_store(path)]
    for path, file in find_wavs([path for path in paths if path not in stores]):
        try:
            yield WavInput(open_wav(path), file)
        except WavError as error:
            if on_error == "stop":
                raise
            skipped.append(str(error))
    for path in stores:
        store = stack.enter_context(n1store.stores.open(path))
        store.require_recordings()
        skipped += [f"{path}: {line}" for line in store.left_out]
        session, lines = store.session()
        lost += [f"{path}: {line}" for line in lines]
        for name in store:
            yield StoredInput(store, name, session)


class _StoredDigest(Digest):
    def __init__(self, path: Path, recording: Recording):
        self._path = path
        self._recording = recording
        self._hash = SamplesHash(recording)

    def update(self, samples: np.ndarray) -> None:
        self._hash.update(samples)

    def sources(self) -> list[dict[str, Any]]:
        if not self._hash.is_expected():
            raise N1StoreError(
                f"{self._path}: recording {self._recording.name}: its samples are not those that "
                "were stored; n1store verify tells where"
            )
        return self._recording.attributes.get("sources", [])
