"""Results as a CSV file, on the terminal, and as a table in a document.

The CSV file begins with lines of the form ``# name: value`` on how it was made.
"""

import csv
import datetime
import os
import platform
import re
import textwrap
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from measure import CODES, Row, speeds
from n1store.errors import N1StoreError
from n1store.system.atomic import replacing

REFERENCE = "pcodec", "level 12, conv1(16)"
WHOLE_FILES, SECONDS = "whole files", "1 s"
MARKERS = "<!-- benchmarks/codecs -->", "<!-- -->"


@dataclass(frozen=True)
class Result:
    """A line of the CSV file; speeds are MB of int16 samples a second on one core."""

    data: str
    chunks: str
    codec: str
    parameters: str
    input: str
    num_chunks: int
    raw_bytes: int
    stored_bytes: int
    ratio: float
    encode_mb_per_s: float
    encode_mb_per_s_min: float
    encode_mb_per_s_max: float
    decode_mb_per_s: float
    decode_mb_per_s_min: float
    decode_mb_per_s_max: float
    encode_wall_mb_per_s: float
    decode_wall_mb_per_s: float
    encode_vs_pcodec: float | None
    decode_vs_pcodec: float | None
    repeats: int


def results(comparison: list[Row]) -> list[Result]:
    """Sum up the rows of a comparison, which have been measured."""
    pcodec = next((row for row in comparison if (row.codec, row.parameters) == REFERENCE), None)
    return [_result(row, pcodec) for row in comparison]


def _result(row: Row, pcodec: Row | None) -> Result:
    encode, decode = speeds(row, row.encode), speeds(row, row.decode)
    encode_vs_pcodec = decode_vs_pcodec = None
    if pcodec is not None:
        encode_vs_pcodec = round(encode[0] / speeds(pcodec, pcodec.encode)[0], 2)
        decode_vs_pcodec = round(decode[0] / speeds(pcodec, pcodec.decode)[0], 2)
    return Result(
        data=row.data,
        chunks=row.chunking,
        codec=row.codec,
        parameters=row.parameters,
        input=row.input,
        num_chunks=len(row.work),
        raw_bytes=row.raw_bytes,
        stored_bytes=row.stored_bytes,
        ratio=round(row.raw_bytes / row.stored_bytes, 4),
        encode_mb_per_s=round(encode[0], 1),
        encode_mb_per_s_min=round(encode[1], 1),
        encode_mb_per_s_max=round(encode[2], 1),
        decode_mb_per_s=round(decode[0], 1),
        decode_mb_per_s_min=round(decode[1], 1),
        decode_mb_per_s_max=round(decode[2], 1),
        encode_wall_mb_per_s=round(encode[3], 1),
        decode_wall_mb_per_s=round(decode[3], 1),
        encode_vs_pcodec=encode_vs_pcodec,
        decode_vs_pcodec=decode_vs_pcodec,
        repeats=len(row.encode),
    )


def describe(rivals: list[str], missing: list[str], load: tuple[float, float]) -> dict[str, str]:
    """Return what the head of a CSV file says of the machine and the versions."""
    cpu = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpu, re.MULTILINE)
    found = re.search(r"^(?:flags|Features)\s*: (.*)$", cpu, re.MULTILINE)
    flags = {flag for flag in ("avx2", "avx512f", "asimd") if found and flag in found[1].split()}
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    packages = [f"{name} {version(name)}" for name in ("n1store", "numpy")]
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": f"{model[1] if model else platform.machine()} ({', '.join(sorted(flags))})",
        "cores": f"{os.cpu_count()}, of which one works",
        "load": f"{load[0]:.1f} before, {load[1]:.1f} after",
        "system": f"{system}, Linux {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(packages + rivals),
        "missing": "; ".join(missing) or "none",
        "input": "rivals are given the converter's codes where it says so, mapped beforehand "
        "and untimed; n1 maps samples itself",
        "speed": "MB of int16 samples per CPU second; medians of the repeats",
    }


