"""The command line: options in, text or JSON out; the work is done elsewhere."""

from __future__ import annotations

import errno
import io
import logging
import math
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

from n1store.cli.output import (
    print_benchmarks,
    print_chunks,
    print_codec,
    print_codecs,
    print_comparison,
    print_evaluation,
    print_json,
    print_n1_info,
    print_recordings,
    print_requirements,
    print_sizes,
    print_worst,
    progress_bar,
)
from n1store.version import __version__

if TYPE_CHECKING:
    from n1store.stores.nwb.metadata import NwbMetadata

# Exit codes, beside 0 for success and click's 2 for wrong options.
FAILED = 1
SKIPPED_SOURCES = 3
INTERRUPTED = 130


class _Interrupted(click.ClickException):
    exit_code = INTERRUPTED


class _Commands(click.Group):
    """Turns every foreseeable failure of a command into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        from n1store.errors import N1StoreError, one_line

        try:
            return super().invoke(ctx)
        except N1StoreError as error:
            raise click.ClickException(one_line(error)) from error
        except KeyboardInterrupt as error:
            raise _Interrupted("interrupted; nothing unfinished was left behind") from error
        except MemoryError as error:
            raise click.ClickException(
                "not enough memory; try a shorter --chunk-seconds or fewer --workers"
            ) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            place = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{place}{error.strerror or error}") from error


_PATH = click.Path(path_type=Path)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
_workers_option = click.option(
    "--workers", type=click.IntRange(min=1), help="Cores to use.  [default: all]"
)
_overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace what exists, once its replacement is complete."
)
_level_option = click.option(
    "--level",
    type=click.IntRange(1, 3),
    default=2,
    show_default=True,
    help="1 is fast, 3 the smallest.",
)
_widths_option = click.option(
    "--widths",
    "widths_file",
    metavar="JSON",
    type=_PATH,
    help="A table of code widths to use instead of the built-in one.",
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="n1store")
def cli() -> None:
    """Neural recordings as compressed datasets that open anywhere."""


def main() -> None:
    """Run the command line."""
    # A polite kill is as good a reason to clean up as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not in the background
        signal.signal(signal.SIGINT, _interrupt)
    # The name of a file may be no text in the terminal's encoding; it is shown as in messages.
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    # Reading through zarr, a damaged chunk is an error of ours and a log message of asyncio's.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr version 3")
    try:
        cli()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            # Python would wait for all threads, and for ever for one whose start was interrupted.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        raise


_PATIENCE = 3.0  # seconds
_interrupted = -math.inf


def _interrupt(*_: object) -> None:
    """Stop the work; but not its being cleaned up, when Ctrl-C is pressed more than once."""
    global _interrupted
    now = time.monotonic()
    if now - _interrupted > _PATIENCE:
        _interrupted = now
        raise KeyboardInterrupt


_SUBJECT_FIELDS = ("subject_id", "species", "sex", "age", "description")
_NWB_FIELDS = (
    *("session_start_time", "identifier", "session_description"),
    *(f"subject_{name.removeprefix('subject_')}" for name in _SUBJECT_FIELDS),
    *("gain_to_uv", "offset_to_uv", "metadata"),
)


_Function = TypeVar("_Function", bound=Callable[..., Any])


def _nwb_options(command: _Function) -> _Function:
    """Add the options that say what an NWB file tells of a session."""
    helps = {
        "session_start_time": "when the session began, such as 2024-05-17T14:03:00+02:00.",
        "identifier": "by default one that follows from the files' content.",
        "gain_to_uv": "microvolts of a step of the samples.",
        "offset_to_uv": "microvolts of a sample of 0.",
        "metadata": "all this and more in YAML, laid out as neuroconv's metadata.",
    }
    for name in reversed(_NWB_FIELDS):
        kind = float if name.endswith("_uv") else _PATH if name == "metadata" else str
        option = f"--{name.replace('_', '-')}"
        metavar = "FILE" if name == "metadata" else None
        words = helps.get(name, f"the {name.replace('_', ' ')}.")
        command = click.option(option, type=kind, metavar=metavar, help=f"NWB: {words}")(command)
    return command


def _nwb_metadata(given: dict[str, Any]) -> NwbMetadata | None:
    if all(value is None for value in given.values()):
        return None
    from n1store.errors import N1StoreError
    from n1store.session.fields import parse_time
    from n1store.stores.nwb.metadata import NwbMetadata, load_metadata

    path, start = given.pop("metadata"), given.pop("session_start_time")
    try:
        start = None if start is None else parse_time(start)
    except ValueError as error:
        raise N1StoreError(f"--session-start-time {error}") from None
    subject = {
        name: given.pop(f"subject_{name.removeprefix('subject_')}") for name in _SUBJECT_FIELDS
    }
    return NwbMetadata(
        session_start_time=start,
        subject={name: value for name, value in subject.items() if value is not None},
        more={} if path is None else load_metadata(path),
        **given,
    )


@cli.command()
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=_PATH)
@click.argument("destination", metavar="DST", type=_PATH)
@click.option(
    "--codec",
    default="n1",
    show_default=True,
    help="Codec or pipeline, such as n1:level=3 or delta+zstd:level=9.",
)
@click.option(
    "--no-adc",
    is_flag=True,
    help="Do not map samples to the converter's codes first; n1 does so itself.",
)
@click.option(
    "--chunk-seconds", type=float, help="Length of a chunk.  [default: 1 in Zarr, 10 MB in NWB]"
)
@click.option(
    "--layout",
    type=click.Choice(["recordings", "channels", "spikeinterface"]),
    default="recordings",
    show_default=True,
    help="An array for each file; one array with all files as channels; or SpikeInterface's.",
)
@click.option("--zarr-format", type=click.Choice(["2", "3"]), help="[default: 3 with zarr 3]")
@click.option(
    "--shard-seconds",
    type=float,
    help="Seconds of chunks to put into one file; 0 for none.  [default: 64 chunks]",
)
@_nwb_options
@_workers_option
@_overwrite_option
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What to do about a file that cannot be read; with skip the exit code is 3.",
)
@_json_option
def convert(
    sources: tuple[Path, ...],
    destination: Path,
    no_adc: bool,
    zarr_format: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Convert WAV files and folders of them to a compressed Zarr store or NWB file.

    DST ends in .zarr for a folder, .zarr.zip or .nwb for a single file, and appears only when
    it is complete. What an NWB file says of the session is what the sources say of it, and what is
    given here; the rest is unknown.
    """
    from n1store.conversion.convert import convert

    options["nwb"] = _nwb_metadata({name: options.pop(name) for name in _NWB_FIELDS})
    with progress_bar("converting", as_json) as progress:
        result = convert(
            sources,
            destination,
            adc=not no_adc,
            zarr_format=cast(Literal[2, 3], int(zarr_format)) if zarr_format else None,
            progress=progress,
            **options,
        )
    if as_json:
        print_json(result.to_dict())
    else:
        print_sizes(str(destination), result.sizes)
        click.echo(
            f"  converted         {result.seconds:.2f} s, {result.megabytes_per_second:.0f} MB/s, "
            f"{result.xrt:.0f} xRT"
        )
        print_worst(result.sizes)
        print_requirements(result.sizes.attributes["codec"], destination)
    for line in result.lost:
        click.echo(f"not kept: {line}", err=True)
    for line in result.skipped:
        click.echo(f"skipped: {line}", err=True)
    if result.skipped:
        sys.exit(SKIPPED_SOURCES)


