"""Which pipelines a comparison of codecs tries: those of a codec, a group, or all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import product
from typing import Any

from numcodecs.registry import get_codec

from n1store.codecs.catalogue import CATALOGUE
from n1store.codecs.pipeline import Pipeline
from n1store.codecs.spec import Entry
from n1store.errors import N1StoreError, one_line
from n1store.study.results import Missing

USUAL = (
    *("n1", "n1:level=1", "adc+lpc+huffman", "adc+pcodec", "adc+flac", "adc+wavpack", "adc+bz2"),
    *("adc+zstd", "adc+lz4", "adc+blosc", "blosc", "gzip"),
)
"""What is compared where nothing else is asked for: of each family what people use, with `adc` as
`convert` writes it, and two without it, which everybody reads."""

_BEHIND_DELTA = {"dictionary", "entropy", "run-length", "blosc"}
"""Groups whose codecs do not predict, and are tried behind `delta` too."""

_BEHIND_FILTERS = ("rans", "arithmetic", "huffman", "zstd")
"""Codecs that a filter is tried in front of, as it makes nothing smaller alone. With its default
parameters it is tried in front of all of them, with others in front of the first one."""

_LEVELS = ("level", "clevel", "preset", "order", "levels")
"""Parameters of which the lowest, the default and the highest value are tried."""

_WITH_LEVELS = {"filter", "predictive", "audio", "transform"}
_CODECS_WITH_LEVELS = {"zstd"}
"""Groups, and single codecs, in which other levels than the default one are worth the time."""

_MOST_COMBINATIONS = 16
"""If the words of a codec's parameters can be combined in more ways, they are not combined."""

_LARGE_NUMBERS = {str(number) for number in range(3, 100)}
"""Values such as the 7 of ``pcodec:delta=7``, which are then left out."""

_TIMES_THE_LEAST = (1, 1.5, 2)
"""Of a lossy codec's parameter, which says how many bits it may use: the values that are tried, as
multiples of the least one."""


