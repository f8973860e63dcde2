"""Ratio and speed of n1 and its rivals, side by side in one run.

Each codec has its file, here and in rivals/, which tells how to add another. What is measured
and how is in measure.py.
"""

import os
import tempfile
from pathlib import Path

import click
import numpy as np

import n1
import rivals
from codec import Codec
from measure import SAMPLES, Row, channels, cut, measure, rows
from n1store.errors import N1StoreError
from n1store.implant.synth import synthesize, synthesize_blocks
from n1store.implant.training import train
from n1store.sources.files import find_files
from n1store.sources.wav import open_wav
from results import (
    SECONDS,
    WHOLE_FILES,
    describe,
    print_results,
    put_table,
    results,
    write_csv,
)

DEFAULT_CSV = Path(__file__).parents[1] / "results/codecs.csv"
NUM_SYNTHETIC = 84
SYNTHETIC_SECONDS, SYNTHETIC_CHANNELS = 10, 16


@click.command(help=__doc__)
@click.argument("recordings", required=False, type=click.Path(path_type=Path))
@click.option(
    "--arrays",
    type=click.Path(path_type=Path),
    help="Folder of .npy files, int16 of shape (num_samples, num_channels).",
)
@click.option("--files", type=click.IntRange(1), help="Take so many recordings only.")
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--other-half",
    is_flag=True,
    help="Measure n1 also with tables of code widths learned from that half of the recordings "
    "which a recording is not in.",
)
@click.option("--csv", "csv_path", type=click.Path(path_type=Path), help="Write the results here.")
@click.option(
    "--table",
    "document",
    type=click.Path(path_type=Path),
    help="Measure nothing; put the table of --csv, or else of benchmarks/results/codecs.csv, "
    "between the markers of this document.",
)
def main(
    recordings: Path | None,
    arrays: Path | None,
    files: int | None,
    repeats: int,
    other_half: bool,
    csv_path: Path | None,
    document: Path | None,
) -> None:
    try:
        if document is not None:
            put_table(document, csv_path or DEFAULT_CSV)
        else:
            run(recordings, arrays, files, repeats, other_half, csv_path)
    except (N1StoreError, OSError) as error:
        raise click.ClickException(str(error)) from error


def run(
    recordings: Path | None,
    arrays: Path | None,
    files: int | None,
    repeats: int,
    other_half: bool,
    csv_path: Path | None,
) -> None:
    rival_codecs, versions, missing = rivals.load()
    codecs = n1.CODECS + rival_codecs
    for line in missing:
        click.echo(line)
    with tempfile.TemporaryDirectory() as folder:
        name, paths = find_recordings(recordings, files, Path(folder))
        comparisons = comparisons_of_recordings(name, paths, codecs, other_half)
    comparisons += comparisons_of_arrays(arrays, codecs)

    if csv_path is not None:
        csv_path.parent.mkdir(parents=True, exist_ok=True)
    load_before = os.getloadavg()[0]
    lines = []
    for comparison in comparisons:
        click.echo(f"measuring {comparison[0].data}: {len(comparison)} rows", err=True)
        measure(comparison, repeats)
        lines.append(results(comparison))
        print_results(lines[-1])
    if csv_path is not None:
        head = describe(versions, missing, (load_before, os.getloadavg()[0]))
        write_csv(csv_path, head, [line for comparison in lines for line in comparison])


def find_recordings(
    recordings: Path | None, num_files: int | None, folder: Path
) -> tuple[str, list[Path]]:
    """Return a name and the WAV files; synthetic ones, made in `folder`, if there are none."""
    if recordings is not None and recordings.is_dir():
        paths = [path for path, _ in find_files([recordings])][:num_files]
        return f"{len(paths)} files of {recordings.resolve().name}", paths
    paths = synthesize(folder, num_files or NUM_SYNTHETIC)
    return f"{len(paths)} synthetic files", paths


def comparisons_of_recordings(
    name: str, paths: list[Path], codecs: list[Codec], other_half: bool
) -> list[list[Row]]:
    """Return a comparison of files as chunks, and one of chunks of 1 s; of single channels."""
    wavs = [open_wav(path) for path in paths]
    for wav in wavs:
        if not wav.num_samples:
            raise N1StoreError(f"{wav.path}: holds no samples to measure; take it out")
    files = [channels(wav.read(0, wav.num_samples)) for wav in wavs]
    pieces = [[chunk for channel in file for chunk in cut(channel)] for file in files]
    tables = tables_of_halves(paths) if other_half else None
    comparisons = []
    for chunking, chunks in ((WHOLE_FILES, files), (SECONDS, pieces)):
        comparison = rows(name, chunking, [chunk for file in chunks for chunk in file], codecs)
        if tables is not None:
            remark = ", table from the other half"
            other = [n1.level(2, table, remark) for table in tables]
            work = [
                (other[1 - number % 2], chunk)
                for number, file in enumerate(chunks)
                for chunk in file
            ]
            row = Row(name, chunking, SAMPLES, other[0].name, other[0].parameters, work)
            comparison.insert(len(n1.CODECS), row)
        comparisons.append(comparison)
    return comparisons


def tables_of_halves(paths: list[Path]) -> list[bytes]:
    """Return the code widths learned from every second file, and from the others."""
    if len(paths) < 2:
        raise N1StoreError("--other-half takes at least two recordings")
    return [train(paths[half::2]).widths.tobytes() for half in (0, 1)]


def comparisons_of_arrays(arrays: Path | None, codecs: list[Codec]) -> list[list[Row]]:
    """Return a comparison for each array, as one chunk and as one chunk a channel."""
    found: dict[str, np.ndarray] = {}
    if arrays is not None and arrays.is_dir():
        for path in sorted(arrays.glob("*.npy")):
            array = load_array(path)
            found[f"{path.stem}, {array.shape[1]} channels"] = array
    else:
        blocks = list(synthesize_blocks(SYNTHETIC_SECONDS, SYNTHETIC_CHANNELS))
        found[f"synthetic, {SYNTHETIC_CHANNELS} channels"] = np.concatenate(blocks)
    return [
        rows(name, "all channels", [array], codecs)
        + rows(name, "each channel", channels(array), codecs)
        for name, array in found.items()
    ]


def load_array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise N1StoreError(f"{path}: is no array in NumPy's format") from error
    is_array = isinstance(array, np.ndarray)  # and not a .npz file
    if not is_array or array.dtype != np.int16 or array.ndim != 2 or not array.size:
        raise N1StoreError(
            f"{path}: must hold samples of int16 and of shape (num_samples, num_channels)"
        )
    return np.ascontiguousarray(array)


if __name__ == "__main__":
    main()