@cli.command()
@click.argument("store", metavar="STORE", type=_PATH)
@click.option("--chunks", is_flag=True, help="List every chunk.")
@_json_option
def info(store: Path, chunks: bool, as_json: bool) -> None:
    """Show what a store or a .n1 file holds and how small it is."""
    from n1store.n1file.container import is_n1_file, read_n1_info

    if is_n1_file(store):
        print_n1_info(store, read_n1_info(store), as_json, payloads=chunks)
        return

    from n1store import store_kinds
    from n1store.sizes import measure_sizes

    with store_kinds.open(store) as opened:
        sizes = measure_sizes(opened)
        left_out = opened.left_out
    for line in left_out:
        click.echo(f"not read: {line}", err=True)
    if as_json:
        content = sizes.to_dict()
        content["recordings"] = sizes.recordings
        content["not_read"] = left_out
        if chunks:
            content["chunks"] = [chunk.to_dict() for chunk in sizes.chunks]
        print_json(content)
        return
    print_sizes(str(store), sizes)
    print_worst(sizes)
    print_recordings(sizes)
    if chunks:
        print_chunks(sizes)


@cli.command()
@click.argument("store", metavar="STORE", type=_PATH)
@click.argument("sources", metavar="[SRC...]", nargs=-1, type=_PATH)
@_workers_option
@_json_option
def verify(store: Path, sources: tuple[Path, ...], workers: int | None, as_json: bool) -> None:
    """Check every sample against the checksums in the store, and against WAV files if given.

    Names the recording and chunk of each difference; the exit code is then 1.
    """
    from n1store.verification import verify

    with progress_bar("verifying", as_json) as progress:
        result = verify(store, sources, workers=workers, progress=progress)
    if as_json:
        print_json(result.to_dict())
    else:
        for line in result.problems:
            click.echo(line, err=True)
        click.echo(
            f"{store}: {result.recordings} recordings, {result.samples} samples: "
            + (f"{len(result.problems)} problems" if result.problems else "all as stored")
            + (f"; {result.lossy} of them LOSSY, not as recorded" if result.lossy else "")
        )
        if sources:
            click.echo(f"{result.compared} compared with their WAV files")
        if result.not_compared:
            click.echo(f"{len(result.not_compared)} not compared, as SRC does not have them")
    if result.problems:
        sys.exit(FAILED)


