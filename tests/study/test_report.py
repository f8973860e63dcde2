"""`n1store report`: what its page and plots show follows from the results, and nothing else."""

import copy
import csv
import json
import re
import sys
import warnings
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import pytest

from browser import CHROMIUM, browser
from n1store.codecs.catalogue import CATALOGUE
from n1store.errors import N1StoreError
from n1store.study.comparison import compare
from n1store.study.measurement import Instruments
from n1store.study.report import plots, words
from n1store.study.report.page import write_report
from n1store.study.results import PeakMemory, load_results
from n1store.study.shown import Shown, label_of, split_chain

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"
)
RAW_BYTES = 2_000_000


pytestmark = pytest.mark.long


def make_result(pipeline, group, ratio, encode, decode, **others):
    *front, last = pipeline.split("+")
    return {
        "pipeline": pipeline,
        "codec": last.partition(":")[0],
        "group": group,
        "summary": f"how {last} works",
        "adc": "adc" in front,
        "transforms": [stage for stage in front if stage != "adc"],
        "lossless": True,
        "ratio": ratio,
        "bits_per_sample": 16 / ratio,
        "payload_bytes": round(RAW_BYTES / ratio),
        "encode": {
            "mb_per_s": encode,
            "low": 0.9 * encode,
            "high": 1.1 * encode,
            "xrt": 20 * encode,
        },
        "decode": {
            "mb_per_s": decode,
            "low": 0.9 * decode,
            "high": 1.1 * decode,
            "xrt": 20 * decode,
        },
        "peak_memory_bytes": {"encode": 123456, "decode": 0},
        "entropy_before": 7.3,
        "entropy_after": 5.5 if "delta" in front else 7.3,
        "chunk_ratios": [0.8 * ratio, ratio, 1.1 * ratio],
        "random_access": [
            {"chunk_seconds": seconds, "xrt": decode / seconds} for seconds in (0.1, 1.0, 5.0)
        ],
        "error": None,
        "pareto": False,
        "repeats": 5,
        **others,
    }


def make_document():
    """Return results that have some of everything."""
    loss = {"rmse": 12.5, "max": 99, "snr_db": 21.25}
    return {
        "format": 1,
        "measured_with": {
            "n1store": "0.1.0",
            "python": "3.11.7",
            "machine": "x86_64",
            "cpu": "A CPU",
            "cores": 2,
            "date": "2026-11-22",
            "libraries": {"numcodecs": "0.16.6"},
        },
        "data": {
            "sources": ["recordings"],
            "files": 84,
            "channels": 1,
            "sampling_frequency": 19531.0,
            "duration_s": 51.2,
            "samples": RAW_BYTES // 2,
            "raw_bytes": RAW_BYTES,
            "chunk_seconds": 1.0,
            "chunk_samples": 19531,
            "chunks": 3,
            "chunks_of": 3,
            "entropy": 7.3,
            "entropy_adc": 7.3,
            "lossy": [],
            "left_out": [],
        },
        "noise": 0.2,
        "results": [
            make_result("n1:level=2", "predictive", 3.5, 216, 434, pareto=True),
            make_result("adc+bz2:level=9", "dictionary", 3.125, 16, 37),
            make_result("bz2:level=9", "dictionary", 3.0, 15, 36),
            make_result("adc+lz4", "dictionary", 1.5, 400, 1600, pareto=True),
            make_result("lz4", "dictionary", 1.25, 410, 1500),
            make_result("adc+delta+lz4", "dictionary", 1.875, 380, 1200, pareto=True),
            make_result(
                "adc+blosc:cname=zstd,shuffle=bitshuffle", "blosc", 2.7, 220, 860, pareto=True
            ),
            make_result("adc+flac:level=5", "audio", 3.3, 134, 274),
            make_result("adc+wavpack:bps=3", "audio", 6.0, 45, 70, lossless=False, error=loss),
            make_result("rle", "run-length", 0.75, 800, 500),
        ],
        "failed": [{"pipeline": "adc+blosc2:filter=bytedelta", "why": "gave other samples back"}],
        "missing": [{"codec": "alac", "why": "no library", "install": "apt-get install libalac"}],
    }


def write_results(folder, document):
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(document))
    return folder


def load(folder, document):
    """Return what a document is when it is read again, and its results as a report has them."""
    comparison = load_results(write_results(folder, document))
    results = [Shown(**vars(each), index=index) for index, each in enumerate(comparison.results)]
    return comparison, results


def page_of(folder, document):
    write_report(write_results(folder, document), folder / "report.html")
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def document():
    return make_document()


