"""Loops over cases within one test, where no reader wants to run one of them alone."""

from contextlib import contextmanager


@contextmanager
def case(*values):
    """Have a failure say in which case it happened."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the case of {', '.join(map(repr, values))}")
        raise
