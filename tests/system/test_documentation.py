"""What the documents name exists, and what they claim is so; `test_pages.py` runs their blocks."""

import html
import os
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path
from pkgutil import resolve_name

import click
import pytest
from nwbinspector import inspect_nwbfile
from ruamel.yaml import YAML

import n1store
from documents import (
    DOCUMENTS,
    NOT_RUN,
    PAGES,
    PROGRAMS,
    ROOT,
    SHOWN,
    TOOLS,
    blocks_of,
    names_of,
    prose_of,
)
from n1store.cli.commands import cli
from n1store.codecs.catalogue import CATALOGUE
from n1store.session.fields import ECEPHYS, FIELDS
from n1store.session.metadata import NwbMetadata, load_metadata

EXAMPLES = sorted(set((ROOT / "examples").glob("*.py")) - set((ROOT / "examples").glob("nwb_*.py")))
NWB_READERS = ["nwb_with_pynwb", "nwb_with_h5py", "nwb_over_http"]


@pytest.mark.parametrize("page", PAGES, ids=names_of(PAGES))
def test_what_is_special_about_a_block_is_known(page):
    assert page.read_text().count("\n```") == 2 * len(blocks_of(page))
    for block in blocks_of(page):
        place = f"{page}:{block.line}"
        assert block.language in SHOWN | PROGRAMS, place
        kind, _, what = block.note.partition(" ")
        if kind == "needs":
            assert what in TOOLS, place
        elif kind == "file":
            assert re.fullmatch(r"[a-z]+\.yaml", what), place
        elif kind == "not":
            assert what.removeprefix("run: ") in NOT_RUN, place
        else:
            assert block.note in ("", "without n1store"), place
        if block.language == "yaml":
            assert YAML(typ="safe", pure=True).load(block.code), place


def test_most_blocks_are_run():
    blocks = [block for page in PAGES for block in blocks_of(page)]
    programs = [block for block in blocks if block.language in PROGRAMS]
    not_run = [block for block in programs if block.note.startswith("not run")]
    assert len(programs) > 40
    assert len(not_run) < len(programs) / 10


