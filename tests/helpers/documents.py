"""The documents and what is in them: their blocks, and what may stand in these.

A comment on the line before a block says what is special about it: ``<!-- not run: REASON -->``, a
reason of `NOT_RUN`; ``<!-- needs TOOL -->``, one of `TOOLS`, without which it is not run;
``<!-- without n1store -->``, to be run by a Python that has all but n1store; or
``<!-- file NAME -->``, the content of a file that blocks behind it use.
"""

import re
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

# Of these, blocks are run.
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

FORMATS = sorted((ROOT / "filters/format").glob("*.md"))

OTHERS = [
    *sorted(ROOT.glob("[A-Z]*.md")),
    *sorted((ROOT / ".github").rglob("*.md")),
    ROOT / "benchmarks/README.md",
    ROOT / "filters/core/README.md",
    ROOT / "filters/FORMAT.md",
    *FORMATS,
]
DOCUMENTS = list(dict.fromkeys([*PAGES, *OTHERS]))

PROGRAMS = {"sh", "python"}
SHOWN = {"text", "yaml", "mermaid", "matlab", "julia"}
NOT_RUN = {"sets up this checkout"}

ZARR_VERSION = int(version("zarr").split(".")[0])
TOOLS = {
    "zarr 3": ZARR_VERSION >= 3,
    "WavPack": find_spec("wavpack_numcodecs") is not None,
    "h5dump": shutil.which("h5dump") is not None,
    "SpikeInterface": find_spec("spikeinterface") is not None,
    "tensorstore": find_spec("tensorstore") is not None,
    "xarray": find_spec("xarray") is not None and ZARR_VERSION >= 3,  # with which it works
}


class Block(NamedTuple):
    """A fenced block: its language, the comment before it, its content and its first line."""

    language: str
    note: str
    code: str
    line: int

    @property
    def is_to_be_run(self):
        """Whether it is a program, and may and can be run here."""
        kind, _, what = self.note.partition(" ")
        can_be = TOOLS[what] if kind == "needs" else kind != "not"
        return self.language in PROGRAMS and can_be


def blocks_of(document):
    """Return the fenced blocks of a document."""
    text = document.read_text(encoding="utf-8")
    pattern = r"^(?:<!-- ([^\n]*) -->\n)?^```([^\n]*)\n(.*?)^```$"
    return [
        Block(match[2], match[1] or "", match[3], text.count("\n", 0, match.start(3)) + 1)
        for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL)
    ]


def prose_of(document):
    """Return the text of a document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)


def names_of(documents):
    """Return the paths of documents as tests are called after them."""
    return [str(document.relative_to(ROOT)) for document in documents]
