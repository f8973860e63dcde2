"""Makes HDF5 find n1store's plugins: sets HDF5_PLUGIN_PATH when Python starts.

n1store_hdf5.pth calls `set_plugin_path` in every process of a Python that has n1store, so that
h5py reads n1store's filters without an import. Programs that have nothing to do with n1store
pay for it: nothing here imports what is not loaded anyway, prints or fails.
"""

import os
import sys

VARIABLE = "HDF5_PLUGIN_PATH"
OFF_SWITCH = "N1STORE_NO_HDF5_PLUGINS"

PLUGIN_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "n1store", "hdf5")

# The variable replaces the folders that are built into an HDF5, and which HDF5 it will be is
# not known yet: that of h5py's wheels, Debian's or conda's.
BUILT_IN_FOLDERS = (
    "/usr/local/hdf5/lib/plugin",
    "/usr/local/lib/plugin",
    f"/usr/lib/{getattr(sys.implementation, '_multiarch', '')}/hdf5/serial/plugins",
    f"{sys.prefix}/lib/hdf5/plugin",
)


def search_path(value: str | None) -> str:
    """Return a value for HDF5_PLUGIN_PATH with n1store's plugins and all that is found now.

    n1store's folder is the first: HDF5 1.10 gives up at a folder that does not exist, and every
    HDF5 opens all the libraries in front of the one that it looks for.

    Parameters
    ----------
    value : str or None
        The value of the variable; None if it is not set.
    """
    if value is None:
        folders = [folder for folder in BUILT_IN_FOLDERS if os.path.isdir(folder)]
    else:
        folders = value.split(os.pathsep) if value else []
    if PLUGIN_FOLDER not in folders:
        folders.insert(0, PLUGIN_FOLDER)
    return os.pathsep.join(folders)


def set_plugin_path() -> None:
    """Set HDF5_PLUGIN_PATH for this process and its children, unless it is switched off."""
    if not os.environ.get(OFF_SWITCH) and os.path.isdir(PLUGIN_FOLDER):
        os.environ[VARIABLE] = search_path(os.environ.get(VARIABLE))