def write_csv(path: Path, head: dict[str, str], lines: list[Result]) -> None:
    with (
        replacing(path, overwrite=True) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        file.writelines(f"# {name}: {value}\n" for name, value in head.items())
        writer = csv.DictWriter(file, [f.name for f in fields(Result)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(line) for line in lines)


def read_csv(path: Path) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return the head and the lines of a CSV file, whose values stay as they are written."""
    try:
        text = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise N1StoreError(f"{path}: cannot be read ({error.strerror}); run it first") from error
    head = dict(line[2:].split(": ", 1) for line in text if line.startswith("# "))
    return head, list(csv.DictReader(line for line in text if not line.startswith("#")))


def print_results(lines: list[Result]) -> None:
    """Show the results of one comparison."""
    table = Table(title=lines[0].data, title_justify="left", title_style="bold")
    for name in ("chunks", "codec", "input"):
        table.add_column(name)
    for name in ("ratio", "encode MB/s", "vs pcodec", "decode MB/s", "vs pcodec"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        encode = line.encode_mb_per_s, line.encode_mb_per_s_min, line.encode_mb_per_s_max
        decode = line.decode_mb_per_s, line.decode_mb_per_s_min, line.decode_mb_per_s_max
        table.add_row(
            line.chunks,
            f"{line.codec} {line.parameters}",
            line.input,
            f"{line.ratio:.3f}",
            *_cells(*encode, line.encode_vs_pcodec),
            *_cells(*decode, line.decode_vs_pcodec),
        )
    # A table that is kept in a file is not to be cut at 80 columns.
    console = Console()
    Console(width=None if console.is_terminal else 140).print(table)


def _cells(median: float, low: float, high: float, relative: float | None) -> list[str]:
    return [f"{median:.1f} ({low:.0f}-{high:.0f})", "" if relative is None else f"{relative:.2f}"]


def markdown(path: Path) -> str:
    """Return the document's table: the recordings of a CSV file, smallest payloads first."""
    head, lines = read_csv(path)
    # Rivals are given samples beside the codes for reference only.
    has_codes = any(line["input"] == CODES for line in lines)
    wanted = [line for line in lines if line["input"] == CODES or line["codec"] == "n1"]
    lines = wanted if has_codes else lines
    whole = [line for line in lines if line["chunks"] == WHOLE_FILES]
    of_seconds = {_label(line): line for line in lines if line["chunks"] == SECONDS}
    if not whole:
        raise N1StoreError(f"{path}: holds no results of recordings; run the benchmark again")
    repeats = max(int(line["repeats"]) for line in whole)
    explanation = (
        f"{whole[0]['data']}, each a chunk, on one core of {head['cpu']}, {head['date']}; medians "
        f"of {repeats} rounds, MB of samples per CPU second. n1 is given the samples, the others "
        f"the {'codes of `adc`, whose mapping is not timed' if has_codes else 'same'}."
    )
    table = [
        textwrap.fill(explanation, 95),
        "",
        "| codec | ratio | ratio in chunks of 1 s | encode MB/s | decode MB/s "
        "| decode against pcodec conv1(16) |",
        "|---|---|---|---|---|---|",
    ]
    for line in sorted(whole, key=lambda line: -float(line["ratio"])):
        relative = line["decode_vs_pcodec"]
        table.append(
            f"| {_label(line)} | {float(line['ratio']):.3f} "
            f"| {float(of_seconds[_label(line)]['ratio']):.3f} "
            f"| {float(line['encode_mb_per_s']):.0f} | {float(line['decode_mb_per_s']):.0f} "
            f"| {relative and format(float(relative), '.2f')} |"
        )
    return "\n".join(table)


def _label(line: dict[str, str]) -> str:
    return f"{line['codec']} {line['parameters']}"


def put_table(document: Path, csv_path: Path) -> None:
    """Put the table of a CSV file between the markers of a document.

    Raises
    ------
    N1StoreError
        If the document does not have them, or there are no results.
    """
    table = markdown(csv_path)
    begin, end = MARKERS
    try:
        text = document.read_text(encoding="utf-8")
    except OSError as error:
        raise N1StoreError(f"{document}: cannot be read ({error.strerror})") from error
    before, found, rest = text.partition(begin + "\n")
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise N1StoreError(f"{document}: put the lines {begin} and {end} where the table is to be")
    with replacing(document, overwrite=True) as temporary:
        temporary.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")
