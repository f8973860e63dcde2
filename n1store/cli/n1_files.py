"""What is done with `n1` by itself: encode, decode and eval `.n1` files, inspect payloads."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click

from n1store.cli.options import (
    FAILED,
    PATH,
    follow_links_option,
    json_option,
    level_option,
    load_widths_option,
    overwrite_option,
    widths_option,
    workers_option,
)
from n1store.cli.output import (
    print_evaluation,
    print_inspection,
    print_json,
    print_n1_info,
    progress_bar,
    say,
)


@click.command()
@click.argument("source", metavar="IN.wav", type=PATH)
@click.argument("destination", metavar="OUT.n1", type=PATH)
@level_option
@widths_option
@workers_option
@overwrite_option
@json_option
def encode(
    source: Path, destination: Path, widths_file: Path | None, as_json: bool, **options: Any
) -> None:
    """Compress a WAV file to a .n1 file, from which decode restores it to the last byte."""
    from n1store.n1file.container import encode_file

    widths = load_widths_option(widths_file)
    with progress_bar("encoding", as_json) as progress:
        info = encode_file(source, destination, widths=widths, progress=progress, **options)
    print_n1_info(destination, info, as_json)


@click.command()
@click.argument("source", metavar="IN.n1", type=PATH)
@click.argument("destination", metavar="OUT.wav", type=PATH)
@workers_option
@overwrite_option
@json_option
def decode(source: Path, destination: Path, as_json: bool, **options: Any) -> None:
    """Restore the WAV file that a .n1 file was made from, to the last byte.

    It appears when all checksums have been found right.
    """
    from n1store.n1file.container import decode_file

    with progress_bar("decoding", as_json) as progress:
        info = decode_file(source, destination, progress=progress, **options)
    print_n1_info(destination, info, as_json)


@click.command("eval")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=PATH)
@level_option
@widths_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Files to work on at once; with more than 1, times say less.",
)
@json_option
def evaluate(
    sources: tuple[Path, ...], widths_file: Path | None, as_json: bool, **options: Any
) -> None:
    """Encode and decode WAV files and folders of them; compare, and measure size and speed.

    Each file is encoded as with encode, decoded again and compared with the original; those
    that differ are named, and the exit code is then 1. Times are from the WAV file in memory
    to the .n1 file in memory and back, after a warm-up; the start of the program and the disk
    are not in them. xRT is seconds of recording per second of waiting.
    """
    from n1store.n1file.evaluation import evaluate

    widths = load_widths_option(widths_file)
    with progress_bar("evaluating", as_json, unit="files") as progress:
        result = evaluate(sources, widths=widths, progress=progress, **options)
    if as_json:
        print_json(result.to_dict())
    else:
        print_evaluation(result)
    for line in result.problems:
        say(line, err=True)
    if result.problems:
        sys.exit(FAILED)


@click.command()
@click.argument("path", metavar="STORE", type=PATH)
@click.argument("recording", required=False)
@click.argument("chunk", default="0,0")
@follow_links_option
@json_option
def inspect(
    path: Path, recording: str | None, chunk: str, follow_links: bool, as_json: bool
) -> None:
    """Show the blocks of an n1 payload, and where it is damaged.

    It is a chunk of RECORDING, named by its place in time and across channels, such as 3 or 3,0.
    Without RECORDING, STORE is a file that holds a payload and nothing else. The exit code is 1 if
    anything is wrong with it.
    """
    from n1store.inspection import inspect

    place = re.fullmatch(r"(\d{1,9})(?:,(\d{1,9}))?", chunk)
    if place is None:
        raise click.BadParameter(f"{chunk!r} is no chunk, such as 3 or 3,0", param_hint="CHUNK")
    index = int(place[1]), int(place[2] or 0)
    inspection = inspect(path, recording, index, follow_links=follow_links)
    if as_json:
        print_json(inspection.to_dict())
    else:
        print_inspection(str(path), inspection)
    if inspection.problem:
        say(f"{path}: {inspection.problem}", err=True)
        sys.exit(FAILED)