@pytest.fixture(scope="module")
def page(tmp_path_factory, document):
    folder = tmp_path_factory.mktemp("report")
    page_of(folder, document)
    return folder / "report.html"


class Elements(HTMLParser):
    """The elements of a page: names, attributes and the text in each."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes), []))
        if tag not in ("meta", "wbr"):
            self.open.append(self.found[-1])

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes), []))

    def handle_endtag(self, tag):
        while self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for _, _, texts in self.open:
            texts.append(data)

    def all(self, tag, **wanted):
        return [
            (attributes, "".join(texts))
            for name, attributes, texts in self.found
            if name == tag and wanted.items() <= attributes.items()
        ]


def cells_of(text):
    """Return the cells of each row of the table of all results, by pipeline."""
    (table,) = re.findall(r'<table id="results">.*?</table>', text, re.DOTALL)
    headings = [name for _, name in Elements(table).all("button")]
    rows = re.findall(r"<tr data-row=.*?</tr>", table, re.DOTALL)
    found = {}
    for row in rows:
        elements = Elements(row)
        values = [a["data-value"] for tag, a, _ in elements.found if tag in ("th", "td")]
        found[values[0]] = (
            dict(zip(headings, values, strict=True)),
            "".join(text for _, text in [*elements.all("th"), *elements.all("td")]),
        )
    return found


def group_of(text, group):
    (section,) = (
        section
        for section in re.findall(r'<section class="group".*?</section>', text, re.DOTALL)
        if Elements(section).all("h3")[0][1].strip() == group
    )
    return " ".join(text for _, text in Elements(section).all("p"))


def test_the_table_has_the_numbers_of_the_results(page, document):
    rows = cells_of(page.read_text())
    assert list(rows) == [
        result["pipeline"]
        for result in sorted(document["results"], key=lambda r: (not r["lossless"], -r["ratio"]))
    ]
    for result in document["results"]:
        values, text = rows[result["pipeline"]]
        for heading, expected in {
            "ratio": result["ratio"],
            "bits per sample": result["bits_per_sample"],
            "decode MB/s": result["decode"]["mb_per_s"],
            "encode MB/s": result["encode"]["mb_per_s"],
            "decode xRT": result["decode"]["xrt"],
            "encode xRT": result["encode"]["xrt"],
            "worst chunk": min(result["chunk_ratios"]),
            "decode memory": result["peak_memory_bytes"]["decode"],
            "encode memory": result["peak_memory_bytes"]["encode"],
            "entropy after": result["entropy_after"],
            "bytes": result["payload_bytes"],
        }.items():
            assert float(values[heading]) == expected
        assert f"{result['ratio']:.3f}" in text and f"{result['payload_bytes']:,}" in text
        assert values["group"] == result["group"]
        assert ("front" in text) == result["pareto"]


def points_of(svg):
    """Return the place of each result's point in a figure of the page."""
    root = ElementTree.fromstring(svg)
    places = {}
    for element in root.iter():
        if "data-result" in element.attrib:
            (use,) = (each for each in element.iter() if each.tag.endswith("use"))
            places[int(element.get("data-result"))] = float(use.get("x")), float(use.get("y"))
    return places


def test_points_are_where_the_numbers_are(page, document):
    for name in ("ratio-and-speed", "ratio-and-speed-narrow"):
        check_points(page, document["results"], name)


def check_points(page, results, name):
    (svg,) = re.findall(rf'<svg [^>]*class="{name}".*?</svg>', page.read_text(), re.DOTALL)
    places = points_of(svg)
    lossless = [i for i, result in enumerate(results) if result["lossless"]]
    assert set(places) == set(range(len(results)))
    x = {i: places[i][0] for i in places}
    assert sorted(places, key=x.get) == sorted(
        places, key=lambda i: results[i]["decode"]["mb_per_s"]
    )
    # The vertical axis is linear.
    y = {i: places[i][1] for i in lossless}
    scale = (y[0] - y[lossless[-1]]) / (results[0]["ratio"] - results[lossless[-1]]["ratio"])
    for i in lossless:
        expected = y[0] + scale * (results[i]["ratio"] - results[0]["ratio"])
        assert y[i] == pytest.approx(expected, abs=0.01)
    for result in results:
        if result["pareto"]:
            assert f"ratio {result['ratio']:.3f}" in svg


