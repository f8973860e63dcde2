"""The one exception that means "tell the user", with a message fit to be shown alone."""


class N1StoreError(Exception):
    """Something is wrong with what the user gave, or with what n1store found there.

    The message is one line that names the file and what to do about it; the command line
    prints it as it is.
    """


def one_line(error: Exception) -> str:
    """Return the message of any exception as one line."""
    return " ".join(str(error).split()) or type(error).__name__


def printable(text: str) -> str:
    """Return a text without line breaks, commands to terminals, and what is no letter."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
