"""What a store keeps of the files that its recordings came from, to give them back."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from n1store.recording import Recording
from n1store.wav import WavFile, canonical_header


@dataclass(frozen=True)
class SourceFile:
    """A WAV file but for its samples.

    Attributes
    ----------
    file : str
        Its path relative to where it was found, with forward slashes.
    sha256 : str
        Of the whole file.
    num_channels : int
    header, trailer : bytes
        What precedes and follows the samples.
    """

    file: str
    sha256: str
    num_channels: int
    header: bytes
    trailer: bytes

    @classmethod
    def of(cls, wav: WavFile, file: str, sha256: str) -> SourceFile:
        """Take what is to be kept from a WAV file."""
        return cls(file, sha256, wav.num_channels, wav.header, wav.trailer)

    @classmethod
    def all_of(cls, recording: Recording) -> list[SourceFile]:
        """Return the files of a stored recording, in the order of its channels.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the recording's attributes are damaged.
        """
        num_samples, rate = recording.num_samples, int(recording.sampling_frequency)
        return [cls._from_attributes(s, num_samples, rate) for s in recording.attributes["sources"]]

    @classmethod
    def _from_attributes(cls, source: Mapping[str, Any], num_samples: int, rate: int) -> SourceFile:
        num_channels = source["num_channels"]
        if "header" in source:
            header = base64.b64decode(source["header"], validate=True)
        else:
            header = canonical_header(rate, num_channels, num_samples)
        trailer = base64.b64decode(source.get("trailer", ""), validate=True)
        return cls(source["file"], source["sha256"], num_channels, header, trailer)

    def to_attributes(self, num_samples: int, rate: int) -> dict[str, Any]:
        """Return what to store; a header that follows from the rest is left out."""
        attributes: dict[str, Any] = {
            "file": self.file,
            "sha256": self.sha256,
            "num_channels": self.num_channels,
        }
        if self.header != canonical_header(rate, self.num_channels, num_samples):
            attributes["header"] = base64.b64encode(self.header).decode()
        if self.trailer:
            attributes["trailer"] = base64.b64encode(self.trailer).decode()
        return attributes