def test_every_plot_is_written_beside_the_page(page):
    files = {path.name for path in page.with_name("report_files").iterdir()}
    names = {attributes["id"] for attributes, _ in Elements(page.read_text()).all("figure")}
    assert names == {
        *("ratio-and-speed", "groups", "transforms", "entropy", "chunks"),
        *("encode-and-decode", "random-access"),
    }
    assert files == {f"{name}{suffix}" for name in names for suffix in (".png", ".svg")}
    for path in page.with_name("report_files").iterdir():
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
        else:
            assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_group_texts_follow_from_the_numbers(page, document, tmp_path):
    text = page.read_text()
    assert f"{3.5 / 3.125 - 1:.1%} larger than n1 level 2" in group_of(text, "dictionary")
    assert "adc +12% (bz2 level 9 +4%, lz4 +20%); delta +25% (lz4)" in group_of(text, "dictionary")
    assert "takes 12 times as long as n1 level 2" in group_of(text, "dictionary")
    assert "2 of 5 on the front" in group_of(text, "dictionary")
    assert f"Smallest in another group is adc+flac level 5, {3.5 / 3.3 - 1:.1%}" in group_of(
        text, "predictive"
    )
    assert "its table not counted, would be smaller" in group_of(text, "run-length")
    # Said of n1, not of what was named last.
    assert re.search(
        "n1 level 2 is [0-9]+% below .* it makes use of the samples around each",
        group_of(text, "predictive"),
    )

    changed = copy.deepcopy(document)
    changed["results"][1] = make_result("adc+bz2:level=9", "dictionary", 3.6, 16, 868, pareto=True)
    changed["results"][2] = make_result("bz2:level=9", "dictionary", 4.0, 15, 36, pareto=True)
    changed["results"][9] = make_result("rle", "run-length", 16 / 7.3, 800, 500)
    text = page_of(tmp_path, changed)
    assert f"{1 - 3.5 / 4:.1%} smaller than n1 level 2" in group_of(text, "dictionary")
    assert "4 of 5 on the front" in group_of(text, "dictionary")
    assert "bz2 level 9 \N{MINUS SIGN}10%" in group_of(text, "dictionary")
    assert "about what the best code for one sample at a time takes" in group_of(text, "run-length")
    # Where another is smaller than n1, the smallest need not be the nearest.
    assert f"Smallest in another group is bz2 level 9, {1 - 3.5 / 4:.1%} smaller" in group_of(
        text, "predictive"
    )


def test_what_to_take_is_said_at_the_top(page, document):
    text = page.read_text()
    header = text[text.index("<header>") : text.index("</header>")]
    sentences = re.findall(r'<p class="advice">(.*?)</p>', header)
    assert len(sentences) == 2
    assert sentences[0].startswith("Take --codec n1:level=2: it is the smallest, ratio 3.50")
    assert "--codec bz2:level=9 --no-adc" not in text  # it takes ten times as long to read
    assert sentences[-1].startswith("For readers who have zarr and not n1store take --codec lz4 --")


def test_what_was_measured_once_is_not_said_to_spread(document, page, tmp_path):
    said = ("spread by", "how far its repeats spread", " to 238", "within the spread")
    assert all(each in page.read_text() for each in said[:3])
    changed = copy.deepcopy(document)
    for result in changed["results"]:
        result["repeats"] = 1
        for what in ("encode", "decode"):
            result[what] |= dict.fromkeys(("low", "high"), result[what]["mb_per_s"])
    # As fast as n1, but for what has not been measured.
    changed["results"][7]["decode"]["mb_per_s"] = 433.9
    text = page_of(tmp_path, changed)
    assert not [each for each in said if each in text]
    assert "how far speeds spread is not known" in text
    assert "decodes 434 MB/s, about as fast as n1 level 2" in group_of(text, "audio")


def test_samples_that_a_lossy_codec_had_changed_are_said_to_be(document, tmp_path):
    comparison, results = load(tmp_path, document)
    assert "as recorded" not in words.summary(comparison.data, results)
    changed = replace(comparison.data, lossy=["wavpack:bps=3.0", "test:q=2"])
    assert words.summary(changed, results).endswith(
        " There are samples not as recorded, but as lossy codecs had left them: "
        "wavpack:bps=3.0, test:q=2."
    )


def test_chunks_are_said_to_be_all_or_chosen_or_whole_recordings(document, tmp_path):
    comparison, results = load(tmp_path, document)
    machine, data = comparison.measured_with, comparison.data
    for change, summary, method in (
        ({}, ": 51.2 s, 2 MB, in chunks of 1 s.", "84 files; 3 of 3 chunks"),
        (
            {"chunks_of": 8400},
            ", in 3 of 8,400 chunks, chosen at random, of 1 s.",
            "84 files; 3 of 8,400 chunks",
        ),
        ({"files": 3}, ": 51.2 s, 2 MB, each recording as one chunk.", "3 files; 3 of 3 chunks"),
    ):
        changed = replace(data, **change)
        assert summary in words.summary(changed, results)
        assert method in dict(words.method(machine, changed, results, 0.0))["recordings"]


