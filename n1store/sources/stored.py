"""Recordings that are in stores already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs.compat import ensure_bytes

from n1store import store_kinds
from n1store.codecs.pipeline import Pipeline, split_checksum
from n1store.errors import N1StoreError, about
from n1store.recording import Recording, Samples
from n1store.session.session import Session
from n1store.sources.base import Digest, Findings, Input, Reader
from n1store.sources.originals import SamplesHash
from n1store.stores.base import Store


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
        self._store = store
        self._recording = recording

    def read(self, start: int, stop: int) -> Samples:
        return self.read_channels(start, stop, 0, self.num_channels)

    def read_channels(self, start: int, stop: int, left: int, right: int) -> Samples:
        try:
            samples = self._recording.read(start, stop, slice(left, right))
            return np.ascontiguousarray(samples, "<i2")
        except N1StoreError as error:
            raise N1StoreError(f"{self.path}: {error}") from error

    def digest(self) -> _StoredDigest:
        return _StoredDigest(self._store, self._recording)

    def encoded_chunk(
        self, index: tuple[int, int], pipeline: Pipeline, chunk_shape: tuple[int, int]
    ) -> bytes | None:
        codecs = self.array.codecs
        if codecs is None or chunk_shape != self.array.grid.chunk_shape:
            return None
        wanted, wanted_checksum = split_checksum([codec for _, codec in pipeline.stages])
        own, checksum = split_checksum(codecs)
        if wanted != own:
            return None
        try:
            payload = self.array.payload(index)
        except KeyError:
            return None  # what is missing has been read as samples that are all the same
        if payload is None:
            return None
        content = payload if checksum is None else checksum.decode(payload)
        encoded = content if wanted_checksum is None else wanted_checksum.encode(content)
        return bytes(ensure_bytes(encoded))


class _StoredDigest(Digest):
    def __init__(self, store: Store, recording: Recording):
        self._store = store
        self._recording = recording
        with about(store.path):
            self._hash = SamplesHash(recording)

    def update(self, samples: Samples) -> None:
        self._hash.update(samples)

    def sources(self) -> list[dict[str, Any]]:
        self._store.check_unchanged()
        if not self._hash.is_expected():
            raise N1StoreError(
                f"{self._store.path}: recording {self._recording.name}: its samples are not those "
                "that were stored; n1store verify tells where"
            )
        return list(self._recording.attributes.get("sources", []))


def _open(path: Path, _: str, findings: Findings) -> Iterator[Input]:
    store = findings.stack.enter_context(store_kinds.open(path, follow_links=findings.follow_links))
    store.require_recordings()
    findings.skipped += [f"{path}: {line}" for line in store.left_out]
    session, lines = store.session()
    findings.lost += [f"{path}: {line}" for line in lines]
    with about(path):
        inputs = [StoredInput(store, name, session) for name in store]
    yield from inputs


READER = Reader("stores", (), store_kinds.is_store, _open, may_be_skipped=False)
