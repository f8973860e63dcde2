"""Which pipelines a comparison of codecs tries: those of a codec, a group, or all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product
from typing import Any

from n1store.codecs.catalogue import CATALOGUE, Entry
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError, one_line

_IN_FRONT_OF = {"dictionary", "entropy", "run-length", "blosc"}
"""Groups whose codecs predict nothing themselves, and are tried with `delta` in front too."""

_BEHIND_FILTERS = ("rans", "arithmetic", "huffman", "zstd")
"""Codecs that a filter is tried with, as it makes nothing smaller alone: with its default
parameters each of them, with others the first."""

_LEVELS = ("level", "clevel", "preset", "order", "levels")
"""Parameters that are tried at their lowest, default and highest value."""

_WITH_LEVELS = {"filter", "predictive", "audio", "transform"}
"""Groups, beside the codecs below, of which that is worth the time."""
_CODECS_WITH_LEVELS = {"zstd"}

_MOST_COMBINATIONS = 16
_LARGE_NUMBERS = {str(number) for number in range(3, 100)}
"""Words that stand for numbers, of which there the smallest do."""

_TIMES_THE_LEAST = (1, 1.5, 2)
"""What a lossy codec may take of bits, as multiples of the least."""


def variants(entry: Entry) -> list[str]:
    """Return the stages to compare of a codec, the one of the default parameters first.

    These are all combinations of the words that its parameters take, or where that is too many
    each word beside the defaults of the others; and the lowest and highest level.
    """
    worded = [each for each in entry.parameters if each.choices]
    defaults = {each.name: each.default for each in worded}
    words = [sorted(each.choices, key=each.default.__ne__) for each in worded]
    values: list[dict[str, Any]] = [
        dict(zip(defaults, each, strict=True)) for each in product(*words)
    ]
    if len(values) > _MOST_COMBINATIONS:
        values = [each for each in values if len(each.items() - defaults.items()) <= 1]
        values = [each for each in values if not _LARGE_NUMBERS & set(each.values())]
    for each in entry.parameters:
        if each.name in _LEVELS and isinstance(each.default, int):
            if not worded:
                values = [{each.name: each.default}]
            if entry.group in _WITH_LEVELS or entry.name in _CODECS_WITH_LEVELS:
                values += [{each.name: level} for level in (max(1, each.low), each.high)]
    default, *others = dict.fromkeys(_stage(entry, each) for each in values)
    # What stands in front of many others is called by its name alone.
    return [entry.name if entry.stands_in_front else default, *others]


def lossy_variants(entry: Entry) -> list[str]:
    """Return the stages to compare of a codec that need not give samples back as they were.

    They stand alone, as in front of them nothing may stand.
    """
    stages = []
    for each in entry.parameters:
        if each.name == entry.loses_with:
            values = [factor * each.low for factor in _TIMES_THE_LEAST]
            values = [int(value) for value in values] if each.is_integer else values
            stages += [_stage(entry, {each.name: value}) for value in dict.fromkeys(values)]
    return stages


def _stage(entry: Entry, values: dict[str, Any]) -> str:
    settings = ",".join(f"{name}={value}" for name, value in values.items())
    return f"{entry.name}:{settings}" if settings else entry.name


def pipelines_of(entry: Entry, adc: bool | None) -> list[str]:
    """Return the pipelines to compare of a codec of the catalogue.

    With both, the other parameters than the default ones are tried behind `adc` only.

    Parameters
    ----------
    entry : Entry
    adc : bool, optional
        Whether they have `adc` in front; by default both, where a codec does not map itself.
    """
    default, *others = variants(entry)
    if entry.stands_in_front:
        # Bytes that were moved are nothing to coders of 16-bit numbers.
        numbers = entry.kind == "array-array"
        partners = [
            CATALOGUE[name]
            for name in _BEHIND_FILTERS
            if name in CATALOGUE and (numbers or CATALOGUE[name].group == "dictionary")
        ]
        behind = [variants(partner)[0] for partner in partners]
        defaults = [f"{default}+{stage}" for stage in behind]
        others = [f"{front}+{stage}" for front in others for stage in behind[:1]]
    else:
        defaults = [default]
        if entry.group in _IN_FRONT_OF:
            defaults.append(f"delta+{default}")
    lossy = lossy_variants(entry)
    if entry.maps:
        return defaults + others + lossy
    mapped = [f"adc+{spec}" for spec in (*defaults, *others)]
    if adc is None:
        return mapped + defaults + lossy
    return (mapped if adc else defaults + others) + lossy


def choose_pipelines(
    codecs: str | Iterable[str] = ("all",), adc: bool | None = None
) -> tuple[list[Pipeline], list[dict[str, str]]]:
    """Return the pipelines to compare, and the codecs among them that are not installed.

    Parameters
    ----------
    codecs : str or iterable of str
        Each one a list, separated by commas, of pipelines, groups of the catalogue, and ``all``.
        Of a group all its codecs are tried, with several parameters.
    adc : bool, optional
        Whether pipelines get `adc` in front, if they are lossless and do not map samples
        themselves; by default they are compared with and without it.

    Returns
    -------
    list of Pipeline
        Each once.
    list of dict
        With `codec`, `why` and `install`.

    Raises
    ------
    N1StoreError
        If there is nothing of a name, or a codec that is named itself is not installed.
    """
    codecs = [codecs] if isinstance(codecs, str) else codecs
    groups = dict.fromkeys(each.group for each in CATALOGUE.values() if each.group != "checksum")
    found: dict[str, Pipeline] = {}
    missing: dict[str, dict[str, str]] = {}
    for name in (name for each in codecs for name in split_codecs(each)):
        if name != "all" and name not in groups:
            for spec in _with_and_without_adc(name, adc):
                pipeline = Pipeline.parse(spec)
                found.setdefault(pipeline.spec, pipeline)
            continue
        for entry in CATALOGUE.values():
            if entry.group not in groups or name not in ("all", entry.group):
                continue
            if entry.name == "adc":
                continue  # it is in front of others
            try:
                entry.build()
            except N1StoreError as error:
                missing[entry.name] = _missing(entry, error)
                continue
            for spec in pipelines_of(entry, adc):
                try:
                    pipeline = Pipeline.parse(spec)
                except N1StoreError as error:
                    absent = _absent(spec)
                    if absent is None:
                        raise
                    missing[absent.name] = _missing(absent, error)
                    continue
                found.setdefault(pipeline.spec, pipeline)
    if not found:
        raise N1StoreError(
            "there is no codec to compare"
            + "".join(f"; {each['codec']}: {each['why']}" for each in missing.values())
        )
    return list(found.values()), list(missing.values())


def split_codecs(text: str) -> list[str]:
    """Split a list at its commas, but for those between the parameters of a codec."""
    names: list[str] = []
    for part in text.split(","):
        if names and re.match(r"\s*\w+\s*=", part):
            names[-1] += f",{part}"
        elif part.strip():
            names.append(part.strip())
    return names


def _with_and_without_adc(spec: str, adc: bool | None) -> list[str]:
    pipeline = Pipeline.parse(spec)
    if pipeline.loss or any(entry.maps for entry, _ in pipeline.stages):
        return [spec]
    mapped = f"adc+{spec}"
    return [mapped, spec] if adc is None else [mapped if adc else spec]


def _absent(spec: str) -> Entry | None:
    for stage in spec.split("+"):
        entry = CATALOGUE[stage.partition(":")[0]]
        try:
            entry.build()
        except N1StoreError:
            return entry
    return None


def _missing(entry: Entry, error: N1StoreError) -> dict[str, str]:
    return {"codec": entry.name, "why": one_line(error), "install": entry.install}
