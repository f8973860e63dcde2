"""Makes HDF5 find the filters of n1store's files in every process of a Python that has n1store.

n1store_hdf5.pth calls `set_up` when Python starts. n1store's own plugins are then found through
HDF5_PLUGIN_PATH, and the registered filters that n1store writes too, such as Blosc and zstd, are
those of hdf5plugin, which is imported as soon as h5py is: a folder of plugins is not enough for it,
as HDF5 can read with those that it finds there but not write. Programs that have nothing to do with
n1store pay for it: nothing here imports what is not loaded anyway, prints or fails.
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


def set_up() -> None:
    """Prepare this process, and what it starts, unless that is switched off."""
    if not os.environ.get(OFF_SWITCH) and os.path.isdir(PLUGIN_FOLDER):
        os.environ[VARIABLE] = search_path(os.environ.get(VARIABLE))
        if _Hdf5pluginBehindH5py not in sys.meta_path:  # lines of .pth files may run twice
            sys.meta_path.insert(0, _Hdf5pluginBehindH5py)


class _Hdf5pluginBehindH5py:
    """A finder that finds h5py as Python does, and has hdf5plugin imported when that is loaded."""

    @staticmethod
    def find_spec(name, path=None, target=None):  # type: ignore[no-untyped-def]
        if name != "h5py":
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_both(module):  # type: ignore[no-untyped-def]
                load(module)
                _import_hdf5plugin(module)

            spec.loader.exec_module = load_both
        return spec


def _import_hdf5plugin(h5py) -> None:  # type: ignore[no-untyped-def]
    try:
        # hdf5plugin cannot set up a filter that HDF5 has found before. Where its own folder is
        # searched, for programs that are not Python, HDF5 is to forget it here.
        for number in reversed(range(h5py.h5pl.size())):
            if h5py.h5pl.get(number).endswith(b"/hdf5plugin/plugins"):
                h5py.h5pl.remove(number)
        import hdf5plugin  # noqa: F401
    except Exception:  # h5py is whole without it
        pass
