"""The command line: options in, text or JSON out; the work is done elsewhere."""

from __future__ import annotations

import atexit
import errno
import io
import logging
import math
import os
import signal
import sys
import time
import warnings
from typing import Any

import click

from n1store.cli import hdf5, implant, n1_files, stores, study
from n1store.cli.options import INTERRUPTED, Interrupted
from n1store.cli.output import say
from n1store.display import message
from n1store.errors import N1StoreError, one_line
from n1store.version import __version__


class _Commands(click.Group):
    """Turns every foreseeable failure of a command into one line and an exit code."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, each with the whole of its first sentence."""
        names = self.list_commands(ctx)
        rows = [(name, self.commands[name].get_short_help_str(limit=1000)) for name in names]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        warnings_of = logging.getLogger("n1store")
        handler = _SaidWarnings()
        warnings_of.addHandler(handler)
        try:
            return super().invoke(ctx)
        except N1StoreError as error:
            option = f"; {error.option}" if error.option else ""
            raise click.ClickException(message(one_line(error) + option)) from error
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted; nothing unfinished was left behind") from error
        except MemoryError as error:
            raise click.ClickException(f"not enough memory{self._what_takes_less(ctx)}") from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            place = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(message(f"{place}{error.strerror or error}")) from error
        finally:
            warnings_of.removeHandler(handler)

    def _what_takes_less(self, ctx: click.Context) -> str:
        """Return what to try in little memory, of the options that the command has."""
        command = self.commands.get(ctx.invoked_subcommand or "")
        known = {parameter.name for parameter in command.params} if command else set()
        options = {"chunk_seconds": "a shorter --chunk-seconds", "workers": "fewer --workers"}
        there = [words for name, words in options.items() if name in known]
        return f"; try {' or '.join(there)}" if there else ""


class _SaidWarnings(logging.Handler):
    """Prints what the library warns of as commands print everything."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage(), err=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="n1store")
def cli() -> None:
    """Neural recordings as compressed datasets that open anywhere."""


for _command in (
    *(stores.convert, stores.info, stores.verify, stores.export, stores.bench),
    *(n1_files.encode, n1_files.decode, n1_files.evaluate, n1_files.inspect),
    *(implant.synth, implant.train),
    *(study.codecs, study.compare, study.report),
    *(hdf5.plugin_path, hdf5.env, hdf5.reference),
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line."""
    # A polite kill is as good a reason to clean up as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not in the background
        signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt)
    sys.unraisablehook = _interrupt_again
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)  # then nobody heeds it any more
    # The name of a file may be no text in the terminal's encoding; it is shown as in messages.
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    # Reading through zarr, a damaged chunk is an error of ours and a log message of asyncio's.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr version 3")
    try:
        cli()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            from n1store.system.atomic import end_interrupted

            end_interrupted()
            # Python would wait for all threads, and for ever for one whose start was interrupted.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        raise


_PATIENCE = 3.0  # seconds
_interrupted = -math.inf


def _interrupt(*_: object) -> None:
    """Stop the work; but not its being cleaned up, when Ctrl-C is pressed more than once."""
    global _interrupted
    now = time.monotonic()
    if now - _interrupted > _PATIENCE:
        _interrupted = now
        raise KeyboardInterrupt


def _interrupt_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Interrupt a little later where Python could not pass an interrupt on.

    It is lost when the signal arrives while an object is being removed, say.
    """
    global _interrupted
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        if sys.is_finalizing():
            return
        _interrupted = -math.inf
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(unraisable)
