"""WAV files as sources."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from n1store.recording import Samples
from n1store.sources.base import Digest, Findings, Input, Reader
from n1store.sources.originals import OriginalFile
from n1store.sources.wav import WavFile, default_channel_ids, is_wav, open_wav


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

    def read(self, start: int, stop: int) -> Samples:
        return self._wav.read(start, stop)

    def digest(self) -> _WavDigest:
        return _WavDigest(self._wav, self._file)


class _WavDigest(Digest):
    def __init__(self, wav: WavFile, file: str):
        self._wav = wav
        self._file = file
        self._hash = hashlib.sha256(wav.header)

    def update(self, samples: Samples) -> None:
        self._hash.update(samples.data)

    def sources(self) -> list[dict[str, Any]]:
        self._wav.check_unchanged()
        self._hash.update(self._wav.trailer)
        source = OriginalFile.of_wav(self._wav, self._file, self._hash.hexdigest())
        return [source.to_attributes(self._wav.num_samples, self._wav.sampling_frequency)]


def _open(path: Path, file: str, _: Findings) -> Iterator[Input]:
    yield WavInput(open_wav(path), file)


READER = Reader("WAV files", (".wav",), is_wav, _open, may_be_skipped=True)
