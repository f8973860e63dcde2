"""Results as a report shows them: what they are called, and which of them are best."""

from __future__ import annotations

import re
from dataclasses import dataclass

from n1store.codecs.pipeline import without_tables
from n1store.study.results import Result


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


def label_of(result: Shown, length: int = 34) -> str:
    """Return what a result is called where a pipeline's string would be too long."""
    text = short(plain(result.pipeline), length)
    return text if result.lossless else f"{text} (lossy)"


def plain(pipeline: str) -> str:
    """Return a pipeline's string in words, as ``blosc zstd bitshuffle``, to be read only."""
    text = short(pipeline, 200).replace('{"id": "', "")
    text = re.sub(r"[:,]\w+=auto\b", "", text)
    text = re.sub(r"\w+=(?=[a-z])", "", text)
    return " ".join(re.sub('[:=,{}"]', " ", text).split())


def front_of(results: list[Shown]) -> list[Shown]:
    """Return the lossless results on the Pareto front, the smallest first."""
    front = [result for result in results if result.pareto and result.lossless]
    return sorted(front, key=lambda result: (-result.ratio, -result.decode.mb_per_s))


def best_of(results: list[Shown]) -> Shown:
    """Return the result of the highest ratio, and of those the one that decodes fastest."""
    return max(results, key=lambda result: (result.ratio, result.decode.mb_per_s))


def best_of_groups(results: list[Shown]) -> list[Shown]:
    """Return the best lossless result of each group, the smallest first."""
    groups = dict.fromkeys(result.group for result in results)
    members = [
        [result for result in results if result.group == group and result.lossless]
        for group in groups
    ]
    return sorted(map(best_of, filter(None, members)), key=lambda result: -result.ratio)


def split_chain(result: Shown) -> tuple[str, str]:
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
