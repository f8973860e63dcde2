"""The documents in filters/format: their examples, and the decoders that name their sections.

An example is blocks and tables behind comments: ``<!-- payload NAME -->``, in hexadecimal;
``<!-- samples -->``, a line for each channel; and ``<!-- fields -->``, whose rows are the payload,
one after the other, with how each is read and what comes out of it.
"""

import json
import re
import zlib
from typing import NamedTuple

import numpy as np
import pytest

import make_wav as make
import n1store
import reference_coders
import reference_decoder as reference
import reference_transforms
from documents import FORMATS, ROOT
from n1store.codecs import native
from n1store.codecs.hdf5_numcodecs import configuration_of, to_cd_values

N1, CODECS, FILES, STORES = (
    ROOT / f"filters/format/{name}.md" for name in ("n1", "codecs", "n1-files", "stores")
)

INDEX = ROOT / "filters/FORMAT.md"


class Row(NamedTuple):
    """A row of a table of fields."""

    bytes: str
    bits: str
    code: str
    value: str
    field: str

    @property
    def content(self):
        assert bool(self.bytes) != bool(self.bits), self
        return bits_of(bytes.fromhex(self.bytes)) + self.bits


def bits_of(content):
    """Return the bits of bytes as characters, in the order in which a decoder reads them."""
    return "".join(f"{byte:08b}"[::-1] for byte in content)


def part_of(document, name, note):
    """Return what stands behind a comment, in the example of this name."""
    _, example = document.read_text().split(f"<!-- payload {name} -->\n")
    if note == "payload":
        return example.split("\n\n")[0]
    example, *_ = example.split("<!-- payload ")
    return example.split(f"<!-- {note} -->\n")[1].split("\n\n")[0]


def payload_of(document, name):
    _, *lines, _ = part_of(document, name, "payload").splitlines()
    return bytes.fromhex(" ".join(lines))


def samples_of(document, name):
    _, *lines, _ = part_of(document, name, "samples").splitlines()
    return np.array([line.split() for line in lines], "<i2").T


def table_of(document, name, note):
    """Return the rows of a table, without its head."""
    lines = part_of(document, name, note).splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def read_value(read, code, size):
    """Return what a decoder reads that is told how a field is coded."""
    kind, parameter = re.fullmatch(r"([a-z ]+?)(?:\((\d+)\))?", code).groups()
    if kind in ("bits", "signed bits", "number"):
        return getattr(read, kind.replace("number", "bits").replace(" ", "_"))(size)
    return getattr(read, kind.replace(" ", "_"))(*([int(parameter)] if parameter else []))


def check_fields(document, name):
    """Hold the rows of an example against its payload, and the value of each against its bits."""
    payload = payload_of(document, name)
    read = reference.Reader(payload)
    for row in (Row(*cells) for cells in table_of(document, name, "fields")):
        begin, end = read.position, read.position + len(row.content)
        assert not row.bytes or begin % 8 == 0, row
        assert bits_of(payload)[begin:end] == row.content, row
        if row.code == "bytes":
            read.position = end
        else:
            value = read_value(read, row.code, end - begin)
            assert str("" if value is None else value) == row.value, row
        assert read.position == end, row
    assert read.position == 8 * len(payload)


def test_example_of_n1():
    payload, samples = payload_of(N1, "n1"), samples_of(N1, "n1")
    np.testing.assert_array_equal(reference.decode(payload)[0], samples)
    np.testing.assert_array_equal(native.n1_decode(payload), samples)
    check_fields(N1, "n1")


def test_steps_of_the_example_of_n1(monkeypatch):
    steps = []

    def decode_sample(block, lane, next_word):
        x, mu = lane.state, reference.predict(block, lane)
        slot = x % 2**block.precision
        start, freq = block.symbol_slots, block.escape_slots
        if slot < start:
            start, freq, _ = reference.find_symbol(block, lane, slot)
        really_decode_sample(block, lane, next_word)
        steps.append([len(steps), x, slot, mu, start, freq, lane.codes[-1]])

    really_decode_sample = reference.decode_sample
    monkeypatch.setattr(reference, "decode_sample", decode_sample)
    _, _, (_, block) = reference.decode(payload_of(N1, "n1"))
    shown = table_of(N1, "n1", "steps")
    assert [list(map(int, row)) for row in shown] == steps[: len(shown)]
    text = N1.read_text()
    for a, shift, _ in block.predictors[1:]:
        assert f"A = {', '.join(map(str, a))} with s = {shift}" in text
    scales = [block.classes[0].scale + extra for extra in block.extra_scale]
    assert "scale is {} at\nstep 0, {} at step 1, and {} from step 2 on".format(*scales) in text
    assert f"from the state {steps[-1][1]}, and leaves {block.lanes[0].state}" in text


def test_example_of_a_transform():
    payload, samples = payload_of(CODECS, "delta"), samples_of(CODECS, "delta")
    assert reference_transforms.specified("delta", payload).tobytes() == samples.tobytes()
    assert native.simple_codec("delta").decode(payload).tobytes() == samples.tobytes()
    check_fields(CODECS, "delta")


@pytest.mark.parametrize("name", ["packbits10", "huffman"])
def test_example_of_a_coder(name):
    payload, words = payload_of(CODECS, name), samples_of(CODECS, name)
    assert reference_coders.specified(name, payload) == words.tobytes()
    assert native.simple_codec(name).decode(payload).tobytes() == words.tobytes()
    check_fields(CODECS, name)