def anchors_of(document):
    """Return the anchors of a document's headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", prose_of(document), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in words}


@pytest.mark.parametrize("document", DOCUMENTS, ids=names_of(DOCUMENTS))
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose_of(document)):
        path, _, anchor = html.unescape(target).partition("#")
        there = document.parent / path if path else document
        assert there.exists(), f"{document}: {target}"
        if anchor:
            assert anchor in anchors_of(there), f"{document}: {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=names_of(DOCUMENTS))
def test_targets_commands_and_files_that_are_named_exist(document):
    makefile = (ROOT / "Makefile").read_text()
    text = document.read_text(encoding="utf-8")
    spans = re.findall(r"`([^`\n]+)`", prose_of(document))
    lines = [line for block in blocks_of(document) for line in block.code.splitlines()]
    for target in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text, re.MULTILINE):
        assert re.search(rf"^{target}:|^\.PHONY:.* {target}\b", makefile, re.MULTILINE), target
    for code in chain(spans, lines):
        if match := re.match(r"n1store ([a-z][a-z-]*)(.*)", code):
            check_command(match[1], match[2])
    rooms = "n1store|filters|tests|examples|benchmarks|docs"
    for path in spans:
        if re.fullmatch(rf"(?:{rooms})/[\w./-]+", path):
            assert (ROOT / path).exists(), f"{document}: {path}"


def check_command(name, rest):
    command = cli.commands.get(name)
    assert command is not None, f"n1store {name}"
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", rest):
        assert option in known | {"--help"}, f"n1store {name} {option}"


def test_every_name_of_the_package_is_described():
    page = (ROOT / "docs/python.md").read_text()
    for name in n1store.__all__:
        assert re.search(rf"`(n1store\.)?{name}\b", page), name


def test_every_command_is_described():
    page = (ROOT / "docs/command-line.md").read_text()
    for name, command in cli.commands.items():
        assert re.search(rf"^\| `{name}`", page, re.MULTILINE), name
        assert isinstance(command, click.Command)


def test_every_codec_is_described():
    page = (ROOT / "docs/codecs.md").read_text()
    for name in CATALOGUE:
        assert re.search(rf"`{name}\b", page), name


@pytest.mark.parametrize("page", PAGES, ids=names_of(PAGES))
def test_names_of_modules_and_classes_exist(page):
    for name in re.findall(r"`(n1store(?:\.\w+)+)(?:\([^`]*\))?`", prose_of(page)):
        assert resolve_name(name) is not None, name


def shown_metadata():
    """Return the metadata file that the page on NWB shows."""
    blocks = blocks_of(ROOT / "docs/nwb.md")
    (shown,) = (block.code for block in blocks if block.note == "file session.yaml")
    return shown


def test_nwbinspector_has_nothing_to_remark_on_the_metadata_that_are_shown(recordings, tmp_path):
    (tmp_path / "session.yaml").write_text(shown_metadata())
    metadata = NwbMetadata(more=load_metadata(tmp_path / "session.yaml"))
    n1store.convert(recordings, tmp_path / "session.nwb", nwb=metadata)
    assert list(inspect_nwbfile(nwbfile_path=tmp_path / "session.nwb")) == []


def test_the_metadata_that_are_shown_are_all_that_there_are():
    shown = YAML(typ="safe", pure=True).load(shown_metadata())
    shown |= {name: shown["Ecephys"][name] for name in ECEPHYS}
    del shown["Ecephys"]
    assert {name: set(fields) for name, fields in shown.items()} == {
        name: set(fields) for name, fields in FIELDS.items()
    }


def test_the_readme_is_short():
    before, _, rest = (ROOT / "README.md").read_text().partition("<!-- benchmarks/study.py -->")
    _, _, after = rest.partition("<!-- -->")  # the table is made of the results
    assert len((before + after).splitlines()) <= 105


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documentation") / "data"
    n1store.synthesize(folder, num_recordings=3, seconds=3)
    return folder


@pytest.mark.long
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples(example, recordings, tmp_path):
    store = tmp_path / "out.zarr"
    n1store.convert(recordings, store, codec="blosc")
    before = sorted(tmp_path.rglob("*"))
    arguments = [recordings, tmp_path / "new.zarr"] if "convert" in example.stem else [store]
    result = subprocess.run(
        [sys.executable, example, *arguments], capture_output=True, text=True, check=True
    )
    for path in recordings.iterdir():
        assert path.stem in result.stdout
    assert sorted(path for path in tmp_path.rglob("*") if "new.zarr" not in path.parts) == before


def run_example(name, *arguments):
    command = [sys.executable, ROOT / f"examples/{name}.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.long
@pytest.mark.parametrize("example", NWB_READERS)
def test_examples_that_read_nwb(example, recordings, tmp_path):
    n1store.convert(recordings, tmp_path / "out.nwb")
    before = (tmp_path / "out.nwb").read_bytes()
    output = run_example(example, tmp_path / "out.nwb")
    for path in recordings.iterdir():
        assert path.stem in output
    assert (tmp_path / "out.nwb").read_bytes() == before


@pytest.mark.long
@pytest.mark.parametrize("example", ["nwb_custom_filter", "nwb_with_neuroconv"])
def test_examples_that_write_nwb(example, tmp_path):
    if "neuroconv" in example:
        pytest.importorskip("neuroconv")
    assert "identical" in run_example(example, tmp_path / "out.nwb")
    assert "traces: " in run_example("nwb_with_h5py", tmp_path / "out.nwb")


@pytest.mark.long
def test_only_a_window_is_fetched_over_http(tmp_path):
    # Chunks of a second, of which the first is asked for.
    run_example("nwb_custom_filter", tmp_path / "out.nwb", "2", "9")
    output = run_example("nwb_over_http", tmp_path / "out.nwb", "0.5")
    ((fetched, size),) = re.findall(r"(\d+) of (\d+) bytes fetched", output)
    assert 0 < int(fetched) < int(size) / 5


@pytest.mark.long
def test_demo(recordings, tmp_path):
    scripts = Path(sys.executable).parent
    result = subprocess.run(
        ["sh", ROOT / "examples/demo.sh", recordings],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "1 s windows" in result.stdout
    for store in ("n1.zarr", "blosc.zarr"):
        assert store in result.stdout
    *_, sentence = result.stdout.splitlines()
    count = len(list(recordings.iterdir()))
    assert sentence.startswith(f"{count} recordings: ")
    assert f" of {count} files compared and found the same, " in sentence
    assert sentence.endswith(" times real time.")