@cli.command()
@click.argument("store", metavar="STORE", type=_PATH)
@click.argument("folder", metavar="DIR", type=_PATH)
@_workers_option
@_overwrite_option
@_json_option
def export(store: Path, folder: Path, workers: int | None, overwrite: bool, as_json: bool) -> None:
    """Write the WAV files back to DIR, identical to the originals to the last byte."""
    from n1store.export import export_wavs

    with progress_bar("exporting", as_json, unit="recordings") as progress:
        files = export_wavs(store, folder, overwrite=overwrite, workers=workers, progress=progress)
    if as_json:
        print_json({"files": [str(file) for file in files]})
    else:
        click.echo(f"{folder}: {len(files)} WAV files, each with the SHA-256 of its original")


@cli.command()
@click.argument("stores", metavar="STORE...", nargs=-1, required=True, type=_PATH)
@click.option(
    "--windows", "num_windows", type=click.IntRange(min=1), default=100, show_default=True
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the choice of windows.",
)
@_json_option
def bench(stores: tuple[Path, ...], num_windows: int, seed: int, as_json: bool) -> None:
    """Measure random-access read speed and full decompression, and the ratio per chunk.

    Windows of 1 s and 10 s (or the whole recording when that is shorter) are read at random
    offsets, with n1store and with zarr alone, from memory rather than disk, and checked. xRT
    is seconds of recording per second of waiting.
    """
    from n1store.bench import benchmark

    results = [benchmark(store, num_windows=num_windows, seed=seed) for store in stores]
    if as_json:
        print_json([result.to_dict() for result in results])
    else:
        print_benchmarks(results)


@cli.command()
@click.argument("source", metavar="IN.wav", type=_PATH)
@click.argument("destination", metavar="OUT.n1", type=_PATH)
@_level_option
@_widths_option
@_workers_option
@_overwrite_option
@_json_option
def encode(
    source: Path, destination: Path, widths_file: Path | None, as_json: bool, **options: Any
) -> None:
    """Compress a WAV file to a .n1 file, from which decode restores it to the last byte."""
    from n1store.n1file.container import encode_file

    widths = _load_widths(widths_file)
    with progress_bar("encoding", as_json) as progress:
        info = encode_file(source, destination, widths=widths, progress=progress, **options)
    print_n1_info(destination, info, as_json)


