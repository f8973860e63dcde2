"""What a store keeps of the files that its recordings came from, to give them back."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from n1store.errors import N1StoreError
from n1store.recording import Recording, Samples
from n1store.sources.wav import WavFile, canonical_header

_LONGEST_NAME = 255


@dataclass(frozen=True)
class OriginalFile:
    """A file that a recording came from, but for its samples.

    Attributes
    ----------
    kind : str
        What kind of file it is; of ``wav`` alone is known how to write it again.
    file : str
        Its path relative to where it was found, with forward slashes.
    sha256 : str
        Of the whole file.
    num_channels : int
    header, trailer : bytes
        What precedes and follows the samples.
    """

    kind: str
    file: str
    sha256: str
    num_channels: int
    header: bytes
    trailer: bytes

    @classmethod
    def of_wav(cls, wav: WavFile, file: str, sha256: str) -> OriginalFile:
        """Take what is to be kept from a WAV file."""
        return cls("wav", file, sha256, wav.num_channels, wav.header, wav.trailer)

    @classmethod
    def all_of(cls, recording: Recording) -> list[OriginalFile]:
        """Return the files of a stored recording, in the order of its channels.

        There are none if it, or one of its channels, did not come from a file.

        Raises
        ------
        N1StoreError
            If its samples are not those of its files any more, or what is kept of them is damaged.
        """
        has_checksums = "chunk_crc32" in recording.attributes
        if loss := recording.attributes.get("lossy"):
            raise N1StoreError(
                f"recording {recording.name} was stored lossy, by {loss}: its samples are not "
                "those of a WAV file any more"
            )
        if recording.attributes.get("sources") == [] or not has_checksums:
            return []
        num_samples, rate = recording.num_samples, int(recording.sampling_frequency)
        try:
            sources = [
                cls._from_attributes(source, num_samples, rate)
                for source in recording.attributes["sources"]
            ]
            if sum(source.num_channels for source in sources) != recording.num_channels:
                raise ValueError("they have other channels")
        except (KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
            raise N1StoreError(
                f"recording {recording.name}: what is kept of its files is damaged"
            ) from error
        return sources

    @classmethod
    def _from_attributes(
        cls, source: Mapping[str, Any], num_samples: int, rate: int
    ) -> OriginalFile:
        kind = source.get("kind", "wav")  # which went without saying at first
        if kind != "wav":
            raise N1StoreError(f"{source['file']} was a file of kind {kind!r}, not of WAV")
        file, sha256, num_channels = source["file"], source["sha256"], source["num_channels"]
        if not (isinstance(file, str) and isinstance(sha256, str) and "\0" not in file):
            raise ValueError("file and sha256 are text")
        if not (type(num_channels) is int and num_channels > 0):
            raise ValueError("num_channels is a positive integer")
        if "header" in source:
            header = base64.b64decode(source["header"], validate=True)
        else:
            header = canonical_header(rate, num_channels, num_samples)
        trailer = base64.b64decode(source.get("trailer", ""), validate=True)
        return cls(kind, file, sha256, num_channels, header, trailer)

    def check_name(self) -> None:
        """Raise N1StoreError if the file's name is none, or leads out of the folder it is put in.

        It may be anything, as the store says it.
        """
        relative = PurePosixPath(self.file)
        place = f"the store names a source {self.file!r}"
        if relative.is_absolute() or ".." in relative.parts or not relative.name:
            raise N1StoreError(f"{place}, outside the folder")
        try:
            longest = max(len(os.fsencode(part)) for part in relative.parts)
        except UnicodeEncodeError:
            raise N1StoreError(f"{place}, no name of a file") from None
        if longest > _LONGEST_NAME:
            raise N1StoreError(
                f"the store names a source {self.file[:40]!r}…, a name of {longest} bytes, "
                f"of which file systems take {_LONGEST_NAME}"
            )

    def to_attributes(self, num_samples: int, rate: int) -> dict[str, Any]:
        """Return what to store; a header that follows from the rest is left out."""
        attributes: dict[str, Any] = {
            "kind": self.kind,
            "file": self.file,
            "sha256": self.sha256,
            "num_channels": self.num_channels,
        }
        if self.header != canonical_header(rate, self.num_channels, num_samples):
            attributes["header"] = base64.b64encode(self.header).decode()
        if self.trailer:
            attributes["trailer"] = base64.b64encode(self.trailer).decode()
        return attributes


class SamplesHash:
    """Sees all samples of a recording and compares them with the SHA-256 that was stored.

    That is the samples' own, or, of a recording that is one whole WAV file, the file's.
    """

    def __init__(self, recording: Recording):
        self._expected: str | None = recording.attributes.get("samples_sha256")
        self._hash, self._trailer = hashlib.sha256(), b""
        if self._expected is None and "chunk_crc32" in recording.attributes:
            source = OriginalFile.all_of(recording)[0]
            self._expected, self._trailer = source.sha256, source.trailer
            self._hash.update(source.header)

    def update(self, samples: Samples) -> None:
        """Look at the samples that come next, C-contiguous."""
        self._hash.update(samples.data)

    def is_expected(self) -> bool:
        """Return whether the samples' SHA-256 equals the stored one, or none is stored."""
        whole = self._hash.copy()
        whole.update(self._trailer)
        return self._expected in (None, whole.hexdigest())
