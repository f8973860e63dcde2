"""The results of a comparison, as `n1store compare` writes them, read and checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from n1store.codecs.pipeline import without_tables
from n1store.errors import N1StoreError, printable
from n1store.study.results import FORMAT


def load_results(path: Path) -> dict[str, Any]:
    """Read the results of a comparison.

    Parameters
    ----------
    path : Path
        A results.json, or the folder that one is in.

    Returns
    -------
    dict
        The content of the file, of which all that `_DOCUMENT` names is there and of its type:
        numbers are finite, speeds and sizes positive, texts printable. Each of ``results`` has
        its ``index`` beside.

    Raises
    ------
    N1StoreError
        If the file is not there, is no complete JSON or not of format 1, or something in it is
        missing or of the wrong type.
    """
    if path.is_dir():
        path = path / "results.json"
    if not path.is_file():
        raise N1StoreError(f"{path}: no such file; n1store compare writes one")
    try:
        document = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise N1StoreError(f"{path}: not complete JSON, make it again ({error})") from error
    if not isinstance(document, dict) or "format" not in document:
        raise N1StoreError(f"{path}: not results of n1store compare, which say their format")
    if document["format"] != FORMAT:
        found = printable(str(document["format"]))[:40]
        raise N1StoreError(
            f"{path}: of format {found}, and this n1store reads {FORMAT}; make it again with its "
            "n1store compare"
        )
    try:
        content = _checked(document, _DOCUMENT, "")
    except _WrongError as error:
        raise N1StoreError(f"{path}: {error}; make it again with n1store compare") from error
    if not content["results"]:
        raise N1StoreError(f"{path}: holds no results; compare at least one codec that works")
    for index, result in enumerate(content["results"]):
        result["index"] = index
    return content


class _WrongError(Exception):
    """Says which value is not what it has to be."""


class _Kind(NamedTuple):
    """What a value has to be, in words and as the function that finds it wrong."""

    words: str
    check: Callable[[Any], bool]


class _OrNull(NamedTuple):
    schema: Any


def _checked(value: Any, schema: Any, place: str) -> Any:
    """Return what `schema` names of a value, with only printable characters in its texts."""
    if isinstance(schema, _OrNull):
        return None if value is None else _checked(value, schema.schema, place)
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            raise _WrongError(f"{place or 'the whole'} is no object")
        inner = {key: f"{place}.{key}" if place else key for key in schema}
        for key in schema:
            if key not in value:
                raise _WrongError(f"{inner[key]} is missing")
        return {key: _checked(value[key], schema[key], inner[key]) for key in schema}
    if isinstance(schema, list):
        if not isinstance(value, list):
            raise _WrongError(f"{place} is no list")
        return [_checked(each, schema[0], f"{place}[{i}]") for i, each in enumerate(value)]
    if not schema.check(value):
        raise _WrongError(f"{place} is {printable(repr(value))[:40]}, not {schema.words}")
    if isinstance(value, dict):
        return {printable(key): printable(each) for key, each in value.items()}
    return printable(value) if isinstance(value, str) else value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


# Nothing measured is beyond these, and the axes of a plot would overflow.
_SMALLEST, _LARGEST = 1e-9, 1e18


def _is_number(value: Any, low: float = -_LARGEST) -> bool:
    return type(value) in (int, float) and low <= value <= _LARGEST


_TEXT = _Kind("a text", lambda value: isinstance(value, str))
_TEXTS = _Kind(
    "an object of texts",
    lambda value: isinstance(value, dict) and all(isinstance(each, str) for each in value.values()),
)
_FLAG = _Kind("true or false", lambda value: isinstance(value, bool))
_NUMBER = _Kind("a number", _is_number)
_NOT_NEGATIVE = _Kind("a number of 0 or more", lambda value: _is_number(value, 0))
_POSITIVE = _Kind("a positive number", lambda value: _is_number(value, _SMALLEST))

_SPEED = {"mb_per_s": _POSITIVE, "low": _POSITIVE, "high": _POSITIVE, "xrt": _POSITIVE}

_DOCUMENT = {
    "measured_with": {
        "n1store": _TEXT,
        "python": _TEXT,
        "machine": _TEXT,
        "cpu": _TEXT,
        "cores": _POSITIVE,
        "date": _TEXT,
        "libraries": _TEXTS,
    },
    "data": {
        "files": _POSITIVE,
        "channels": _POSITIVE,
        "sampling_frequency": _POSITIVE,
        "duration_s": _POSITIVE,
        "samples": _POSITIVE,
        "raw_bytes": _POSITIVE,
        "chunk_seconds": _POSITIVE,
        "chunk_samples": _POSITIVE,
        "chunks": _POSITIVE,
        "chunks_of": _POSITIVE,
        "entropy": _NOT_NEGATIVE,
        "entropy_adc": _NOT_NEGATIVE,
        "lossy": [_TEXT],
    },
    "noise": _NOT_NEGATIVE,
    "results": [
        {
            "pipeline": _TEXT,
            "codec": _TEXT,
            "group": _TEXT,
            "summary": _TEXT,
            "adc": _FLAG,
            "transforms": [_TEXT],
            "lossless": _FLAG,
            "ratio": _POSITIVE,
            "bits_per_sample": _POSITIVE,
            "payload_bytes": _POSITIVE,
            "encode": _SPEED,
            "decode": _SPEED,
            "peak_memory_bytes": {"encode": _NOT_NEGATIVE, "decode": _NOT_NEGATIVE},
            "entropy_before": _NOT_NEGATIVE,
            "entropy_after": _NOT_NEGATIVE,
            "chunk_ratios": [_POSITIVE],
            "random_access": [{"chunk_seconds": _POSITIVE, "xrt": _POSITIVE}],
            "error": _OrNull(
                {"rmse": _NOT_NEGATIVE, "max": _NOT_NEGATIVE, "snr_db": _OrNull(_NUMBER)}
            ),
            "pareto": _FLAG,
            "repeats": _POSITIVE,
        }
    ],
    "failed": [{"pipeline": _TEXT, "why": _TEXT}],
    "missing": [{"codec": _TEXT, "why": _TEXT, "install": _TEXT}],
}


def stages(pipeline: str) -> list[str]:
    """Return the stages of a pipeline's string."""
    return pipeline.split("+")


def short(pipeline: str, length: int = 80) -> str:
    """Return a pipeline's string to be shown: without tables of code widths, and not endless."""
    text = without_tables(pipeline)
    return text if len(text) <= length else text[: length - 1] + "…"