def test_lossy_results_are_marked_and_never_on_the_front(document, tmp_path):
    changed = copy.deepcopy(document)
    (lossy,) = (result for result in changed["results"] if not result["lossless"])
    lossy["pareto"] = True
    text = page_of(tmp_path, changed)
    values, row = cells_of(text)[lossy["pipeline"]]
    assert values["loss"] == "lossy" and "SNR 21.2 dB" in row and "front" not in row
    (front,) = re.findall(r'aria-label="The front".*?</table>', text, re.DOTALL)
    assert "wavpack" not in front
    assert "wavpack" not in "".join(
        text for attributes, text in Elements(text).all("li") if attributes.get("class") == "tile"
    )
    tips = [text for _, text in Elements(text).all("title") if lossy["pipeline"] in text]
    assert len(tips) >= 4 and all("lossy: error 12.5" in tip for tip in tips)
    labels = [text for _, text in Elements(text).all("text") if "wavpack" in text]
    assert labels and all("lossy" in label for label in labels)
    assert "(lossy) reaches ratio 6.00" in group_of(text, "audio")


def test_the_page_says_what_is_not_in_it_and_how_it_was_measured(page):
    text = page.read_text()
    for said in (
        *("gave other samples back", "apt-get install libalac", "no library"),
        *("A CPU, 2 cores", "numcodecs 0.16.6", "2026-11-22", "spread by 20.0%"),
    ):
        assert said in text


def hostile(value):
    """Return a document whose every text is one that breaks out where nothing holds it."""
    if isinstance(value, dict):
        return {key: hostile(each) for key, each in value.items()}
    if isinstance(value, list):
        return [hostile(each) for each in value]
    if isinstance(value, str):
        return value + HOSTILE
    return value


HOSTILE = (
    "</title></text></svg></script><script>window.hacked = 1</script>"
    "\"'><img src=x onerror='window.hacked=1'> $\\frac{$ {{ 7 * 7 }} & \x00\x1b\x7f\ud800\u202e\n"
)


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory, document):
    folder = tmp_path_factory.mktemp("hostile")
    changed = hostile(document)
    for index, result in enumerate(changed["results"]):
        result["pipeline"] = f"{index}{result['pipeline']}"
    page_of(folder, changed)
    return folder / "report.html"


def test_hostile_texts_stay_texts(page, hostile_page):
    text, elements = hostile_page.read_text(), Elements(hostile_page.read_text())
    assert len(elements.all("script")) == 1 == text.count("<script>")
    assert not elements.all("img")
    assert not any(
        name.startswith("on") for _, attributes, _ in elements.found for name in attributes
    )
    assert {tag for tag, _, _ in elements.found} == {
        tag for tag, _, _ in Elements(page.read_text()).found
    }
    assert "{{ 7 * 7 }}" in text and not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
    for path in hostile_page.with_name("report_files").glob("*.svg"):
        assert not [e for e in ElementTree.parse(path).iter() if "script" in e.tag]


def test_the_page_needs_nothing_else(page):
    text = page.read_text()
    addresses = re.findall(r"(\S*)\b(?:https?:)?//[\w.]+", text)
    namespaces = [each for each in addresses if re.fullmatch(r'xmlns(:\w+)?="', each)]
    # A comment of the script begins with //, too.
    assert [each for each in addresses if each not in namespaces] == []
    assert not re.search(r"\bsrc=|@import|url\((?!#)", text)
    assert "default-src 'none'" in text


def test_the_same_results_give_the_same_bytes(page, document, tmp_path):
    page_of(tmp_path, document)
    assert (tmp_path / "report.html").read_bytes() == page.read_bytes()
    for path in page.with_name("report_files").iterdir():
        assert (tmp_path / "report_files" / path.name).read_bytes() == path.read_bytes()


def wrong(document, change):
    document = copy.deepcopy(document)
    change(document)
    return json.dumps(document)


