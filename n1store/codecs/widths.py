"""Files of code widths, which `n1store train` writes and the codec `n1` can be given."""

import json
import os

from n1store.codecs.native import NUM_CODES
from n1store.errors import N1StoreError

FORMAT, VERSION = "n1store-widths", 1
_MAX_FILE_BYTES = 1 << 20


def load_widths(path: str | os.PathLike[str]) -> bytes:
    """Read a table of 1024 code widths, a byte each, from a file that `train_to_file` wrote.

    Raises
    ------
    N1StoreError
        If it is no such file or holds no valid table.
    """
    from n1store.regular import read_small  # which readers of stores need not have

    try:
        text = read_small(path, _MAX_FILE_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise N1StoreError(f"{path}: cannot be read: {reason}") from error
    try:
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f'it does not say "format": "{FORMAT}"')
    except (ValueError, RecursionError) as error:
        raise N1StoreError(
            f"{path}: is not a file of code widths, which `n1store train` makes: {error}"
        ) from error
    if content.get("version") != VERSION:
        raise N1StoreError(
            f"{path}: is of version {content.get('version')!r}, and this n1store reads version "
            f"{VERSION}; update n1store or train anew"
        )
    widths = content.get("widths")
    if not isinstance(widths, list) or len(widths) != NUM_CODES:
        raise N1StoreError(f"{path}: holds no list of {NUM_CODES} widths; train anew")
    if not all(type(width) is int and 0 <= width <= 255 for width in widths) or not any(widths):
        raise N1StoreError(f"{path}: widths must be integers from 0 to 255, not all 0; train anew")
    return bytes(widths)
