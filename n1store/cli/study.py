"""Codecs: what there is, and how they compare."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from n1store.cli.options import (
    FAILED,
    PATH,
    Interrupted,
    json_option,
    overwrite_option,
    workers_option,
)
from n1store.cli.output import (
    about,
    print_codec,
    print_codecs,
    print_comparison,
    print_json,
    progress_bar,
    say,
)
from n1store.errors import counted


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@json_option
def codecs(name: str | None, as_json: bool) -> None:
    """List the codecs and what they take, or explain one.

    HDF5 is the number of its filter, for NWB files. What is missing here is named, and how to
    install it.
    """
    from n1store.codecs.info import all_codecs, codec_info

    infos = all_codecs() if name is None else [codec_info(name)]
    if as_json:
        content = [info.to_dict() for info in infos]
        print_json(content if name is None else content[0])
    elif name is None:
        print_codecs(infos)
    else:
        print_codec(infos[0])


def _seconds_or_whole(text: str) -> float | str:
    try:
        return text if text == "whole" else float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number of seconds, and not 'whole'") from None


@click.command()
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=PATH)
@click.option(
    "-o",
    "--output",
    "destination",
    metavar="RESULTS",
    default="comparison",
    show_default=True,
    type=PATH,
    help="The folder of the results; a comparison that was stopped goes on.",
)
@click.option(
    "--codecs",
    multiple=True,
    help="Pipelines, such as n1:level=3,delta+lz4; or all; or any codec of numcodecs by its "
    """configuration, such as '{"id": "zstd", "level": 22}'.  [default: a dozen]""",
)
@click.option(
    "--groups",
    multiple=True,
    help="Groups of codecs, such as dictionary,audio; of each codec several settings.",
)
@click.option(
    "--adc/--no-adc",
    default=None,
    help="Only with, or only without, adc in front.  [default: both; of the dozen what is usual]",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    help="How many chunks to take, spread at random.  [default: as many as 64 MB hold]",
)
@click.option(
    "--chunk-seconds",
    metavar="SECONDS|whole",
    type=_seconds_or_whole,
    help="Length of a chunk; whole: each recording is one, with all its channels.  [default: 1]",
)
@click.option(
    "--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Rounds of timing."
)
@workers_option
@click.option(
    "--overwrite", is_flag=True, help="Begin anew; results in the folder are removed at once."
)
@json_option
def compare(sources: tuple[Path, ...], destination: Path, as_json: bool, **options: Any) -> None:
    """Compare codecs on the same chunks of WAV files, folders of them, and stores.

    By default a dozen that people use, in less than a minute for a few MB; --codecs all compares
    well over a hundred pipelines.

    Of each pipeline: the ratio of 16-bit samples to payloads, speed on one core in MB of samples
    per CPU second and in xRT (seconds of recording per second), peak memory, and entropies. What
    is lossless must give all chunks back; a pipeline that does not is named, and the exit code is
    1. RESULTS gets results.json and results.csv at the end.
    """
    from n1store.codecs.pipeline import without_tables
    from n1store.study.comparison import compare

    def estimate(pipelines: int, seconds: float) -> None:
        say(f"{counted(pipelines, 'pipeline')}, about {about(seconds)}", err=True)

    try:
        with progress_bar("comparing", as_json, unit="steps", timed=True) as progress:
            result = compare(
                sources,
                destination,
                progress=progress,
                estimate=None if as_json else estimate,
                **options,
            )
    except KeyboardInterrupt:
        again = "the same command" + " without --overwrite" * options["overwrite"]
        raise Interrupted(f"interrupted; {again} goes on where it stopped") from None
    if as_json:
        print_json(result.to_dict())
    else:
        print_comparison(result)
        say(f"{destination}: results.json and results.csv")
    for line in result.data.left_out:
        say(f"not read: {line}", err=True)
    for each in result.failed:
        say(f"failed: {without_tables(each.pipeline)}: {each.why}", err=True)
    if result.failed:
        sys.exit(FAILED)


@click.command()
@click.argument("source", metavar="RESULTS", type=PATH)
@click.option(
    "-o",
    "--output",
    "destination",
    metavar="PAGE.html",
    required=True,
    type=PATH,
    help="The page; its plots go to the folder PAGE_files.",
)
@overwrite_option
@json_option
def report(source: Path, destination: Path, as_json: bool, **options: Any) -> None:
    """Show the RESULTS of compare as one page for a browser, and its plots as PNG and SVG.

    The page needs nothing but itself: it can be sent, put on the web, or printed.
    """
    from n1store.study.report.page import write_report

    result = write_report(source, destination, **options)
    if as_json:
        print_json(result.to_dict())
        return
    say(f"{destination}: {result.results} pipelines; plots in {result.plots[0].parent}")
