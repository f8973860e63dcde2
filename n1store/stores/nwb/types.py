"""Which objects of a file are ElectricalSeries: by their type, or by one that extends it.

A file says of the types in it, of NWB's own and of extensions, in JSON under ``specifications``,
each with the one that it extends, as NWB's schema language has it:
https://schema-language.readthedocs.io.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import h5py

from n1store.errors import N1StoreError
from n1store.stores.base import parse_json
from n1store.stores.nwb.objects import Item, Objects
from n1store.stores.nwb.values import read_values

SERIES = "ElectricalSeries"

EVENTS = "SpikeEventSeries"
"""NWB's own extension of it, of which the samples are pieces around events."""


def type_of(item: Item) -> str:
    """Return an object's neurodata_type; empty if it has none."""
    kind = item.attrs.get("neurodata_type", "")
    if isinstance(kind, bytes):
        kind = kind.decode(errors="replace")
    return kind if isinstance(kind, str) else ""


class Types:
    """The types that a file defines.

    Parameters
    ----------
    file : h5py.File
    objects : Objects
        What finds its objects.
    """

    def __init__(self, file: h5py.File, objects: Objects):
        self._extended = {EVENTS: SERIES}
        specifications = objects.find(file, "specifications")
        if isinstance(specifications, h5py.Group):
            for path in _datasets(specifications):
                source = objects.find(specifications, path)
                if isinstance(source, h5py.Dataset) and source.shape == ():
                    with suppress(
                        ValueError, N1StoreError
                    ):  # no JSON, so that what is of its types is not read
                        self._extended |= dict(_definitions(parse_json(read_values(source).item())))

    def extends(self, kind: str, other: str) -> bool:
        """Return whether a type is another, or extends it."""
        seen = set()
        while kind != other and kind in self._extended and kind not in seen:
            seen.add(kind)
            kind = self._extended[kind]
        return kind == other


def _datasets(group: h5py.Group) -> list[str]:
    paths: list[str] = []
    group.visititems(
        lambda path, item: paths.append(path) if isinstance(item, h5py.Dataset) else None
    )
    return paths


def _definitions(content: Any) -> Iterator[tuple[str, str]]:
    """Yield the types in a specification, which may be in others, and what each extends."""
    parts = [content]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts += part
        elif isinstance(part, dict):
            kind, extended = part.get("neurodata_type_def"), part.get("neurodata_type_inc")
            if isinstance(kind, str) and isinstance(extended, str):
                yield kind, extended
            parts += (part[key] for key in ("groups", "datasets") if key in part)
