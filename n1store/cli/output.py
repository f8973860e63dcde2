"""What commands show: text and tables on standard output, progress on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from n1store.cli.layout import fitted, table_lines, terminal_width
from n1store.display import first_of, message
from n1store.errors import counted

if TYPE_CHECKING:
    from n1store.bench import Benchmark
    from n1store.codecs.info import CodecInfo
    from n1store.inspection import Inspection
    from n1store.n1file.container import N1Info
    from n1store.n1file.evaluation import Evaluation
    from n1store.sizes import StoreSizes
    from n1store.study.results import Comparison


@contextmanager
def progress_bar(
    what: str, quiet: bool, unit: str = "bytes", timed: bool = False
) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar with rate and time left on standard error, if that is a terminal.

    Before it is known how much there is to do, it says that recordings are looked for. It is drawn
    by a thread of its own, but not where the work is `timed`.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    counts = (
        [DownloadColumn(), TransferSpeedColumn()] if unit == "bytes" else [MofNCompleteColumn()]
    )
    looking = [TextColumn("{task.description}: looking for recordings"), TimeElapsedColumn()]
    columns = [TextColumn("{task.description}"), BarColumn(), *counts, TimeRemainingColumn()]
    with Progress(
        *(looking[:1] if timed else looking),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=not timed,
    ) as bar:
        task = bar.add_task(what, total=None)

        def show(done: int, total: int) -> None:
            bar.columns = tuple(columns)
            bar.update(task, completed=done, total=total, refresh=timed)

        yield show


def say(text: str, *, err: bool = False) -> None:
    """Print a line, without what a terminal could take for commands.

    What is printed on standard output is broken between words where the terminal is narrower.
    """
    lines = [message(text)] if err else fitted(message(text), terminal_width())
    for line in lines:
        click.echo(line, err=err)


def say_each(what: str, lines: Sequence[str]) -> None:
    """Say what was done with each of several things, or with the first of many."""
    for line in first_of([f"{what}: {line}" for line in lines]):
        say(line, err=True)


def about(seconds: float) -> str:
    """Return a length of time that is not known exactly."""
    if seconds < 100:
        return f"{max(10, math.ceil(seconds / 10) * 10)} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def print_json(content: Any) -> None:
    """Print what commands give machines."""
    click.echo(json.dumps(content, indent=2))


def print_sizes(name: str, sizes: StoreSizes) -> None:
    """Print how large a store is, and how small beside its samples."""
    from n1store.codecs.pipeline import without_tables

    content = sizes.to_dict()
    say(
        f"{name}: {counted(content['recordings'], 'recording')}, {content['duration_s']:.1f} s, "
        f"codec {without_tables(content['codec'])}"
    )
    for codec, count in content["lossy"].items():
        say(
            f"  LOSSY             {counted(count, 'recording')}, by {codec}: samples are not as "
            "recorded, WAV files cannot be restored"
        )
    say(f"  samples           {_bytes(content['raw_bytes'])}")
    for label, key in (("chunks", "chunk"), ("store on disk", "store")):
        say(f"  {label:<18}{_bytes(content[key + '_bytes'])}   ratio {content[key + '_ratio']:.3f}")
    ratios = "  ".join(f"{key} {value:.3f}" for key, value in sizes.chunk_ratios().items())
    say(f"  ratio per chunk   {ratios or '-'}   ({content['chunks']} chunks)")


def print_worst(sizes: StoreSizes) -> None:
    """Print which chunks have become the least smaller."""
    worst = sizes.worst_chunks(3)
    for label, chunk in zip(["worst chunks", "", ""], worst, strict=False):
        index = ",".join(map(str, chunk.index))
        say(f"  {label:<18}{chunk.ratio:.3f}  {chunk.recording} chunk {index}")


_SHOWN = 20


def print_recordings(sizes: StoreSizes, *, all_of_them: bool) -> None:
    """Print a line for each recording of a store, or for the first of many."""
    shown = None if all_of_them or len(sizes.recordings) <= _SHOWN + 1 else _SHOWN
    _print_table(
        ["recording", "samples", "channels", "Hz", "seconds", "chunk"],
        [
            [
                name,
                str(recording["shape"][0]),
                str(recording["shape"][1]),
                f"{recording['sampling_frequency']:g}",
                f"{recording['duration']:.3f}",
                "x".join(map(str, recording["chunk_shape"])),
            ]
            for name, recording in islice(sizes.recordings.items(), shown)
        ],
    )
    if shown is not None:
        say(f"and {len(sizes.recordings) - shown} more; --recordings lists all")


def print_inspection(name: str, inspection: Inspection) -> None:
    """Print what is in a payload."""
    say(f"{name}: {inspection.headline}")
    if inspection.rows:
        _print_table(inspection.headings, inspection.rows)


def print_chunks(sizes: StoreSizes) -> None:
    """Print a line for each chunk of a store."""
    _print_table(
        ["recording", "chunk", "bytes", "stored", "ratio"],
        [
            [
                chunk.recording,
                ",".join(map(str, chunk.index)),
                str(chunk.raw_bytes),
                str(chunk.stored_bytes),
                f"{chunk.ratio:.3f}",
            ]
            for chunk in sizes.chunks
        ],
    )


def print_requirements(attributes: Mapping[str, Any]) -> None:
    """Print what readers of a store install, if it says so."""
    stages = [stage.partition(":")[0] for stage in attributes["codec"].split("+")]
    if "readers_need" in attributes:
        if "adc" in stages:
            say("  adc               on: samples are stored as the converter's 10-bit codes")
        say(f"  readers need      {', '.join(attributes['readers_need'])}")


def print_unknown(names: list[str]) -> None:
    """Print what a store does not say as nobody has said it, and the options that do."""
    if names:
        words = ", ".join(name.removesuffix("_to_uv").replace("_", " ") for name in names)
        options = [f"--{name.replace('_', '-')}" for name in names if name != "starting_times"]
        say(f"  unknown           {words}")
        if options:
            say(f"                    (say it: {', '.join(options)}, or --metadata)")


def print_benchmarks(results: list[Benchmark]) -> None:
    """Print ratios and reading speeds of stores."""
    from n1store.bench import SPEED_HEADINGS
    from n1store.codecs.pipeline import without_tables

    _print_table(
        ["store", "codec", "ratio", "per chunk: min", "p5", "median", "p95", "max"],
        [
            [
                str(result.path),
                without_tables(result.sizes.attributes["codec"]),
                f"{result.to_dict()['chunk_ratio']:.3f}",
                *(f"{ratio:.3f}" for ratio in result.sizes.chunk_ratios().values()),
            ]
            for result in results
        ],
    )
    for result in results:
        for codec, count in result.sizes.lossy.items():
            say(f"{result.path}: LOSSY: {counted(count, 'recording')}, by {codec}")
    rows = []
    for result in results:
        for speed in [*result.windows, *result.scans]:
            rows.append([str(result.path), *speed.row])
    _print_table(["store", *SPEED_HEADINGS], rows)


def print_codecs(infos: list[CodecInfo]) -> None:
    """Print a line for each codec, and what some of them lack here."""
    from n1store.codecs.info import shortcomings

    lack = {"no": "not installed: ", "not in HDF5": "not in HDF5: "}
    _print_table(
        ["codec", "group", "HDF5", "how it works, and its parameters with their defaults"],
        [
            [
                info.entry.name,
                info.entry.group,
                str(info.hdf5.written["filter_id"] or ("unknown" if info.entry.hdf5 else "none")),
                lack.get(info.installed, "")
                + "; ".join(filter(None, [info.entry.summary, info.parameters])),
            ]
            for info in infos
        ],
    )
    for line in shortcomings(infos):
        say(line)


def print_codec(info: CodecInfo) -> None:
    """Print all that there is to say of a codec."""
    from n1store.codecs.info import values_of

    say(f"{info.entry.name} ({info.entry.group}): {info.entry.summary}")
    width = max((len(each.name) for each in info.entry.parameters), default=0)
    parameters = [
        f"{each.name:<{width}}  {values_of(each)}  "
        f"[default: {'none' if each.default is None else each.default}]"
        for each in info.entry.parameters
    ]
    _print_lines("parameters", parameters or ["none"])
    _print_lines("installed", [info.why_missing or info.installed])
    for label, where in (("Zarr 2", info.zarr2), ("Zarr 3", info.zarr3), ("HDF5", info.hdf5)):
        _print_lines(label, where.lines())
        if where.readers_need:
            _print_lines("  readers need", [", ".join(where.readers_need)])
    _print_lines("notes", info.notes)
    for label, example in zip_longest(["examples"], info.examples, fillvalue=""):
        click.echo(f"  {label:<18}{example}")  # in one piece, to be copied


def print_n1_info(path: Path, info: N1Info, as_json: bool, payloads: bool = False) -> None:
    """Print what a .n1 file holds and how small it is."""
    if as_json:
        content = {"file": str(path), **info.to_dict()}
        if payloads:
            content["payloads"] = [
                {"num_samples": count, "bytes": size} for count, size in info.payloads
            ]
        print_json(content)
        return
    say(
        f"{path}: {info.num_samples} samples, channels: {info.num_channels}, "
        f"{info.sampling_frequency} Hz, {info.duration:.3f} s"
    )
    say(f"  WAV file          {_bytes(info.wav_bytes)}")
    say(f"  .n1 file          {_bytes(info.n1_bytes)}   ratio {info.ratio:.3f}")
    if payloads:
        frame_bytes = 2 * info.num_channels
        _print_table(
            ["payload", "samples", "bytes", "ratio"],
            [
                [str(index), str(count), str(size), f"{count * frame_bytes / size:.3f}"]
                for index, (count, size) in enumerate(info.payloads)
            ],
        )


def print_evaluation(result: Evaluation) -> None:
    """Print size and speed of each file, and of all."""
    totals = result.totals()
    rows = [
        [each["file"], str(each["wav_bytes"]), str(each["n1_bytes"]), f"{each['ratio']:.3f}"]
        + [f"{each[key]:.0f}" for key in ("encode_xrt", "decode_xrt")]
        + [f"{each[key]:.2f}" for key in ("encode_ms", "decode_ms")]
        for each in (each.to_dict() for each in result.files)
    ]
    _print_table(
        ["file", "WAV", ".n1", "ratio", "encode xRT", "decode xRT", "encode ms", "decode ms"], rows
    )
    say(
        f"{totals['files']} of {totals['files'] + len(result.problems)} files came back identical: "
        f"{totals['duration_s']:.1f} s, level {result.level}"
    )
    say(f"  WAV files         {_bytes(totals['wav_bytes'])}")
    say(f"  .n1 files         {_bytes(totals['n1_bytes'])}   ratio {totals['ratio']:.3f}")
    say(
        f"  payloads          {_bytes(totals['payload_bytes'])}   "
        f"ratio {totals['payload_ratio']:.3f} of the 16-bit samples"
    )
    for what in ("encode", "decode"):
        if speed := totals[what]:
            latency = "  ".join(f"{key} {ms:.2f}" for key, ms in speed["latency_ms"].items())
            say(
                f"  {what}            {speed['xrt']:.0f} xRT, {speed['mb_per_s']:.0f} MB/s, "
                f"ms per file: {latency}"
            )


_NOISY = 0.2


def print_comparison(result: Comparison) -> None:
    """Print a line for each pipeline, or the best of many, and what to know about them."""
    from n1store.codecs.pipeline import without_tables
    from n1store.study.results import RESULT_HEADINGS
    from n1store.study.shown import advice, best_of_groups, front_of

    data, machine = result.data, result.measured_with
    say(
        f"{data.chunks} of {data.chunks_of} chunks of {counted(data.files, 'recording')}, "
        f"{data.duration_s:.1f} s, {data.raw_bytes / 1e6:.3f} MB; one core of {machine.cpu}"
    )
    shown = result.results
    if len(shown) > _SHOWN + 1:
        chosen = [*front_of(shown), *best_of_groups(shown)]
        shown = [each for each in shown if each in chosen]
    rows = [each.row for each in shown]
    if rows:
        _print_table(list(RESULT_HEADINGS), rows)
        if len(shown) < len(result.results):
            say(
                f"and {len(result.results) - len(shown)} more; these are the best of each group "
                "and those marked *"
            )
        say("* no other is smaller and faster to decode; enc., dec.: MB/s; MB: peak of memory")
    if any(not each.lossless for each in result.results):
        say("~ lossy, with an error of:")
        for each in result.results:
            if each.error is not None:
                snr = "-" if each.error.snr_db is None else f"{each.error.snr_db:.1f} dB"
                say(
                    f"  {without_tables(each.pipeline)}: RMSE {each.error.rmse:.3g}, "
                    f"at most {each.error.max}, SNR {snr}"
                )
    for codec in data.lossy:
        say(f"LOSSY: there are samples not as recorded, but as {codec} has left them")
    for absent in result.missing:
        say(f"missing: {absent.codec}: to install it: {absent.install}")
    if not rows:
        say("nothing was measured")
    elif all(each.repeats == 1 for each in result.results):
        say("speeds were measured once; --repeats tells how far they differ")
    else:
        busy = "; was the machine busy?" if result.noise > _NOISY else ""
        say(f"speeds of a pipeline differ by {result.noise:.0%} between rounds{busy}")
    if rows:
        for line in advice(result.results, result.noise):
            say(line)


def _print_lines(label: str, lines: list[str]) -> None:
    for number, line in enumerate(lines):
        say(f"  {'' if number else label:<18}{line}")


def _print_table(header: list[str], rows: list[list[str]]) -> None:
    for line in table_lines(header, [list(map(message, row)) for row in rows], terminal_width()):
        click.echo(line)


def _bytes(count: int) -> str:
    return f"{count / 1e6:>10.3f} MB"