def variants(entry: Entry) -> list[str]:
    """Return a codec with each set of parameters that is compared, the default ones first.

    These are all combinations of the words that its parameters can be, or where that is too many
    each word with the defaults of the other parameters; and the lowest and highest level.
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
    # A filter has its default parameters left out, as it is named in many pipelines.
    return [entry.name if entry.stands_in_front else default, *others]


def lossy_variants(entry: Entry) -> list[str]:
    """Return a codec with each parameter that is compared of those that make it lossy.

    Each is a pipeline of its own, as nothing may stand in front of a lossy codec.
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

    Parameters
    ----------
    entry : Entry
    adc : bool, optional
        Whether they have `adc` in front, where the codec does not map samples itself. By default
        they are tried with and without it, but with parameters other than the default ones only
        behind it.
    """
    default, *others = variants(entry)
    if entry.stands_in_front:
        # Coders of 16-bit numbers can do nothing behind a filter that moves bytes.
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
        if entry.group in _BEHIND_DELTA:
            defaults.append(f"delta+{default}")
    lossy = lossy_variants(entry)
    if entry.maps:
        return defaults + others + lossy
    mapped = [f"adc+{spec}" for spec in (*defaults, *others)]
    if adc is None:
        return mapped + defaults + lossy
    return (mapped if adc else defaults + others) + lossy


def choose_pipelines(
    codecs: str | Iterable[str] = (), groups: str | Iterable[str] = (), adc: bool | None = None
) -> tuple[list[Pipeline], list[Missing]]:
    """Return the pipelines to compare, and the codecs among them that are not installed.

    Parameters
    ----------
    codecs : str or iterable of str
        Each one a list, separated by commas, of pipelines, and ``all``; or one pipeline that ends
        in the configuration of a codec of numcodecs, in JSON.
    groups : str or iterable of str
        Each one a list, separated by commas, of groups of the catalogue. Of each all codecs are
        tried, with several parameters. If neither codecs nor groups are given, it is `USUAL`.
    adc : bool, optional
        Whether pipelines get `adc` in front, if they are lossless and do not map samples
        themselves; by default they are compared with and without it, and those of `USUAL` as they
        are.

    Returns
    -------
    list of Pipeline
        Each once.
    list of Missing

    Raises
    ------
    N1StoreError
        If nothing is called by one of the names, or a codec that is named itself, not as one of a
        group, is not installed.
    """
    names = [name for each in _as_texts(codecs) for name in split_codecs(each)]
    wanted = {name for each in _as_texts(groups) for name in split_codecs(each)}
    there = list(dict.fromkeys(each.group for each in CATALOGUE.values()))
    there.remove("checksum")
    for name in wanted:
        if name not in there:
            raise N1StoreError(f"no group is called {name!r}; there are {', '.join(there)}")
    found: dict[str, Pipeline] = {}
    for name in names:
        if name in there and name not in CATALOGUE:
            raise N1StoreError(
                f"{name!r} is a group of codecs, and no codec",
                option=f"--groups {name} compares them",
            )
        for spec in _with_and_without_adc(name, adc) if name != "all" else ():
            pipeline = parse_pipeline(spec)
            found.setdefault(pipeline.spec, pipeline)
    if "all" in names:
        wanted.update(there)
    # adc itself is in front of others.
    entries = [each for each in CATALOGUE.values() if each.group in wanted and each.name != "adc"]
    optional = [spec for entry in entries for spec in pipelines_of(entry, adc)]
    if not codecs and not groups:
        optional = _usual(adc)
    missing: dict[str, Missing] = {}
    for spec in optional:
        try:
            pipeline = Pipeline.parse(spec)
        except N1StoreError as error:
            absent = _first_absent(spec)
            if absent is None:
                raise
            missing[absent.name] = _missing(absent, error)
            continue
        found.setdefault(pipeline.spec, pipeline)
    if not found:
        raise N1StoreError(
            "there is no codec to compare"
            + "".join(f"; {each.codec}: {each.why}" for each in missing.values())
        )
    return list(found.values()), list(missing.values())


def _as_texts(given: str | Iterable[str]) -> Iterable[str]:
    return [given] if isinstance(given, str) else given


def _usual(adc: bool | None) -> list[str]:
    if adc is None:
        return list(USUAL)
    bare = [spec.removeprefix("adc+") for spec in USUAL]
    maps = [CATALOGUE[re.split("[+:]", spec)[0]].maps for spec in bare]
    return [
        f"adc+{spec}" if adc and not itself else spec
        for spec, itself in zip(bare, maps, strict=True)
    ]


def split_codecs(text: str) -> list[str]:
    """Split a list at its commas, but not at those between the parameters of a codec.

    What has a configuration in JSON in it is no list, but one pipeline.
    """
    if "{" in text:
        return [text.strip()]
    names: list[str] = []
    for part in text.split(","):
        if names and re.match(r"\s*\w+\s*=", part):
            names[-1] += f",{part}"
        elif part.strip():
            names.append(part.strip())
    return names


def parse_pipeline(spec: str) -> Pipeline:
    """Return the pipeline of a string, the last stage of which can be any codec of numcodecs.

    So codecs can be compared that are not in the catalogue, or with parameters that the catalogue
    does not have. Such a stage is the codec's configuration in JSON, as in
    ``adc+{"id": "blosc", "cname": "zstd", "blocksize": 65536}``.

    Raises
    ------
    N1StoreError
        As `Pipeline.parse`; or if numcodecs cannot make a codec of the configuration.
    """
    front, brace, configuration = spec.partition("{")
    if not brace:
        return Pipeline.parse(spec)
    try:
        settings = json.loads(brace + configuration)
        codec = get_codec(settings)
    except Exception as error:  # codecs raise what they like
        raise N1StoreError(
            f"{brace}{configuration}: not the configuration of a codec of numcodecs, such as "
            f'{{"id": "zstd", "level": 22}} ({one_line(error)})'
        ) from error
    text = json.dumps(settings)
    if "+" in text:
        raise N1StoreError(f"{text}: cannot be compared, as + joins the stages of a pipeline")
    stage = Entry(
        name=settings["id"],
        codec_id=settings["id"],
        group="other",
        summary="a codec of numcodecs, by its configuration",
        kind="bytes-bytes",
        home="",
    )
    if not front.strip():
        return Pipeline(text, ((stage, codec),))
    before = Pipeline.parse(front.strip().removesuffix("+"))
    return Pipeline(f"{before.spec}+{text}", (*before.stages, (stage, codec)), before.loss)


def _with_and_without_adc(spec: str, adc: bool | None) -> list[str]:
    pipeline = parse_pipeline(spec)
    if pipeline.loss or any(entry.maps for entry, _ in pipeline.stages):
        return [spec]
    mapped = f"adc+{spec}"
    return [mapped, spec] if adc is None else [mapped if adc else spec]


def _first_absent(spec: str) -> Entry | None:
    """Return the first codec of a pipeline that is not installed."""
    for stage in spec.split("+"):
        entry = CATALOGUE[stage.partition(":")[0]]
        try:
            entry.build()
        except N1StoreError:
            return entry
    return None


def _missing(entry: Entry, error: N1StoreError) -> Missing:
    return Missing(entry.name, one_line(error), entry.install)
