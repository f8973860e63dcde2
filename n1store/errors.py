"""The exception that means "tell the user", with a message fit to be shown alone."""

from collections.abc import Iterator
from contextlib import contextmanager


class N1StoreError(Exception):
    """Something is wrong with what the user gave, or with what n1store found there.

    The message is one line that names the file and what to do about it; the command line
    prints it as it is.

    Parameters
    ----------
    message : str
    option : str
        What to do about it, where that is an option of the command line, which adds this.
    """

    def __init__(self, message: str, *, option: str = ""):
        super().__init__(message)
        self.option = option


class NotHereError(N1StoreError):
    """What a file needs to be read or written is not installed; the file itself may be whole."""


@contextmanager
def about(path: object) -> Iterator[None]:
    """Let every N1StoreError name this file or store."""
    try:
        yield
    except N1StoreError as error:
        if str(path) in str(error):
            raise
        kind = NotHereError if isinstance(error, NotHereError) else N1StoreError
        raise kind(f"{path}: {error}", option=error.option) from error


def one_line(error: Exception) -> str:
    """Return the message of any exception as one line."""
    text = str(error)
    if isinstance(error, KeyError) and len(error.args) == 1 and " " in str(error.args[0]):
        text = str(error.args[0])  # whose words Python puts in quotes, as if they were a key
    return " ".join(text.split()) or type(error).__name__


def counted(number: int, what: str) -> str:
    """Return how many there are of something, such as ``1 recording`` or ``2 recordings``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
