"""The tables of codecs in the documents, from the results of `n1store compare`.

python benchmarks/study.py RESULTS.csv [--short DOCUMENT] [--full DOCUMENT] [--codecs]

A document has the short or the full table, and a line above it on how it was measured, between two
markers. RESULTS.csv is what `make study` puts together: the lines of a comparison of all codecs in
chunks of 1 s, and those of one with whole recordings as chunks, for which `--codecs` lists the
codecs of the full table.
"""

import argparse
import csv
import sys
import textwrap
from pathlib import Path

from n1store.codecs.catalogue import CATALOGUE
from n1store.study.candidates import variants

BEGIN, END = "<!-- benchmarks/study.py -->\n", "<!-- -->"

SHORT = ("n1", "pcodec", "flac", "wavpack", "blosc", "zstd", "gzip")
"""The default codec, the best of each family, and what people use."""

Line = dict[str, str]


class Results:
    """The lines of the CSV file, by pipeline.

    Attributes
    ----------
    chunks, whole : dict of str to dict
        Measured in chunks, and with whole recordings as chunks.
    """

    def __init__(self, path: Path):
        self.chunks: dict[str, Line] = {}
        self.whole: dict[str, Line] = {}
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                lines = self.whole if line["whole_recordings"] == "True" else self.chunks
                lines[line["pipeline"]] = line

    def best_behind_transform(self, codec: str) -> Line | None:
        """Return the lossless line of a codec with the best ratio behind a transform."""
        lines = [
            line
            for line in self.chunks.values()
            if line["codec"] == codec and line["transforms"] and line["lossless"] == "True"
        ]
        return max(lines, key=lambda line: float(line["ratio"]), default=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, metavar="RESULTS.csv")
    parser.add_argument("--short", type=Path, metavar="DOCUMENT", help="gets seven codecs")
    parser.add_argument("--full", type=Path, metavar="DOCUMENT", help="gets all codecs")
    parser.add_argument("--codecs", action="store_true", help="print those of the full table")
    arguments = parser.parse_args()
    results = Results(arguments.results)
    if arguments.short:
        put(arguments.short, short_table(results))
    if arguments.full:
        put(arguments.full, full_table(results))
    if arguments.codecs:
        print(",".join(stage for stage, _ in sorted_lines(results, all_stages())))


def put(document: Path, table: str) -> None:
    """Put a table between the markers of a document."""
    text = document.read_text(encoding="utf-8") if document.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{document}: put the lines {BEGIN.strip()} and {END} where the table is to be")
    document.write_text(f"{before}{begin}{table}{end}{after}", encoding="utf-8")


def short_table(results: Results) -> str:
    stages = [variants(CATALOGUE[codec])[0] for codec in SHORT]
    missing = [stage for stage in stages if pipeline_of(stage) not in results.chunks]
    if missing:
        sys.exit(f"the results have no {', '.join(missing)}; is it installed?")
    return markdown(
        results,
        ["codec", "ratio", "encode MB/s", "decode MB/s"],
        [
            [f"`{stage}`", ratio(line), *speeds(line)]
            for stage, line in sorted_lines(results, stages)
        ],
    )


def full_table(results: Results) -> str:
    rows = []
    for stage, line in sorted_lines(results, all_stages()):
        behind = results.best_behind_transform(line["codec"])
        whole = results.whole.get(pipeline_of(stage))
        raw = results.chunks.get(stage) if line["adc"] == "True" else None
        rows.append(
            [
                f"`{stage}`" + " ★" * (line["pareto"] == "True"),
                line["group"],
                ratio(line),
                ratio(whole) if whole else "",
                f"{ratio(behind)} `{behind['transforms']}`" if behind else "",
                ratio(raw) if raw else "",
                *speeds(line),
            ]
        )
    columns = ["codec", "group", "ratio", "whole recordings", "best behind a transform"]
    table = markdown(results, [*columns, "without `adc`", "encode MB/s", "decode MB/s"], rows)
    note = "★ Of all lossless pipelines of the study none is both smaller and faster to decode."
    return f"{table}\n{note}\n"


def all_stages() -> list[str]:
    """Return each codec of the full table with its default parameters, and n1 at each level."""
    stages = []
    for entry in CATALOGUE.values():
        if entry.group != "checksum" and not entry.stands_in_front:
            stages += variants(entry) if entry.name == "n1" else variants(entry)[:1]
    return stages


def pipeline_of(stage: str) -> str:
    """Return the pipeline of a codec's row: behind `adc`, unless the codec maps samples itself."""
    return stage if CATALOGUE[stage.partition(":")[0]].maps else f"adc+{stage}"


def sorted_lines(results: Results, stages: list[str]) -> list[tuple[str, Line]]:
    """Return the stages that were measured with their lines, the highest ratio first."""
    lines = [(stage, results.chunks.get(pipeline_of(stage))) for stage in stages]
    return sorted(
        [(stage, line) for stage, line in lines if line], key=lambda row: -float(row[1]["ratio"])
    )


def ratio(line: Line) -> str:
    return f"{float(line['ratio']):.3f}"


def speeds(line: Line) -> list[str]:
    return [f"{float(line[f'{what}_mb_per_s']):.0f}" for what in ("encode", "decode")]


def markdown(results: Results, columns: list[str], rows: list[list[str]]) -> str:
    line = next(iter(results.chunks.values()))
    measured = textwrap.fill(
        f"{line['recordings']} recordings, {float(line['duration_s']):.0f} s, in chunks of "
        f"{float(line['chunk_seconds']):.3g} s; on one core of {line['cpu']}, {line['date']}; "
        f"n1store {line['n1store']}, Python {line['python']}, {line['libraries']}. Ratio of bytes "
        "of samples to bytes of payloads; MB of samples per CPU second, medians of "
        f"{line['repeats']} rounds. Codecs have their default parameters and, but for `n1`, `adc` "
        "in front.",
        width=100,
    )
    table = [columns, ["---"] * len(columns), *rows]
    return f"{measured}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in table)


if __name__ == "__main__":
    main()
