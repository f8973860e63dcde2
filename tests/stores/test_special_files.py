"""Pipes and devices are not opened, whoever names them; nor is what is larger than it may be."""

import os

import pytest

import n1store
from make_wav import on_grid, write_wav
from n1store import N1StoreError

COMMANDS = (["info"], ["verify"], ["export", "back"], ["bench"], ["convert", "out.nwb"])


@pytest.mark.parametrize("name", ["x.nwb", "x.zarr", "x.zarr.zip", "x.n1", "x"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_no_command_opens_one(fails, tmp_path, name, kind):
    path = tmp_path / name
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    for command, *more in COMMANDS:
        fails(command, path, *(tmp_path / each for each in more), words=[path, "regular file"])
    with pytest.raises(N1StoreError, match="regular file"):
        n1store.open(path)
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("kind", ["pipe", "device", "huge"])
def test_no_settings_are_read_from_one(fails, tmp_path, kind):
    wav = write_wav(tmp_path / "x.wav", on_grid(100, 1), 20_000)
    path = tmp_path / "settings"
    if kind == "huge":
        path.write_text("NWBFile: {notes: " + "a" * (2 << 20) + "}")
    else:
        os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    why = "is too large" if kind == "huge" else "is not a regular file"
    fails("convert", wav, tmp_path / "x.nwb", "--metadata", path, words=[path, why])
    fails("convert", wav, tmp_path / "x.zarr", "--codec", f"n1:widths={path}", words=[path, why])
    fails("encode", wav, tmp_path / "x.n1", "--widths", path, words=[path, why])
