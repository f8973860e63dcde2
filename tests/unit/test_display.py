"""Results, stores and recordings in a line, and as tables in notebooks."""

import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import n1store
from installed import ZARR_FORMATS
from make_wav import write_wav
from n1store.study.measurement import Instruments
from n1store.study.results import PeakMemory
from processes import run_alone

HOSTILE = "<img src=x onerror=alert(1)>&\x1b[2J"


class Table(HTMLParser):
    """The rows of a table, each a list of texts; any tag that is none of a table is an error."""

    def __init__(self, html):
        super().__init__()
        self.caption, self.rows, self.open = "", [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        assert tag in ("table", "caption", "tr", "th", "td") and not attributes
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] == "caption":
            self.caption += data
        else:
            self.rows[-1][-1] += data


def shown(result):
    """Return what is shown of a result, which in a line is short."""
    line = repr(result)
    assert len(line) < 200 and line.isprintable() and line[0] == "<" and line[-1] == ">"
    table = Table(result._repr_html_())
    assert line == f"<{table.caption}>"
    assert all(text.isprintable() for row in table.rows for text in row)
    return table


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Give a folder of recordings of which one has a hostile name, and a store of it."""
    folder = tmp_path_factory.mktemp("display") / "data"
    samples = (np.arange(4000) % 500 * 64).astype("<i2").reshape(-1, 2)
    for name in ("a", HOSTILE, *map(str, range(23))):
        write_wav(folder / f"{name}.wav", samples, rate=1000)
    result = n1store.convert(folder, folder.parent / "out.zarr")
    return folder, folder.parent / "out.zarr", result


def test_recordings_show_their_shape_duration_and_rate(stored):
    folder, path, _ = stored
    with n1store.open(path) as store:
        [name] = [name for name in store if "<img" in name]
        for recording in (store[name], n1store.read_wav(folder / f"{HOSTILE}.wav")):
            table = shown(recording)
            assert table.caption.startswith("Recording <img src=x onerror=alert(1)>&")
            assert table.caption.endswith(": 2000 samples of 2 channels, 2.000 s at 1000 Hz")
            assert table.rows == [
                ["shape", "(2000, 2)"],
                ["duration", "2.000 s"],
                ["sampling frequency", "1000 Hz"],
                ["channels", "0, 1"],
                ["gain to µV", "unknown"],
            ]
            assert repr(recording.traces).endswith(" of int16, 2000 x 2>")
        many = replace(store["a"], channel_ids=tuple(map(str, range(1000))))
        assert shown(many).rows[-2] == ["channels", "0, 1, 2, 3, 4, 5, 6, 7, …"]


def test_stores_show_their_first_recordings(stored, tmp_path):
    _, path, _ = stored
    shutil.copytree(path, tmp_path / "x.zarr")
    with n1store.open(tmp_path / "x.zarr") as store:
        table = shown(store)
        assert table.caption == f"ZarrStore {tmp_path / 'x.zarr'}: 25 recordings"
        assert table.rows[0] == ["recording", "samples", "channels", "Hz", "seconds"]
        assert table.rows[1][1:] == ["2000", "2", "1000", "2.000"]
        assert (len(table.rows), table.rows[-1]) == (22, ["and 5 more"])
        names = [row[0] for row in table.rows[1:-1]]
    # A notebook shows also what is damaged.
    metadata = {2: ".zarray", 3: "zarr.json"}[ZARR_FORMATS[-1]]
    next(tmp_path.glob(f"x.zarr/recordings/{names[0]}/{metadata}")).write_text("{}")
    with n1store.open(tmp_path / "x.zarr") as store:
        damaged = shown(store).rows[1]
        assert damaged[0] == names[0] and "damaged" in damaged[1]


def test_results_are_short_and_their_tables_have_what_matters(stored, tmp_path):
    folder, path, converted = stored
    wav = folder / f"{HOSTILE}.wav"
    assert "25 recordings, 50.0 s, ratio" in shown(converted).caption
    assert ["codec", "n1"] in shown(converted).rows
    skipped = replace(converted, skipped=[f"{HOSTILE}: not read"])
    assert shown(skipped).rows[-1][0] == "skipped"
    assert ["codec", "n1"] in shown(converted.sizes).rows
    verified = n1store.verify(path, [folder])
    assert shown(verified).caption == "Verification of 25 recordings: all as stored"
    verified.problems += [f"{HOSTILE} {number}" for number in range(1000)]
    table = shown(verified)
    assert "1000 problems" in table.caption and len(table.rows) == 21
    assert table.rows[5][0] == "problem" and table.rows[-1] == ["and 985 more"]
    measured = n1store.benchmark(path, num_windows=3)
    table = shown(measured)
    assert table.rows[0][:2] == ["read", "with"] and table.rows[-1][:2] == ["everything", "zarr"]
    assert shown(measured.windows[0]).rows == table.rows[:2]
    for info in (
        n1store.encode_file(wav, tmp_path / "x.n1"),
        n1store.decode_file(tmp_path / "x.n1", tmp_path / "x.wav"),
    ):
        assert ["sampling frequency", "1000 Hz"] in shown(info).rows
    evaluated = n1store.evaluate(folder)
    assert "25 of 25 files identical" in shown(evaluated).caption
    instruments = Instruments(0.0, 2, peak_memory=lambda *_: PeakMemory(0, 0))
    compared = n1store.compare(
        folder, tmp_path / "r", codecs="n1,zlib", repeats=1, instruments=instruments
    )
    table = shown(compared)
    assert {row[1] for row in table.rows[1:]} == {"n1", "adc+zlib", "zlib"}
    hostile = replace(compared.results[0], pipeline=HOSTILE * 100)
    assert shown(hostile).rows[1][0] == table.rows[1][0]
    shown(replace(compared, results=[hostile]))
    assert shown(replace(compared, results=[])).rows == table.rows[:1]


def test_nothing_is_imported_for_notebooks_before_one_asks():
    run_alone(
        """
        import sys
        import n1store.display, n1store.recording
        assert "html" not in sys.modules
        n1store.Recording("a", None, 1.0, ())._repr_html_
        assert "html" not in sys.modules and "IPython" not in sys.modules
        """
    )