WRONG = {
    "nothing": (lambda document: "", "not complete JSON"),
    "cut off": (lambda document: json.dumps(document)[:-20], "not complete JSON"),
    "not text": (lambda document: "\udcff\udcfe", "not complete JSON"),
    "too deep": (lambda document: "[" * 200_000, "not complete JSON"),
    "a list": (lambda document: "[]", "not results of n1store compare"),
    "something else": (lambda document: '{"zarr_format": 3}', "not results of n1store compare"),
    "another format": (lambda d: wrong(d, lambda d: d.update(format=2)), "of format 2"),
    "no results": (lambda d: wrong(d, lambda d: d.update(results=[])), "holds no results"),
    "no data": (lambda d: wrong(d, lambda d: d.pop("data")), "data is missing"),
    "no speed": (
        lambda d: wrong(d, lambda d: d["results"][3]["decode"].pop("low")),
        "results[3].decode.low is missing",
    ),
    "NaN": (
        lambda d: wrong(d, lambda d: d["results"][0].update(ratio=float("nan"))),
        "NaN is no number",
    ),
    "number with decimals": (
        lambda d: wrong(d, lambda d: d["data"].update(chunks=1.5)),
        "data.chunks is 1.5, not a positive integer",
    ),
    "infinite": (
        lambda d: wrong(d, lambda d: d["data"].update(entropy=12.75)).replace("12.75", "1e999"),
        "data.entropy is inf, not a number of 0 or more",
    ),
    "huge": (
        lambda d: wrong(d, lambda d: d["data"].update(chunks=10**400)),
        "data.chunks is 1000000",
    ),
    "no speed at all": (
        lambda d: wrong(d, lambda d: d["results"][0]["encode"].update(mb_per_s=0)),
        "results[0].encode.mb_per_s is 0, not a positive number",
    ),
    "text for a number": (
        lambda d: wrong(d, lambda d: d["results"][1].update(ratio="3")),
        "results[1].ratio is '3', not a positive number",
    ),
    "number for a text": (
        lambda d: wrong(d, lambda d: d["results"][1].update(group=3)),
        "results[1].group is 3, not a text",
    ),
    "number for true": (
        lambda d: wrong(d, lambda d: d["results"][1].update(lossless=1)),
        "results[1].lossless is 1, not true or false",
    ),
    "object for a list": (
        lambda d: wrong(d, lambda d: d.update(results={})),
        "results is no list",
    ),
    "list for an object": (
        lambda d: wrong(d, lambda d: d.update(measured_with=[])),
        "measured_with is no object",
    ),
}


def test_wrong_results_are_refused_in_one_line(run, document, tmp_path):
    source = tmp_path / "results.json"
    for case, (content, message) in WRONG.items():
        source.write_bytes(content(document).encode(errors="surrogateescape"))
        result = run("report", source, "-o", tmp_path / "x.html", exit_code=1)
        assert message in result.stderr, case
        assert str(source) in result.stderr and result.stderr.count("\n") == 1, case
        assert len(result.stderr) < 500, case
        assert [path.name for path in tmp_path.iterdir()] == ["results.json"], case


def test_results_that_are_not_there(run, tmp_path):
    result = run("report", tmp_path, "-o", tmp_path / "x.html", exit_code=1)
    assert f"{tmp_path / 'results.json'}: no such file" in result.stderr


def test_the_command(run, run_json, document, tmp_path):
    source = write_results(tmp_path / "results", document)
    printed = run_json("report", source, "-o", tmp_path / "x.html")
    assert printed["results"] == 10 and printed["page"] == str(tmp_path / "x.html")
    assert all((tmp_path / "x_files" / plot).exists() for plot in printed["plots"])

    before = (tmp_path / "x.html").read_bytes()
    result = run("report", source, "-o", tmp_path / "x.html", exit_code=1)
    assert "--overwrite" in result.stderr
    changed = copy.deepcopy(document)
    changed["results"] = changed["results"][:2]
    write_results(source, changed)
    result = run("report", source / "results.json", "-o", tmp_path / "x.html", "--overwrite")
    assert "2 pipelines" in result.stdout
    assert (tmp_path / "x.html").read_bytes() != before
    assert {path.name for path in tmp_path.iterdir()} == {"results", "x.html", "x_files"}


def test_what_compare_writes(run, recordings, tmp_path):
    codecs = ["n1:level=1,lz4,delta+zlib", '{"id": "zstd", "level": 9}']
    quick = Instruments(round_seconds=0, peak_memory=lambda *_: PeakMemory(7, 8))
    compare(recordings, tmp_path / "results", codecs=codecs, sample=3, repeats=1, instruments=quick)
    results = json.loads((tmp_path / "results/results.json").read_text())["results"]
    run("report", tmp_path / "results", "-o", tmp_path / "x.html")
    rows = cells_of((tmp_path / "x.html").read_text())
    assert {name: float(values["ratio"]) for name, (values, _) in rows.items()} == {
        result["pipeline"]: result["ratio"] for result in results
    }


