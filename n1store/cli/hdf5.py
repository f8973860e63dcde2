"""What HDF5 files need to be read by other programs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from n1store.cli.options import PATH, json_option, overwrite_option
from n1store.cli.output import print_json, say
from n1store.errors import counted


@click.command("plugin-path")
@json_option
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


@click.command()
def env() -> None:
    """Print what h5dump, h5repack, MATLAB and Julia need; for a shell: eval "$(n1store env)"."""
    from n1store.system.plugin_path import shell_lines

    click.echo(shell_lines())


@click.command()
@click.argument("source", metavar="IN.nwb", type=PATH)
@click.argument("destination", metavar="REFS.json", type=PATH)
@click.option(
    "--url",
    help="Where readers find IN.nwb: a path, https://…, s3://…  [default: its absolute path]",
)
@overwrite_option
@json_option
def reference(source: Path, destination: Path, as_json: bool, **options: Any) -> None:
    """Write a reference file, with which zarr reads the datasets of an NWB or HDF5 file in place.

    The chunks stay where they are. zarr.open_group("reference::REFS.json", mode="r") opens it,
    with fsspec installed; for addresses on the web aiohttp is needed too, and with zarr 3
    storage_options={"remote_options": {"asynchronous": True}}.
    """
    from n1store.reference import write_reference

    result = write_reference(source, destination, **options)
    if as_json:
        print_json(result.to_dict())
        return
    say(
        f"{destination}: {counted(result.arrays, 'array')}, {counted(result.chunks, 'chunk')} in "
        f"{result.url}, {result.inlined} small ones here"
    )
    say(f"to open it: {result.how_to_open()}")
    for line in result.left_out:
        say(f"left out: {line}", err=True)
    for count, what, why in (
        (result.attributes_left_out, "attribute", "JSON cannot hold"),
        (result.links_left_out, "link", "Zarr does not have"),
    ):
        if count:
            say(f"left out: {counted(count, what)} that {why}", err=True)
