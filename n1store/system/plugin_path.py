"""What programs with an HDF5 of their own need to read what n1store writes.

Python needs none of it: `_n1store_hdf5` sees to the same when it starts.
"""

from __future__ import annotations

import os
import shlex
from importlib.util import find_spec
from pathlib import Path

from _n1store_hdf5 import PLUGIN_FOLDER, VARIABLE, search_path
from n1store.errors import N1StoreError


def plugin_path() -> str:
    """Return the value for HDF5_PLUGIN_PATH: all plugins, and the folders that it has now.

    They are n1store's and those of hdf5plugin.

    Raises
    ------
    N1StoreError
        If the plugins are not there, or if the variable has a line break in it.
    """
    if not any(Path(PLUGIN_FOLDER).glob("libn1store_h5_*.so")):
        raise N1StoreError(
            f"{PLUGIN_FOLDER}: no HDF5 plugins there; "
            "to install them: pip install --force-reinstall n1store"
        )
    folders = search_path(os.environ.get(VARIABLE)).split(os.pathsep)
    others = str(_hdf5plugin_folder())
    if others not in folders:
        folders.insert(folders.index(PLUGIN_FOLDER) + 1, others)
    path = os.pathsep.join(folders)
    if len(path.splitlines()) > 1:
        raise N1StoreError(f"{VARIABLE} has a line break in it; unset it or set it anew")
    return path


def shell_lines() -> str:
    """Return what a shell evaluates to set HDF5_PLUGIN_PATH, with comments for the reader."""
    path = plugin_path()
    matlab = path.replace("'", "''")
    julia = path.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f"""\
# For programs with an HDF5 of their own:  eval "$(n1store env)"
export {VARIABLE}={shlex.quote(path)}
# h5dump, h5repack and others read all that n1store writes when started from
# such a shell, but for what HDF5 has through Python only.
# MATLAB: start it from such a shell, or put into startup.m, before the first use
# of HDF5:
#   setenv('{VARIABLE}', '{matlab}')
# Julia: start it from such a shell, or write before the first "using HDF5":
#   ENV["{VARIABLE}"] = "{julia}"
# Python needs none of this where n1store is installed. One without n1store,
# started from such a shell, cannot write with hdf5plugin's Blosc, Blosc2 and
# bitshuffle."""


def _hdf5plugin_folder() -> Path:
    # Importing it would load all of its libraries.
    spec = find_spec("hdf5plugin")
    if spec is None or spec.origin is None:
        raise N1StoreError(
            "hdf5plugin is not installed; to install it: pip install --force-reinstall hdf5plugin"
        )
    return Path(spec.origin).parent / "plugins"