@cli.command()
@click.argument("source", metavar="IN.n1", type=_PATH)
@click.argument("destination", metavar="OUT.wav", type=_PATH)
@_workers_option
@_overwrite_option
@_json_option
def decode(source: Path, destination: Path, as_json: bool, **options: Any) -> None:
    """Restore the WAV file that a .n1 file was made from, to the last byte.

    It appears when all checksums have been found right.
    """
    from n1store.n1file.container import decode_file

    with progress_bar("decoding", as_json) as progress:
        info = decode_file(source, destination, progress=progress, **options)
    print_n1_info(destination, info, as_json)


@cli.command("eval")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=_PATH)
@_level_option
@_widths_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Files to work on at once; with more than 1, times say less.",
)
@_json_option
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

    widths = _load_widths(widths_file)
    with progress_bar("evaluating", as_json, unit="files") as progress:
        result = evaluate(sources, widths=widths, progress=progress, **options)
    if as_json:
        print_json(result.to_dict())
    else:
        print_evaluation(result)
    for line in result.problems:
        click.echo(line, err=True)
    if result.problems:
        sys.exit(FAILED)


@cli.command()
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=_PATH)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=_PATH,
    help="Ends in .json, for --codec n1:widths=FILE; or in .h, for the C source of n1.",
)
@_workers_option
@_overwrite_option
@_json_option
def train(sources: tuple[Path, ...], output: Path, as_json: bool, **options: Any) -> None:
    """Learn the code widths of the N1's converter from its WAV files and folders of them.

    Channels that nothing can be learned from are left out and named.
    """
    from n1store.implant.training import train_to_file

    with progress_bar("training", as_json) as progress:
        training = train_to_file(sources, output, progress=progress, **options)
    for line in training.left_out:
        click.echo(f"left out: {line}", err=True)
    if as_json:
        print_json({"file": str(output), **training.to_dict(), "left_out": training.left_out})
        return
    click.echo(
        f"{output}: learned from {training.num_recordings} recordings, "
        f"{training.num_samples} samples\n"
        f"  ideal ratio       {training.ratio:.3f}, with equal widths {training.flat_ratio:.3f}"
    )


