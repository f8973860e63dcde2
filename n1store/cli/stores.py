"""What is done with stores: convert, info, verify, export, bench."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal, cast

import click

from n1store.cli.options import (
    FAILED,
    NWB_FIELDS,
    PATH,
    SKIPPED_SOURCES,
    follow_links_option,
    json_option,
    nwb_metadata,
    nwb_options,
    overwrite_option,
    workers_option,
)
from n1store.cli.output import (
    print_benchmarks,
    print_chunks,
    print_json,
    print_n1_info,
    print_recordings,
    print_requirements,
    print_sizes,
    print_unknown,
    print_worst,
    progress_bar,
    say,
    say_each,
)
from n1store.errors import about, counted


@click.command()
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=PATH)
@click.argument("destination", metavar="DST", type=PATH)
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
    "--no-checksum",
    is_flag=True,
    help="Put no checksum behind each chunk, for readers that do not know it.",
)
@click.option(
    "--chunk-seconds", type=float, help="Length of a chunk.  [default: 1 in Zarr, 10 MB in NWB]"
)
@click.option("--chunk-channels", type=int, help="The most channels of a chunk.  [default: 64]")
@click.option(
    "--block-seconds",
    type=float,
    help="Length of what n1 decodes at once of a channel.  [default: 1; 0.25 with 512 channels]",
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
@nwb_options
@workers_option
@overwrite_option
@follow_links_option
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What to do about a file that cannot be read; with skip the exit code is 3.",
)
@json_option
def convert(
    sources: tuple[Path, ...],
    destination: Path,
    no_adc: bool,
    no_checksum: bool,
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

    options["nwb"] = nwb_metadata({name: options.pop(name) for name in NWB_FIELDS})
    with progress_bar("converting", as_json) as progress:
        result = convert(
            sources,
            destination,
            adc=not no_adc,
            checksum=not no_checksum,
            zarr_format=cast(Literal[2, 3], int(zarr_format)) if zarr_format else None,
            progress=progress,
            **options,
        )
    if as_json:
        print_json(result.to_dict())
    else:
        print_sizes(str(destination), result.sizes)
        say(
            f"  converted         {result.seconds:.2f} s, {result.megabytes_per_second:.0f} MB/s, "
            f"{result.xrt:.0f} xRT"
        )
        print_worst(result.sizes)
        print_requirements(result.sizes.attributes)
        print_unknown(result.unknown)
    say_each("not kept", result.lost)
    say_each("skipped", result.skipped)
    if result.skipped:
        sys.exit(SKIPPED_SOURCES)


@click.command()
@click.argument("store", metavar="STORE", type=PATH)
@click.option("--recordings", is_flag=True, help="List all recordings, however many there are.")
@click.option("--chunks", is_flag=True, help="List every chunk.")
@follow_links_option
@json_option
def info(store: Path, recordings: bool, chunks: bool, follow_links: bool, as_json: bool) -> None:
    """Show what a store or a .n1 file holds and how small it is."""
    from n1store.n1file.container import is_n1_file, read_n1_info

    if is_n1_file(store):
        print_n1_info(store, read_n1_info(store), as_json, payloads=chunks)
        return

    from n1store import store_kinds
    from n1store.sizes import measure_sizes

    with about(store), store_kinds.open(store, follow_links=follow_links) as opened:
        sizes = measure_sizes(opened)
        left_out = opened.left_out + opened.no_recordings
    say_each("not read", left_out)
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
    print_requirements(sizes.attributes)
    print_recordings(sizes, all_of_them=recordings)
    if chunks:
        print_chunks(sizes)


@click.command()
@click.argument("store", metavar="STORE", type=PATH)
@click.argument("sources", metavar="[SRC...]", nargs=-1, type=PATH)
@workers_option
@follow_links_option
@json_option
def verify(store: Path, sources: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Check every sample against the checksums in the store, and against WAV files if given.

    Names the recording and chunk of each difference; the exit code is then 1.
    """
    from n1store.verification import verify

    with progress_bar("verifying", as_json) as progress:
        result = verify(store, sources, progress=progress, **options)
    if as_json:
        print_json(result.to_dict())
    else:
        for line in result.problems:
            say(line, err=True)
        say(
            f"{store}: {counted(result.recordings, 'recording')}, {result.samples} samples: "
            + (counted(len(result.problems), "problem") if result.problems else "all as stored")
            + (f"; {result.lossy} of them LOSSY, not as recorded" if result.lossy else "")
        )
        if sources:
            say(f"{result.compared} compared with their WAV files")
        if result.not_compared:
            say(f"{len(result.not_compared)} not compared, as SRC does not have them")
        say_each(
            "not verified", [f"{name}: n1store did not write it" for name in result.not_verified]
        )
    if result.problems:
        sys.exit(FAILED)


@click.command()
@click.argument("store", metavar="STORE", type=PATH)
@click.argument("folder", metavar="DIR", type=PATH)
@workers_option
@overwrite_option
@follow_links_option
@json_option
def export(store: Path, folder: Path, as_json: bool, **options: Any) -> None:
    """Write the WAV files back to DIR, identical to the originals to the last byte."""
    from n1store.export import export_wavs

    with progress_bar("exporting", as_json, unit="recordings") as progress:
        files = export_wavs(store, folder, progress=progress, **options)
    if as_json:
        print_json({"files": [str(file) for file in files]})
    else:
        say(f"{folder}: {counted(len(files), 'WAV file')}, each with the SHA-256 of its original")


@click.command()
@click.argument("stores", metavar="STORE...", nargs=-1, required=True, type=PATH)
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
@follow_links_option
@json_option
def bench(stores: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Measure random-access read speed and full decompression, and the ratio per chunk.

    Windows of 1 s and 10 s (or whole recordings where these are shorter) are read at random
    offsets, with n1store and with zarr alone, from memory rather than disk, and checked. xRT
    is seconds of recording per second of waiting.
    """
    from n1store.bench import benchmark

    results = [benchmark(store, **options) for store in stores]
    if as_json:
        print_json([result.to_dict() for result in results])
    else:
        print_benchmarks(results)
