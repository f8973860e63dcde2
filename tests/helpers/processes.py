"""Scripts in processes of their own, which know nothing of the tests, and limits of time."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest

# Begins a script that signals are sent to. Started in the background, as tests may be, it would
# ignore Ctrl-C; and when it hangs, it ends itself and says where.
HEED_SIGNALS = """
import faulthandler, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
faulthandler.dump_traceback_later(100, exit=True)
"""


def clean_environment(**variables):
    """Return an environment in which nobody has set anything about plugins or Python."""
    ours = ("HDF5_PLUGIN", "N1STORE_", "PYTHON")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return environment | variables


def run_alone(script, *arguments, timeout=120, **variables):
    """Run a script in a clean environment, in a process of its own; return what it printed."""
    result = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(script), *map(str, arguments)],
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    sys.stderr.write(result.stderr)  # is shown when the test fails
    assert result.returncode == 0, f"it ended with {result.returncode}"
    return result.stdout


# Has imported zarr when it forks a process for each store, so that none knows what another
# imported, and none waits for zarr.
ZARR_ALONE = """
    import json, os, signal, sys, traceback
    import numpy, zarr

    def read(path, out):
        if path.endswith(".zip"):
            root = zarr.open_group(zarr.storage.ZipStore(path, mode="r"), mode="r")
        else:
            root = zarr.open(path, mode="r")
        group = root["recordings"] if "recordings" in root else root
        arrays = {name: array[:] for name, array in group.arrays() if array.ndim == 2}
        codecs_need = "n1store", "n1store.errors", "n1store.version"
        beyond = [name for name in sys.modules if name.split(".")[0] == "n1store"
                  and not name.startswith("n1store.codecs") and name not in codecs_need]
        assert not beyond, beyond
        numpy.savez(out, **arrays)

    assert "n1store" not in sys.modules
    for line in sys.stdin:
        path, out = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.alarm(300)
            try:
                read(path, out)
            except BaseException as error:
                with open(f"{out}.error", "w") as file:
                    traceback.print_exception(error, file=file)
                os._exit(1)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@cache
def zarr_alone():
    """Start the process that reads stores with zarr; it ends when this one does."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", textwrap.dedent(ZARR_ALONE)],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def read_with_zarr_alone(store, tmp_path):
    """Read all arrays of int16 of a store in a process whose script knows zarr only."""
    process, out = zarr_alone(), tmp_path / "read.npz"
    print(json.dumps([str(Path(store).absolute()), str(out)]), file=process.stdin, flush=True)
    code = process.stdout.readline().strip()
    error = Path(f"{out}.error")
    assert code == "0", error.read_text() if error.exists() else f"it ended with {code}"
    with np.load(out) as arrays:
        return dict(arrays)


# Has imported what takes long when it forks: a process that waits, and from that one the command,
# in a session of its own and with signals handled as if a shell had started it. The one that waits
# tells how the command ended. One that hangs ends itself and says where.
FORK_COMMANDS = """
    import faulthandler, gc, json, os, resource, signal, socket, sys
    import hdmf.backends.hdf5, pynwb
    import n1store.conversion.convert, n1store.stores.nwb.writer
    from n1store.cli.commands import main

    gc.freeze()  # a command that ends need not look through all that
    asked = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that nobody need wait for those that wait
    while (received := socket.recv_fds(asked, 100_000, 2))[0]:
        request, (errors, end) = received[:2]
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            command = os.fork()
            if command == 0:
                break
            os.close(errors)
            asked.send(b"%d" % command)
            os.write(end, b"%d" % os.waitstatus_to_exitcode(os.waitpid(command, 0)[1]))
            os._exit(0)
        os.close(errors)
        os.close(end)
    else:
        sys.exit()

    os.setsid()
    os.dup2(errors, 2)
    for descriptor in (asked.detach(), errors, end):
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in HEED_SIGNALS
    faulthandler.dump_traceback_later(100, exit=True)
    arguments, file_size = json.loads(request)
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    sys.argv = ["n1store", *arguments]
    main()
"""


@cache
def _fork_commands():
    """Start the process that forks commands; it ends when this one does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", textwrap.dedent(FORK_COMMANDS), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    return ours, process


class ForkedCommand:
    """A command of n1store, in a process that need not import anything; like a `Popen`.

    Its process may write no larger files than `file_size`.
    """

    def __init__(self, *arguments, file_size=None):
        ends = [os.pipe(), os.pipe()]
        self._errors, self._end = (os.fdopen(read) for read, _ in ends)
        request = json.dumps([list(map(str, arguments)), file_size]).encode()
        server, _ = _fork_commands()
        socket.send_fds(server, [request], [write for _, write in ends])
        for _, write in ends:
            os.close(write)
        self.pid = int(server.recv(100))
        self.returncode = None

    def poll(self):
        if self.returncode is None and select.select([self._end], [], [], 0)[0]:
            self.returncode = int(self._end.read())
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            with suppress(ProcessLookupError):  # when it has ended since
                os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout=120):
        with time_limit(timeout), self._errors, self._end:
            errors = self._errors.read()
            self.returncode = int(self._end.read()) if self.returncode is None else self.returncode
        return "", errors


@contextmanager
def time_limit(seconds):
    """Raise an exception in what hangs."""

    def stop(*_):
        pytest.fail(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
