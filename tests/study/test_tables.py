"""The tables of codecs in the documents are those of the results, which measure as they say."""

import csv
import re
import subprocess
import sys

import pytest

import n1store
from installed import HAS_WAVPACK, REAL_RECORDINGS, ROOT, ZARR_VERSION
from n1store.codecs.catalogue import CATALOGUE
from n1store.study.candidates import variants
from n1store.study.measurement import Instruments
from n1store.study.results import PeakMemory

RESULTS = ROOT / "benchmarks/results/study.csv"
TABLES = {"README.md": "--short", "docs/codecs.md": "--full"}
BEGIN, END = "<!-- benchmarks/study.py -->\n", "<!-- -->"


def make_table(option, document, results=RESULTS):
    command = [sys.executable, ROOT / "benchmarks/study.py", results, option, document]
    return subprocess.run(command, capture_output=True, text=True)


def lines_of_results():
    with RESULTS.open(newline="") as file:
        return list(csv.DictReader(file))


def rows_of(text):
    """Return the cells of a table by its headings, for each row."""
    header, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.mark.parametrize("name", TABLES)
def test_table_of_a_document_is_that_of_the_results(name, tmp_path):
    document = ROOT / name
    assert document.exists(), f"{name} is not there; it is to have the table of make study"
    text = document.read_text()
    assert text.count(BEGIN) == 1 and END in text.partition(BEGIN)[2], (
        f"{name} needs the lines {BEGIN.strip()} and {END} where its table is to be"
    )
    (tmp_path / "copy.md").write_text(text)
    made = make_table(TABLES[name], tmp_path / "copy.md")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "copy.md").read_text() == text, f"{name} has other figures than {RESULTS}"


def test_tables_have_the_numbers_of_the_results(tmp_path):
    chunks, whole = {}, {}
    for line in lines_of_results():
        (whole if line["whole_recordings"] == "True" else chunks)[line["pipeline"]] = line
    document = tmp_path / "x.md"
    for option in TABLES.values():
        document.write_text(f"before\n{BEGIN}old{END}\nafter {END}\n")
        for _ in range(2):  # the second time changes nothing
            made = make_table(option, document)
            assert made.returncode == 0, made.stderr
            before, _, rest = document.read_text().partition(BEGIN)
            table, _, after = rest.partition(END)
            assert (before, after) == ("before\n", f"\nafter {END}\n")
        rows = rows_of(table)
        assert len(rows) == 7 or (option == "--full" and len(rows) > 20)
        ratios = [float(row["ratio"]) for row in rows]
        assert ratios == sorted(ratios, reverse=True)
        for row in rows:
            stage = re.match("`(.*)`", row["codec"])[1]
            spec = stage if stage.startswith("n1") else f"adc+{stage}"
            for heading, line, column, digits in (
                ("ratio", chunks[spec], "ratio", 3),
                ("encode MB/s", chunks[spec], "encode_mb_per_s", 0),
                ("decode MB/s", chunks[spec], "decode_mb_per_s", 0),
                ("whole recordings", whole.get(spec), "ratio", 3),
                ("without `adc`", chunks.get(stage) if spec != stage else None, "ratio", 3),
            ):
                if heading in row:
                    assert row[heading] == (f"{float(line[column]):.{digits}f}" if line else "")
        one = chunks["n1:level=2"]
        measured = " ".join(table.partition("|")[0].split())
        for said in (
            *(f"{one['recordings']} recordings", f"chunks of {float(one['chunk_seconds']):.3g} s"),
            *(one["cpu"], one["date"], f"n1store {one['n1store']}", f"Python {one['python']}"),
            *(one["libraries"], f"{one['repeats']} rounds"),
        ):
            assert said in measured


def test_documents_that_cannot_have_a_table_are_named(tmp_path):
    document = tmp_path / "no.md"
    assert "no.md: put the lines" in make_table("--short", document).stderr
    document.write_text("no markers\n")
    made = make_table("--full", document)
    assert made.returncode == 1 and made.stderr.count("\n") == 1
    assert "no.md: put the lines" in made.stderr
    assert document.read_text() == "no markers\n"


@pytest.mark.long
@pytest.mark.skipif(ZARR_VERSION < 3, reason="the libraries are those of zarr 3")
def test_ratios_of_the_results_can_be_measured_again(tmp_path):
    """Of codecs that are quick, with adc and without."""
    stages = {variants(entry)[0] for entry in CATALOGUE.values()}
    claims = {
        line["pipeline"]: float(line["ratio"])
        for line in lines_of_results()
        if line["whole_recordings"] == "False"
        and line["pipeline"].removeprefix("adc+") in stages
        and float(line["encode_mb_per_s"]) > 30
        and (HAS_WAVPACK or line["codec"] != "wavpack")
    }
    assert len(claims) >= 20
    if REAL_RECORDINGS.exists():
        source, tolerance = REAL_RECORDINGS, 0.005
    else:
        source, tolerance = tmp_path / "synthetic", 0.1
        n1store.synthesize(source, num_recordings=24)
    sizes_only = Instruments(round_seconds=0, peak_memory=lambda *_: PeakMemory(0, 0))
    comparison = n1store.compare(
        source, tmp_path / "results", codecs=claims, repeats=1, instruments=sizes_only
    )
    measured = {each.pipeline: each.ratio for each in comparison.results}
    for pipeline, claim in claims.items():
        assert measured[pipeline] == pytest.approx(claim, rel=tolerance), pipeline
