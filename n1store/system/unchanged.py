"""Whether a file is still the one that it was when it was opened."""

import os

Version = tuple[int, int, int, int, int]
"""Device, inode, size and times of the last change of a file's content and of its status.

The first time can be set back by whoever changes the content, the second one cannot.
"""


def version_of(status: os.stat_result) -> Version:
    """Return the version of a file, given its status."""
    times = status.st_mtime_ns, status.st_ctime_ns
    return status.st_dev, status.st_ino, status.st_size, *times