def test_what_is_no_plot_is_not_replaced(run, document, tmp_path):
    source = write_results(tmp_path / "results", document)
    (tmp_path / "x_files").mkdir()
    (tmp_path / "x_files/thesis.docx").write_text("years of work")
    result = run("report", source, "-o", tmp_path / "x.html", "--overwrite", exit_code=1)
    assert "thesis.docx: no plot" in result.stderr
    assert (tmp_path / "x_files/thesis.docx").read_text() == "years of work"
    assert not (tmp_path / "x.html").exists()
    (tmp_path / "x_files").rename(tmp_path / "y.html")
    (tmp_path / "z_files").write_text("years of work")
    for name, kind in (("y", "file"), ("z", "folder")):
        arguments = "report", source, "-o", tmp_path / f"{name}.html", "--overwrite"
        assert f"is no {kind} that could be replaced" in run(*arguments, exit_code=1).stderr
    assert (tmp_path / "y.html/thesis.docx").read_text() == "years of work"
    assert (tmp_path / "z_files").read_text() == "years of work"


def test_a_report_is_a_web_page(run, document, tmp_path):
    source = write_results(tmp_path / "results", document)
    result = run("report", source, "-o", tmp_path / "x.pdf", exit_code=1)
    assert "ends in .html" in result.stderr


