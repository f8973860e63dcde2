"""The documents in filters/format: their examples are what they say, and decoders name their sections.

An example is three blocks, or tables, behind comments: ``<!-- payload NAME -->``, in hexadecimal;
``<!-- samples -->``, a line for each channel; and ``<!-- fields -->``, whose rows are the payload, one
after the other, with how each is read and what comes out of it.
"""

import re
from typing import NamedTuple

import numpy as np
import pytest

import reference_decoder as reference
from documents import ROOT
from n1store.codecs import native

N1 = ROOT / "filters/format/n1.md"


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
    return bytes.fromhex(part_of(document, name, "payload").replace("```text", "").strip("`\n"))


def samples_of(document, name):
    lines = part_of(document, name, "samples").strip("`text\n").splitlines()
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


# --- Sections


def headings_of(document):
    """Return the headings below the first, with the number of signs before each."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^(##+) (.*)$", text.replace("`", ""), re.MULTILINE)


def sections_named_in(path):
    """Return the sections that stand above the functions of a decoder."""
    lines = re.findall(r"^# § (.*)$", path.read_text(), re.MULTILINE)
    return {section for line in lines for section in line.split(", ")}


def test_decoder_names_the_sections_of_n1():
    headings = [heading for _, heading in headings_of(N1)]
    rules = headings[headings.index("Payload") : headings.index("Tables and test vectors")]
    named = sections_named_in(ROOT / "tests/helpers/reference_decoder.py")
    assert named <= set(headings)
    assert set(rules) <= named