@cli.command()
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option(
    "--recordings", "num_recordings", type=click.IntRange(min=1), default=8, show_default=True
)
@click.option("--seconds", type=float, default=5.0, show_default=True)
@click.option(
    "--channels", "num_channels", type=click.IntRange(1, 1024), default=1, show_default=True
)
@click.option(
    "--rate", "sampling_frequency", type=int, default=19531, show_default=True, help="Hz."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@_overwrite_option
def synth(folder: Path, **options: Any) -> None:
    """Make recordings like the implant's in DIR, the same ones for the same seed."""
    from n1store.implant.synth import synthesize

    files = synthesize(folder, **options)
    click.echo(f"{folder}: {len(files)} WAV files")


@cli.command()
@click.argument("name", metavar="[NAME]", required=False)
@_json_option
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


@cli.command()
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=_PATH)
@click.option(
    "-o",
    "--output",
    "destination",
    metavar="RESULTS",
    default="comparison",
    show_default=True,
    type=_PATH,
    help="The folder of the results; a comparison that was stopped goes on.",
)
@click.option(
    "--codecs",
    multiple=True,
    default=["all"],
    show_default=True,
    help="Pipelines and groups of codecs, such as dictionary,n1:level=3,delta+lz4; or all; or any "
    """codec of numcodecs by its configuration, such as '{"id": "zstd", "level": 22}'.""",
)
@click.option(
    "--adc/--no-adc",
    default=None,
    help="Only with, or only without, adc in front.  [default: both]",
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
@_workers_option
@click.option(
    "--overwrite", is_flag=True, help="Begin anew; results in the folder are removed at once."
)
@_json_option
def compare(sources: tuple[Path, ...], destination: Path, as_json: bool, **options: Any) -> None:
    """Compare codecs on the same chunks of WAV files, folders of them, and stores.

    Of each pipeline: the ratio of 16-bit samples to payloads, speed on one core in MB of samples
    per CPU second and in xRT (seconds of recording per second), peak memory, and entropies. What
    is lossless must give all chunks back; a pipeline that does not is named, and the exit code is
    1. RESULTS gets results.json and results.csv at the end.
    """
    from n1store.codecs.pipeline import without_tables
    from n1store.study.comparison import compare

    try:
        with progress_bar("comparing", as_json, unit="steps", timed=True) as progress:
            result = compare(sources, destination, progress=progress, **options)
    except KeyboardInterrupt:
        again = "the same command" + " without --overwrite" * options["overwrite"]
        raise _Interrupted(f"interrupted; {again} goes on where it stopped") from None
    if as_json:
        print_json(result.to_dict())
    else:
        print_comparison(result)
        click.echo(f"{destination}: results.json and results.csv")
    for line in result.data.left_out:
        click.echo(f"not read: {line}", err=True)
    for each in result.failed:
        click.echo(f"failed: {without_tables(each.pipeline)}: {each.why}", err=True)
    if result.failed:
        sys.exit(FAILED)


@cli.command()
@click.argument("source", metavar="RESULTS", type=_PATH)
@click.option(
    "-o",
    "--output",
    "destination",
    metavar="PAGE.html",
    required=True,
    type=_PATH,
    help="The page; its plots go to the folder PAGE_files.",
)
@_overwrite_option
@_json_option
def report(source: Path, destination: Path, as_json: bool, **options: Any) -> None:
    """Show the RESULTS of compare as one page for a browser, and its plots as PNG and SVG.

    The page needs nothing but itself: it can be sent, put on the web, or printed.
    """
    from n1store.study.report.page import write_report

    result = write_report(source, destination, **options)
    if as_json:
        print_json(result.to_dict())
        return
    click.echo(f"{destination}: {result.results} pipelines; plots in {result.plots[0].parent}")


@cli.command("plugin-path")
@_json_option
def plugin_path(as_json: bool) -> None:
    """Print the folders for HDF5_PLUGIN_PATH, for programs that are not Python.

    export HDF5_PLUGIN_PATH="$(n1store plugin-path)" adds n1store's to those that are set.
    """
    from n1store.system.plugin_path import plugin_path

    path = plugin_path()
    if as_json:
        print_json({"HDF5_PLUGIN_PATH": path.split(os.pathsep)})
    else:
        click.echo(path)


@cli.command()
def env() -> None:
    """Print what h5dump, h5repack, MATLAB and Julia need; for a shell: eval "$(n1store env)"."""
    from n1store.system.plugin_path import shell_lines

    click.echo(shell_lines())


@cli.command()
@click.argument("source", metavar="IN.nwb", type=_PATH)
@click.argument("destination", metavar="REFS.json", type=_PATH)
@click.option(
    "--url",
    help="Where readers find IN.nwb: a path, https://…, s3://…  [default: its absolute path]",
)
@_overwrite_option
@_json_option
def reference(source: Path, destination: Path, as_json: bool, **options: Any) -> None:
    """Write a reference file, with which zarr reads the datasets of an NWB or HDF5 file in place.

    The chunks stay where they are. zarr.open_group("reference::REFS.json", mode="r") opens it,
    with fsspec installed, and for addresses on the web aiohttp.
    """
    from n1store.reference import write_reference

    result = write_reference(source, destination, **options)
    if as_json:
        print_json(result.to_dict())
        return
    click.echo(
        f"{destination}: {result.arrays} arrays, {result.chunks} chunks in {result.url}, "
        f"{result.inlined} small ones here"
    )
    for line in result.left_out:
        click.echo(f"left out: {line}", err=True)
    for count, what in (
        (result.attributes_left_out, "attributes that JSON cannot hold"),
        (result.links_left_out, "links to other objects"),
    ):
        if count:
            click.echo(f"left out: {count} {what}", err=True)


def _load_widths(path: Path | None) -> bytes | None:
    if path is None:
        return None
    from n1store.codecs.widths import load_widths

    return load_widths(path)
