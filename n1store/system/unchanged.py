"""Whether a file is still the one that it was when it was opened."""

import os

Version = tuple[int, int, int, int]
"""Device, inode, size and time of the last change of a file's content."""


def version_of(status: os.stat_result) -> Version:
    """Return the version of a file, given its status."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
