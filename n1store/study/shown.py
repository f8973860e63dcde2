"""Results as they are shown: what they are called, which of them are best, and which to take."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from n1store.codecs.catalogue import CATALOGUE
from n1store.codecs.pipeline import without_tables
from n1store.study.results import Result

Some = TypeVar("Some", bound=Result)


@dataclass(frozen=True, eq=False)
class Shown(Result):
    """A result, and the number by which the parts of a page refer to it.

    Attributes
    ----------
    index : int
        Its place among the results.
    """

    index: int


def stages(pipeline: str) -> list[str]:
    """Return the stages of a pipeline's string."""
    return pipeline.split("+")


def short(pipeline: str, length: int = 80) -> str:
    """Return a pipeline's string to be shown: without tables of code widths, and not endless."""
    text = without_tables(pipeline)
    return text if len(text) <= length else text[: length - 1] + "…"


def label_of(result: Result, length: int = 34) -> str:
    """Return what a result is called where a pipeline's string would be too long."""
    text = short(plain(result.pipeline), length)
    return text if result.lossless else f"{text} (lossy)"


def plain(pipeline: str) -> str:
    """Return a pipeline's string in words, as ``blosc zstd bitshuffle``, to be read only."""
    text = short(pipeline, 200).replace('{"id": "', "")
    text = re.sub(r"[:,]\w+=auto\b", "", text)
    text = re.sub(r"\w+=(?=[a-z])", "", text)
    return " ".join(re.sub('[:=,{}"]', " ", text).split())


_LEAST_RATIO = 1.01
"""What saves less than a hundredth is no choice, however fast: samples as they are are faster."""


def pareto_front(results: Iterable[Some]) -> list[Some]:
    """Return the results to choose from, the smallest first.

    They are lossless, save a hundredth or more, and no other is both smaller and faster to decode.
    """
    front: list[Some] = []
    choices = [each for each in results if each.lossless and each.ratio >= _LEAST_RATIO]
    for each in sorted(choices, key=lambda each: (-each.ratio, -each.decode.mb_per_s)):
        if not front or each.decode.mb_per_s > front[-1].decode.mb_per_s:
            front.append(each)
    return front


def front_of(results: Iterable[Some]) -> list[Some]:
    """Return the results that are marked to be on the Pareto front, the smallest first."""
    front = [result for result in results if result.pareto and result.lossless]
    return sorted(front, key=lambda result: (-result.ratio, -result.decode.mb_per_s))


def best_of(results: Iterable[Some]) -> Some:
    """Return the result of the highest ratio, and of those the one that decodes fastest."""
    return max(results, key=lambda result: (result.ratio, result.decode.mb_per_s))


def best_of_groups(results: Sequence[Some]) -> list[Some]:
    """Return the best lossless result of each group, the smallest first."""
    groups = dict.fromkeys(result.group for result in results)
    members = [
        [result for result in results if result.group == group and result.lossless]
        for group in groups
    ]
    return sorted(map(best_of, filter(None, members)), key=lambda result: -result.ratio)


_NEARLY_AS_SMALL = 0.9
"""The part of the best ratio that a faster pipeline has to reach to be worth naming."""


def advice(results: Sequence[Result], noise: float) -> list[str]:
    """Return which pipelines to take, and why, a sentence each.

    The first is the smallest. Then come the one that is read fastest of those nearly as small; and
    the same of those that need no package but zarr, for readers who have nothing else, and are not
    read much more slowly.

    Parameters
    ----------
    results : sequence of Result
    noise : float
        How far repeated measurements of a speed lie apart, relative to it. What is faster by less
        is not said to be faster.
    """
    front = pareto_front(results)
    if not front:
        return ["None of these makes the samples smaller without loss."]
    smallest = front[0]
    words = [f"Take {_named(smallest)}: it is the smallest, {_measured(smallest)}."]
    fast = _fastest(front)
    if fast.decode.mb_per_s > (1 + noise) * smallest.decode.mb_per_s:
        larger = smallest.ratio / fast.ratio - 1
        factor = fast.decode.mb_per_s / smallest.decode.mb_per_s
        words.append(
            f"{_named(fast)} is read {factor:.2g} times as fast and is {larger:.1%} larger, "
            f"{_measured(fast)}."
        )
    shared = pareto_front(each for each in results if _needs_only_zarr(each))
    quick = [each for each in shared if 2 * each.decode.mb_per_s >= smallest.decode.mb_per_s]
    shared = quick or shared
    if shared and not _needs_only_zarr(smallest):
        words.append(
            f"For readers who have zarr and not n1store take {_named(_fastest(shared))}, "
            f"{_measured(_fastest(shared))}."
        )
    return words


def _fastest(front: list[Some]) -> Some:
    """Return the one of a front that is read fastest of those nearly as small as the smallest."""
    least = _NEARLY_AS_SMALL * front[0].ratio
    return [each for each in front if each.ratio >= least][-1]


def _named(result: Result) -> str:
    """Return the options by which `convert` writes a pipeline; where it cannot, its string."""
    spec = short(result.pipeline)
    if spec != result.pipeline or "{" in spec:
        return spec
    entries = [CATALOGUE.get(stage_name(each)) for each in stages(spec)]
    maps = any(entry is not None and entry.maps for entry in entries)
    return f"--codec {spec.removeprefix('adc+')}{'' if maps else ' --no-adc'}"


def _measured(result: Result) -> str:
    return f"ratio {result.ratio:.2f}, read at {result.decode.mb_per_s:.0f} MB/s"


def _needs_only_zarr(result: Result) -> bool:
    names = [stage_name(each) for each in stages(result.pipeline)]
    return all(name in CATALOGUE and not CATALOGUE[name].packages for name in names)


def split_chain(result: Result) -> tuple[str, str]:
    """Return the transforms that a pipeline begins with, and the rest of it."""
    names = {"adc", *(stage_name(each) for each in result.transforms)}
    parts = stages(result.pipeline)
    count = 0
    while count < len(parts) - 1 and stage_name(parts[count]) in names:
        count += 1
    return "+".join(parts[:count]), "+".join(parts[count:])


def names_of(chain: str) -> str:
    """Return a chain of stages without their parameters."""
    return "+".join(map(stage_name, stages(chain)))


def stage_name(stage: str) -> str:
    """Return the name of a stage without its parameters."""
    return stage.partition(":")[0]
