"""What is known of the implant: recordings like its own, and code widths learned from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from n1store.cli.options import PATH, json_option, overwrite_option, workers_option
from n1store.cli.output import print_json, progress_bar, say
from n1store.errors import counted


@click.command()
@click.argument("folder", metavar="DIR", type=PATH)
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
@overwrite_option
def synth(folder: Path, **options: Any) -> None:
    """Make recordings like the implant's in DIR, the same ones for the same seed."""
    from n1store.implant.synth import synthesize

    files = synthesize(folder, **options)
    say(f"{folder}: {counted(len(files), 'WAV file')}")


@click.command()
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=PATH)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=PATH,
    help="Ends in .json, for --codec n1:widths=FILE; or in .h, for the C source of n1.",
)
@workers_option
@overwrite_option
@json_option
def train(sources: tuple[Path, ...], output: Path, as_json: bool, **options: Any) -> None:
    """Learn the code widths of the N1's converter from its WAV files and folders of them.

    Channels that nothing can be learned from are left out and named.
    """
    from n1store.implant.training import train_to_file

    with progress_bar("training", as_json) as progress:
        training = train_to_file(sources, output, progress=progress, **options)
    for line in training.left_out:
        say(f"left out: {line}", err=True)
    if as_json:
        print_json({"file": str(output), **training.to_dict(), "left_out": training.left_out})
        return
    say(
        f"{output}: learned from {counted(training.num_recordings, 'recording')}, "
        f"{training.num_samples} samples"
    )
    say(f"  ideal ratio       {training.ratio:.3f}, with equal widths {training.flat_ratio:.3f}")