def test_range_code_of_the_example_of_huffman(monkeypatch):
    steps, ends = [], []

    class Recorded(reference_coders.RangeCode):
        def narrow(self, start, freq, n):
            steps.append([self.c, self.r, n, self.slot(n), start, freq])
            super().narrow(start, freq, n)
            ends.append(self.r)

    monkeypatch.setattr(reference_coders, "RangeCode", Recorded)
    reference_coders.specified("huffman", payload_of(CODECS, "huffman"))
    shown = table_of(CODECS, "huffman", "steps")
    assert [list(map(int, row[:6])) for row in shown] == steps
    assert f"r is {ends[-1]:,} in the end" in CODECS.read_text()


def test_pairs_of_the_example_of_huffman():
    table = table_of(CODECS, "huffman", "codes")
    lengths = reference_coders.lengths_of([int(share) for _, share, _ in table])
    codes = reference_coders.canonical_codes(
        [(pair, length) for (pair, _, _), length in zip(table, lengths, strict=True)]
    )
    shown = {(len(code), int(code, 2)): pair for pair, _, code in table}
    assert shown == codes
    pairs = samples_of(CODECS, "huffman").reshape(-1, 2).tolist()
    code_of = {pair: code for pair, _, code in table}
    strings = [" ".join(code_of[f"{a} {b}"] for a, b in pairs[i::2]) for i in (0, 1)]
    fields = [row for row in table_of(CODECS, "huffman", "fields") if "string: " in row[4]]
    for string, (content, *_, field) in zip(strings, fields, strict=True):
        assert field.endswith(f"string: {string}")
        bits = "".join(f"{byte:08b}" for byte in bytes.fromhex(content))
        assert bits == string.replace(" ", "")


def test_example_of_a_file(tmp_path):
    payload, samples = payload_of(FILES, "file"), samples_of(N1, "n1")
    assert payload_of(N1, "n1") in payload
    check_fields(FILES, "file")
    *_, crc = table_of(FILES, "file", "fields")
    assert zlib.crc32(payload[:-4]) == int(crc[3])
    trailer = zlib.decompress(bytes.fromhex(table_of(FILES, "file", "fields")[10][0]), -15)
    (tmp_path / "example.n1").write_bytes(payload)
    n1store.decode_file(tmp_path / "example.n1", tmp_path / "example.wav")
    content = (tmp_path / "example.wav").read_bytes()
    assert content == make.wav(make.fmt(2, 30_000), make.data(samples)) + trailer


def test_example_of_cd_values():
    payload = payload_of(STORES, "cd_values")
    cd_values = np.frombuffer(payload, "<u4").tolist()
    configuration = configuration_of(cd_values)
    assert f"`{json.dumps(configuration, separators=(',', ':'))}`, which" in STORES.read_text()
    assert to_cd_values(configuration, np.dtype("u1"), None, 128_000) == tuple(cd_values)
    check_fields(STORES, "cd_values")


# --- Sections


def headings_of(document):
    """Return the headings below the first, with the number of signs before each."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^(##+) (.*)$", text.replace("`", ""), re.MULTILINE)


def sections_named_in(path):
    """Return the sections that stand above the functions of a decoder."""
    lines = re.findall(r"^# § (.*)$", path.read_text(), re.MULTILINE)
    return {section for line in lines for section in line.split(", ")}


@pytest.mark.parametrize(
    ("document", "first", "behind", "decoders"),
    [
        (N1, "Payload", "Tables and test vectors", ["decoder"]),
        (CODECS, "Transforms", "flac", ["coders", "transforms"]),
    ],
    ids=["n1", "codecs"],
)
def test_decoders_name_the_sections(document, first, behind, decoders):
    """All that they name exist, and the rules of all have a decoder."""
    headings = [heading for _, heading in headings_of(document)]
    assert len(set(headings)) == len(headings), "a link leads to one of them"
    rules = set(headings[headings.index(first) : headings.index(behind)])
    paths = [ROOT / f"tests/helpers/reference_{name}.py" for name in decoders]
    named = set().union(*map(sections_named_in, paths))
    assert named <= set(headings)
    assert rules <= named


@pytest.mark.parametrize("document", FORMATS, ids=[path.stem for path in FORMATS])
def test_documents_have_what_a_format_needs(document):
    headings = [heading for _, heading in headings_of(document)]
    assert headings[:2] == ["Conventions", "Definitions"]
    assert headings[2].startswith("The parts of a ")
    assert headings[-1] == "Versions"
    assert "<!-- payload " in document.read_text()
    assert document.name in INDEX.read_text()


def test_index_is_a_page():
    assert len(INDEX.read_text().splitlines()) <= 60


def test_documents_that_code_names_exist():
    named = set()
    for folder in ("filters/core", "filters/hdf5", "filters/fuzz", "n1store", "tests"):
        paths = [path for each in ("*.py", "*.[ch]") for path in (ROOT / folder).rglob(each)]
        for path in paths:
            named |= set(re.findall(r"filters/(?:format/)?[\w-]+\.md", path.read_text("utf-8")))
    assert named
    assert all((ROOT / name).exists() for name in named), named
