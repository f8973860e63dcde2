"""What is wrong with a Zarr store beside the samples of its recordings.

Samples that are whole are of no use to those whom zarr, xarray or SpikeInterface does not let in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from n1store.errors import N1StoreError, one_line
from n1store.stores.base import parse_json
from n1store.stores.files import Files
from n1store.stores.zarr.formats import CONSOLIDATED, DIMENSIONS, Format2, Json, ZarrFormat


def find_faults(
    files: Files, zarr_format: ZarrFormat, paths: Iterable[str], of_channels: dict[str, np.ndarray]
) -> Iterator[str]:
    """Find groups and small arrays that are not as n1store writes them.

    Parameters
    ----------
    files : Files
    zarr_format : ZarrFormat
    paths : iterable of str
        Of the recordings' arrays.
    of_channels : dict of ndarray
        The values of other arrays, by their paths.

    Yields
    ------
    str
        A line that names a file and says what is wrong with it.
    """
    paths = list(paths)
    groups = {path.rpartition("/")[0] for path in (*paths, *of_channels)} | {""}
    checks = [partial(_check_group, files, zarr_format, path) for path in sorted(groups)]
    checks += [partial(_check_dimensions, files, zarr_format, path) for path in paths]
    checks += [partial(_check_of_channels, files, *each) for each in of_channels.items()]
    if zarr_format.number == 2:
        nodes = [f"{path}/.zarray" for path in (*paths, *of_channels)]
        nodes += [_key(path, ".zgroup") for path in groups]
        checks.append(partial(_check_consolidated, files, nodes))
    for check in checks:
        try:
            check()
        except N1StoreError as error:
            yield str(error)


def _check_group(files: Files, zarr_format: ZarrFormat, path: str) -> None:
    root_key = _key(path, zarr_format.root_file)
    content = _read(files, root_key)
    try:
        attributes = dict(zarr_format.attributes(content))
    except (LookupError, ValueError, TypeError):
        raise N1StoreError(f"{root_key}: has no attributes of a group") from None
    _check_node(files, path, zarr_format.group(attributes))


def _check_dimensions(files: Files, zarr_format: ZarrFormat, path: str) -> None:
    try:
        names = zarr_format.dimensions(lambda name: parse_json(files.read_small(f"{path}/{name}")))
    except (LookupError, ValueError, TypeError, AttributeError):
        return  # which is said of the recording
    is_text = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_text or len(set(names)) != 2 or len(names) != 2:
        raise N1StoreError(f"{path}: does not name its two dimensions")


def _check_of_channels(files: Files, path: str, values: np.ndarray) -> None:
    _check_node(files, path, {".zarray": Format2().small_array(values, DIMENSIONS[1])[".zarray"]})
    if _read_bytes(files, f"{path}/0") != values.tobytes():
        raise N1StoreError(f"{path}/0: is not what the recording says of its channels")


def _check_node(files: Files, path: str, expected: dict[str, Json]) -> None:
    for name, content in expected.items():
        key = _key(path, name)
        found = _read(files, key)
        # Whoever asks zarr to gets the metadata of all nodes there.
        if isinstance(found, dict) and "consolidated_metadata" in found:
            del found["consolidated_metadata"]
        if found != content:
            raise N1StoreError(f"{key}: is not as n1store writes it")


def _check_consolidated(files: Files, nodes: list[str]) -> None:
    try:
        files.size(CONSOLIDATED)
    except KeyError:
        return  # zarr finds the nodes without it
    try:
        metadata = dict(_read(files, CONSOLIDATED)["metadata"])
    except (LookupError, ValueError, TypeError):
        raise N1StoreError(f"{CONSOLIDATED}: holds no metadata") from None
    for key, content in metadata.items():
        if key.endswith(".zattrs") and not isinstance(content, dict):
            raise N1StoreError(f"{CONSOLIDATED}: what it says of {key} are no attributes")
    for key in nodes:
        try:
            content = _read(files, key)
        except N1StoreError:
            continue  # which is said of the node itself
        if not _is_said(content, metadata.get(key)):
            raise N1StoreError(f"{CONSOLIDATED}: does not say what {key} does")


def _is_said(content: Any, by: Any) -> bool:
    """Return whether JSON says all that another does; zarr adds parameters of codecs."""
    if isinstance(content, dict) and isinstance(by, dict):
        return all(key in by and _is_said(content[key], by[key]) for key in content)
    if isinstance(content, list) and isinstance(by, list):
        pairs = zip(content, by, strict=False)
        return len(content) == len(by) and all(_is_said(*pair) for pair in pairs)
    return bool(content == by)


def _read(files: Files, key: str) -> Any:
    try:
        return parse_json(_read_bytes(files, key))
    except ValueError as error:
        raise N1StoreError(f"{key}: is damaged: {one_line(error)}") from error


def _read_bytes(files: Files, key: str) -> bytes:
    try:
        return files.read_small(key)
    except KeyError:
        raise N1StoreError(f"{key}: is missing") from None
    except ValueError as error:
        raise N1StoreError(str(error)) from None


def _key(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
