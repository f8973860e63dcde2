"""Regular files, as opposed to pipes and devices, which keep a reader waiting or have no end."""

import errno
import os
import stat


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise OSError if something is no regular file, which is not to be opened then."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", os.fspath(path))


def read_small(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """Return the content of a file of settings.

    Raises
    ------
    OSError
        If it cannot be read, is no regular file, or larger than any such file is.
    """
    check_regular(path)
    with open(path, "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, "is too large", os.fspath(path))
    return content
