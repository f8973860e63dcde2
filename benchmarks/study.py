"""The README's table of all codecs, from the results of `n1store compare`.

python benchmarks/study.py RESULTS.csv README.md

A row for each codec with its default parameters, which are those that it was measured with also
without `adc`; n1 has one for each level. The table goes between the markers in the document.
"""

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

BEGIN, END = "<!-- benchmarks/study.py -->\n", "<!-- -->"

HEAD = """\
| codec | group | ratio | best behind a transform | without `adc` | encode MB/s | decode MB/s |
|---|---|---|---|---|---|---|
"""


def main(results: Path, document: Path) -> None:
    before, begin, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{document}: put the lines {BEGIN.strip()} and {END} where the table is to be")
    with results.open(encoding="utf-8", newline="") as file:
        table = markdown(csv.DictReader(file))
    document.write_text(f"{before}{begin}{table}{end}{after}", encoding="utf-8")


def markdown(results: Iterable[dict[str, str]]) -> str:
    codecs: dict[str, list[dict[str, str]]] = {}
    for result in results:
        if result["lossless"] == "True":
            name = result["pipeline"] if result["codec"] == "n1" else result["codec"]
            codecs.setdefault(name, []).append(result)
    rows = [row for results in codecs.values() if (row := row_of(results))]
    rows.sort(key=lambda row: -float(row[2]))
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def row_of(results: list[dict[str, str]]) -> list[str] | None:
    """Return the cells of a codec, or None if it was only measured behind a transform."""
    alone = [each for each in results if not each["transforms"]]
    raw = {each["pipeline"]: each for each in alone if each["adc"] == "False"}
    default = best(
        each
        for each in alone
        if each["codec"] == "n1"
        or each["pipeline"].removeprefix("adc+") in raw.keys() - {each["pipeline"]}
    )
    if default is None:
        return None
    name = default["pipeline"].removeprefix("adc+")
    behind = best(each for each in results if each["transforms"])
    return [
        f"`{name}`" + " ★" * (default["pareto"] == "True"),
        default["group"],
        f"{float(default['ratio']):.3f}",
        f"{float(behind['ratio']):.2f} `{behind['transforms']}`" if behind else "",
        "" if default["codec"] == "n1" else f"{float(raw[name]['ratio']):.2f}",
        f"{float(default['encode_mb_per_s']):.0f}",
        f"{float(default['decode_mb_per_s']):.0f}",
    ]


def best(results: Iterable[dict[str, str]]) -> dict[str, str] | None:
    return max(results, key=lambda each: float(each["ratio"]), default=None)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