def test_without_matplotlib_it_says_how_to_install_it(run, document, tmp_path, monkeypatch):
    source = write_results(tmp_path / "results", document)
    for name in [name for name in sys.modules if name.startswith("n1store.study.report")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("report", source, "-o", tmp_path / "x.html", exit_code=1)
    assert "pip install jinja2 matplotlib" in result.stderr


def only(**changes):
    def change(document):
        document["results"] = [{**document["results"][0], **changes}]

    return change


SPARSE = {
    "no parts": only(random_access=[], chunk_ratios=[], entropy_before=0, entropy_after=0),
    "one lossy result": only(lossless=False, error=None),
    "nothing on the front": only(pareto=False, chunk_ratios=[3.5] * 7),
    "one chunk length": only(random_access=[{"chunk_seconds": 1.0, "xrt": 5.0}]),
    "no names": only(pipeline="", codec="", group="", summary=""),
    "long names": only(pipeline="n1:widths=" + "a" * 1366 + "==", group="g" * 300),
    "numbers far apart": lambda document: [
        result.update(group=f"group {index}", ratio=result["ratio"] ** 6, chunk_ratios=[1.0, 9000])
        for index, result in enumerate(document["results"])
    ],
    "nothing left out": lambda document: (
        document.update(failed=[], missing=[]),
        document["results"][8]["error"].update(snr_db=None),
    ),
}


@pytest.mark.parametrize("case", SPARSE)
def test_results_of_which_there_are_few(document, tmp_path, case):
    changed = copy.deepcopy(document)
    SPARSE[case](changed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = page_of(tmp_path, changed)
    assert len(cells_of(text)) == len({each["pipeline"] for each in changed["results"]})
    plots = {attributes["id"] for attributes, _ in Elements(text).all("figure")}
    assert ("entropy" in plots) == any(each["lossless"] for each in changed["results"])
    for _, _, texts in Elements(text).found:
        assert "nan" not in "".join(texts).lower().split()


def test_many_results(document, tmp_path):
    changed = copy.deepcopy(document)
    for index in range(70):
        changed["results"].append(
            make_result(f"adc+zstd:level={index}", "dictionary", 2 + index / 70, 50, 100 + index)
        )
    text = page_of(tmp_path, changed)
    assert len(cells_of(text)) == 80
    assert len(text) < 3_000_000


def luminance(colour):
    def linear(part):
        value = int(part, 16) / 255
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(colour[i : i + 2]) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_can_be_seen_on_both_grounds():
    unknown = {f"unknown {index}" for index in range(3)}
    groups = {entry.group for entry in CATALOGUE.values()} - {"checksum"}
    styles = plots.group_styles(groups | unknown)
    assert len({style.marker for style in styles.values()}) == len(styles) == len(groups) + 3
    for theme, ground in enumerate(plots.COLOURS["paper"]):
        for role in ("ink", "muted", "front"):
            assert contrast(plots.COLOURS[role][theme], ground) >= 4.5, (role, theme)
        for name, style in styles.items():
            assert contrast((style.light, style.dark)[theme], ground) >= 3, (name, theme)


def test_load_results_takes_later_additions(document, tmp_path):
    changed = copy.deepcopy(document)
    changed["new"] = changed["results"][0]["new"] = {"anything": [None]}
    expected = load_results(write_results(tmp_path / "old", document))
    assert load_results(write_results(tmp_path / "new", changed)) == expected


def test_recordings_that_differ_are_not_said_to_be_alike(document, tmp_path):
    comparison, results = load(tmp_path, document)
    alike = words.summary(comparison.data, results)
    assert "on 84 recordings of 1 channel at 19,531 Hz: " in alike
    assert "An hour of 1,000 channels at this rate, 141 GB," in alike
    changed = replace(comparison.data, files=2, channels=2, sampling_frequency=30_000.0)
    differ = words.summary(changed, results)
    assert "on 2 recordings of up to 2 channels at up to 30,000 Hz: " in differ
    assert "An hour of 1,000 channels at the highest rate, 216 GB," in differ
    # 216 MB/s is as many samples of 2 bytes as these channels have at that rate.
    said = words.group_words("predictive", results, changed, 0.0)
    assert "keeps up with 3,600 channels as they are recorded" in " ".join(said)


def test_what_stands_in_front_of_a_codec(document, tmp_path):
    changed = copy.deepcopy(document)
    changed["results"] = [
        make_result("adc+delta:order=2+zstd:level=3", "dictionary", 2, 1, 1),
        make_result("delta", "filter", 2, 1, 1),
        make_result('adc+{"id": "zstd", "level": 22}', "other", 2, 1, 1),
    ]
    _, results = load(tmp_path, changed)
    assert [split_chain(each) for each in results] == [
        ("adc+delta:order=2", "zstd:level=3"),
        ("", "delta"),
        ("adc", '{"id": "zstd", "level": 22}'),
    ]
    assert [label_of(each) for each in results] == [
        "adc+delta order 2+zstd level 3",
        "delta",
        "adc+zstd level 22",
    ]


def test_errors_of_the_library(tmp_path):
    with pytest.raises(N1StoreError, match="no such file"):
        write_report(tmp_path / "none.json", tmp_path / "x.html")


# ---- In a browser ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_page(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with browser(tmp_path_factory.mktemp("chromium")) as open_page:
        yield open_page


@needs_chromium
@pytest.mark.parametrize("kind", ["page", "hostile_page"])
def test_the_page_in_a_browser(request, open_page, kind):
    path = request.getfixturevalue(kind)
    for width, scheme in product((1280, 768, 390, 320), ("light", "dark")):
        tab = open_page(path, width=width, height=800, scheme=scheme)
        assert tab.complaints == []
        assert tab.requests == [path.as_uri()]
        assert tab.run("window.hacked === undefined")
        assert tab.run("document.documentElement.scrollWidth <= innerWidth")
        ground = tab.run("getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", ground))) > 128) == (scheme == "light")
        # Of each figure one drawing is shown, in full.
        sizes = tab.run(
            "[...document.querySelectorAll('figure')].map(f => [...f.querySelectorAll('svg')]"
            ".map(s => s.getBoundingClientRect()).filter(b => b.width).map(b => [b.left, b.right]))"
        )
        assert len(sizes) >= 6
        for shown in sizes:
            ((left, right),) = shown
            assert 0 <= left < right <= width and right - left > 0.5 * min(width, 700)


OVERLAPS = """
[...document.querySelectorAll("figure svg")].filter((svg) => svg.getBoundingClientRect().width)
.flatMap((svg) => {
  const name = svg.getAttribute("class");
  const all = (selector) => [...svg.querySelectorAll(selector)].map((element) => {
    const box = element.getBoundingClientRect();
    return [element.dataset.result ?? element.textContent, box];
  });
  const overlap = ([, a], [, b]) => Math.min(
    Math.min(a.right, b.right) - Math.max(a.left, b.left),
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top),
  );
  const texts = all("text");
  const others = all(name === "chunks" ? "[data-group]" : "[data-result]");
  const found = texts.flatMap((text, index) =>
    [...texts.slice(index + 1), ...others].filter((other) => overlap(text, other) > 1)
    .map((other) => [name, text[0], other[0]]));
  // In rows, points lie beside each other.
  const points = ["groups", "transforms"].includes(name) ? others : [];
  return found.concat(points.flatMap((point, index) =>
    points.slice(index + 1).filter((other) => overlap(point, other) > 3)
    .map((other) => [name, point[0], other[0]])));
})
"""


