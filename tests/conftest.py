"""Fixtures of all tests; what tests import is in helpers/."""

import itertools
import json

import pytest
from click.testing import CliRunner

from installed import REAL_RECORDINGS
from n1store.cli.commands import cli
from n1store.implant.synth import synthesize


def pytest_addoption(parser):
    parser.addoption(
        "--quick",
        action="store_true",
        help="run each test with the first of its cases only, and none that is marked slow",
    )
    parser.addoption(
        "--long", action="store_true", help="run the tests that are marked long, and no others"
    )


def pytest_collection_modifyitems(config, items):
    is_long = config.getoption("--long")
    chosen = [item for item in items if bool(item.get_closest_marker("long")) == is_long]
    if config.getoption("--quick"):
        first_cases = {}
        for item in chosen:
            if not item.get_closest_marker("slow"):
                first_cases.setdefault(item.nodeid.partition("[")[0], item)
        chosen = first_cases.values()
    config.hook.pytest_deselected(items=list(set(items) - set(chosen)))
    items[:] = chosen


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """Give a folder of a few real recordings, or of synthetic ones where there are none."""
    folder = tmp_path_factory.mktemp("recordings")
    real = sorted(REAL_RECORDINGS.glob("*.wav"))[::12]
    for path in real:
        (folder / path.name).write_bytes(path.read_bytes())
    if not real:
        synthesize(folder, num_recordings=7)
    return folder


@pytest.fixture
def run():
    """Run the command line in this process; return its result, checked for tracebacks."""

    def run(*arguments, exit_code=0):
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == exit_code, result.output
        if exit_code not in (0, 2):
            assert result.stderr.strip()
            assert "Traceback" not in result.stderr
        return result

    return run


@pytest.fixture
def run_json(run):
    """Run a command with --json and return what it printed."""
    return lambda *arguments, **options: json.loads(run(*arguments, "--json", **options).stdout)


@pytest.fixture
def fails(run):
    """Run a command that fails; return the one line that it says, which has these words."""

    def fails(*arguments, words=()):
        (line,) = run(*arguments, exit_code=1).stderr.splitlines()
        assert line.startswith("Error: ")
        assert all(str(word) in line for word in words), line
        return line.removeprefix("Error: ")

    return fails


@pytest.fixture(scope="module")
def new_path(tmp_path_factory):
    """Give a function that names a file which is not there yet."""
    folder = tmp_path_factory.mktemp("new")
    numbers = itertools.count()
    return lambda suffix=".wav": folder / f"{next(numbers)}{suffix}"


@pytest.fixture(scope="module")
def new_file(new_path):
    """Give a function that writes a file of its own."""

    def new_file(content, suffix=".wav"):
        path = new_path(suffix)
        path.write_bytes(content)
        return path

    return new_file
