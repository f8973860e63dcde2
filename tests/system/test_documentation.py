"""What the README and the examples say is true."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import n1store
from conftest import HAS_WAVPACK, REAL_RECORDINGS, ROOT, ZARR_VERSION

README = (ROOT / "README.md").read_text()
EXAMPLES = sorted(set((ROOT / "examples").glob("*.py")) - set((ROOT / "examples").glob("nwb_*.py")))
NWB_READERS = ["nwb_with_pynwb", "nwb_with_h5py", "nwb_over_http"]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def environment():
    scripts = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": scripts + os.pathsep + os.environ["PATH"]}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documentation") / "data"
    n1store.synthesize(folder, num_recordings=3, seconds=3)
    return folder


def test_commands_and_snippets_of_the_readme(environment, tmp_path):
    (commands,) = (block for block in blocks("sh") if "n1store convert" in block)
    subprocess.run(["sh", "-euc", commands], cwd=tmp_path, env=environment, check=True)
    for path in (tmp_path / "data").iterdir():
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()
    snippets = blocks("python")
    assert len(snippets) == 3
    for snippet in snippets:
        subprocess.run([sys.executable, "-c", snippet], cwd=tmp_path, check=True)


def test_readme_names_only_what_exists():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README, re.MULTILINE):
        assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples(example, recordings, tmp_path):
    store = tmp_path / "out.zarr"
    n1store.convert(recordings, store, codec="blosc")
    arguments = [recordings, tmp_path / "new.zarr"] if "convert" in example.stem else [store]
    result = subprocess.run(
        [sys.executable, example, *arguments], capture_output=True, text=True, check=True
    )
    for path in recordings.iterdir():
        assert path.stem in result.stdout


def run_example(name, *arguments):
    command = [sys.executable, ROOT / f"examples/{name}.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("example", NWB_READERS)
def test_examples_that_read_nwb(example, recordings, tmp_path):
    n1store.convert(recordings, tmp_path / "out.nwb")
    output = run_example(example, tmp_path / "out.nwb")
    for path in recordings.iterdir():
        assert path.stem in output


@pytest.mark.parametrize("example", ["nwb_custom_filter", "nwb_with_neuroconv"])
def test_examples_that_write_nwb(example, tmp_path):
    if "neuroconv" in example:
        pytest.importorskip("neuroconv")
    assert "identical" in run_example(example, tmp_path / "out.nwb")
    assert "traces: " in run_example("nwb_with_h5py", tmp_path / "out.nwb")


def test_only_a_window_is_fetched_over_http(tmp_path):
    # Chunks of a second, of which the first is asked for.
    run_example("nwb_custom_filter", tmp_path / "out.nwb", "2", "9")
    output = run_example("nwb_over_http", tmp_path / "out.nwb", "0.5")
    ((fetched, size),) = re.findall(r"(\d+) of (\d+) bytes fetched", output)
    assert 0 < int(fetched) < int(size) / 5


def test_demo(recordings, environment, tmp_path):
    result = subprocess.run(
        ["sh", ROOT / "examples/demo.sh", recordings],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    table = result.stdout.rpartition("\n\n")[2]
    assert "10 s windows" in table
    for store in ("n1.zarr", "blosc.zarr"):
        assert store in table


def test_table_of_the_readme_is_that_of_the_results(tmp_path):
    document = tmp_path / "README.md"
    document.write_text(README)
    results = ROOT / "benchmarks/results/study.csv"
    script = [sys.executable, ROOT / "benchmarks/study.py", results, document]
    subprocess.run(script, check=True)
    assert document.read_text() == README


@pytest.mark.skipif(ZARR_VERSION < 3, reason="the libraries are those of zarr 3")
def test_ratios_of_the_readme(tmp_path):
    """Of codecs that are quick, with adc and without."""
    row = r"^\| `([a-z0-9+:=,]+)`(?: ★)? \| [-a-z]+ \| ([\d.]+) \| [^|]* \| ([\d.]*) \| (\d+) \|"
    claims = {}
    for codec, mapped, raw, speed in re.findall(row, README, re.MULTILINE):
        if int(speed) > 30 and (HAS_WAVPACK or "wavpack" not in codec):
            claims |= {f"adc+{codec}": mapped, codec: raw} if raw else {codec: mapped}
    assert len(claims) >= 20
    if REAL_RECORDINGS.exists():
        source, tolerance = REAL_RECORDINGS, 0.005
    else:
        source, tolerance = tmp_path / "synthetic", 0.1
        n1store.synthesize(source, num_recordings=24)
    results = n1store.compare(source, tmp_path / "results", codecs=claims, repeats=1).results
    measured = {each.pipeline: each.ratio for each in results}
    for pipeline, claim in claims.items():
        assert measured[pipeline] == pytest.approx(float(claim), rel=tolerance), pipeline