@needs_chromium
@pytest.mark.parametrize("count", [5, 12, 35, 140])
def test_nothing_lies_on_a_text_and_points_of_a_row_lie_beside_each_other(
    document, open_page, tmp_path, count
):
    path = Path(__file__).parents[2] / "benchmarks/results/study.csv"
    with path.open(encoding="utf-8", newline="") as file:
        lines = [each for each in csv.DictReader(file) if each["whole_recordings"] == "False"]
    results = []
    for number in range(count):
        line = lines[number * len(lines) // count]
        ratio, *speeds = (
            float(line[name]) for name in ("ratio", "encode_mb_per_s", "decode_mb_per_s")
        )
        spread = [ratio * (0.5 + 0.01 * each) for each in range(100)]
        changes = {"lossless": line["lossless"] == "True", "pareto": line["pareto"] == "True"}
        results.append(
            make_result(
                line["pipeline"], line["group"], ratio, *speeds, chunk_ratios=spread, **changes
            )
        )
    page_of(tmp_path, document | {"results": results})
    for width in (1280, 390):
        tab = open_page(tmp_path / "report.html", width=width)
        assert tab.run("document.querySelectorAll('figure svg text').length") > 50
        assert tab.run(OVERLAPS) == []


@needs_chromium
def test_print_is_on_white(page, open_page):
    tab = open_page(page, width=700, scheme="dark", media="print")
    assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 254)"
    assert tab.complaints == []


@needs_chromium
def test_the_table_sorts_when_a_heading_is_clicked(page, document, open_page):
    tab = open_page(page)
    order = "[...document.querySelectorAll('#results tbody tr')].map(r => r.cells[0].dataset.value)"

    def names(key, reverse=False):
        ordered = sorted(document["results"], key=key, reverse=reverse)
        return [r["pipeline"] for r in sorted(ordered, key=lambda r: not r["lossless"])]

    assert tab.run(order) == names(lambda r: -r["ratio"])
    for column, key in {
        2: lambda r: r["ratio"],
        4: lambda r: r["decode"]["mb_per_s"],
        5: lambda r: r["encode"]["mb_per_s"],
    }.items():
        heading = f"#results th:nth-child({column})"
        first = "ascending" if column == 2 else "descending"  # by ratio it was sorted before
        for direction in (first, {"ascending": "descending"}.get(first, "ascending")):
            tab.click(f"{heading} button")
            assert tab.run(order) == names(key, direction == "descending")
            assert tab.run(f"document.querySelector('{heading}').ariaSort") == direction
    tab.click("#results th:nth-child(1) button")
    by_name = tab.run(order)
    assert sorted(by_name) == sorted(names(str)) and by_name[-1] == "adc+wavpack:bps=3"
    assert by_name.index("adc+lz4") < by_name.index("bz2:level=9") < by_name.index("rle")
    assert tab.complaints == []


@needs_chromium
def test_a_point_tells_of_itself(page, open_page):
    for width in (1280, 390):
        check_point(open_page(page, width=width), width)


def check_point(tab, width):
    shown = "narrow" if width < 600 else "wide"
    assert tab.run("document.querySelector('.card').hidden")
    tab.click(f".{shown} svg [data-result='1']")
    text = tab.run("document.querySelector('.card').innerText")
    assert text.splitlines() == [
        "adc+bz2:level=9",
        "dictionary, lossless",
        "ratio 3.125, 5.12 bits per sample",
        "encode 16.0 MB/s (14.4 to 17.6)",
        "decode 37.0 MB/s (33.3 to 40.7)",
    ]
    box = tab.run("document.querySelector('.card').getBoundingClientRect().toJSON()")
    assert box["left"] >= 0 and box["right"] <= width
    assert tab.run("document.querySelector('#results tr.on').dataset.row") == "1"
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")
    assert tab.complaints == []


@needs_chromium
def test_one_group_at_a_time_stands_out(page, open_page):
    tab = open_page(page)
    rows = "[...document.querySelectorAll('#results tbody tr')].filter(r => r.offsetHeight).length"
    dim = (
        "[...document.querySelectorAll('.wide [data-result]')]"
        ".filter(p => getComputedStyle(p).opacity < 0.5).length"
    )
    assert (tab.run(rows), tab.run(dim)) == (10, 0)
    tab.click("[data-only='dictionary']")
    tab.run("Promise.all(document.getAnimations().map(a => a.finished)).then(() => 0)")
    assert (tab.run(rows), tab.run(dim)) == (5, 5)
    tab.click("[data-only='dictionary']")
    tab.run("Promise.all(document.getAnimations().map(a => a.finished)).then(() => 0)")
    assert (tab.run(rows), tab.run(dim)) == (10, 0)
    assert tab.complaints == []
