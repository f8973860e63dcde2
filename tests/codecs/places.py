"""The places that a codec of n1store has, and which of them a codec lacks."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]

TABLE = "n1store/codecs/simple_table.py"
LIST = "filters/core/generic/codecs.def"
FORMAT = "filters/format/codecs.md"
IDENTIFIERS = "filters/format/stores.md"
ENTRY_POINTS = "pyproject.toml"
CORE = "filters/core/generic"


def places_of(root):
    """Return the names of the simple codecs that are in each place of a checkout."""
    sources = [path.read_text() for path in (root / CORE).glob("*.c")]
    text = (root / FORMAT).read_text()
    chapter = text[text.index("## Transforms\n") : text.index("## `flac`\n")]
    points = tomllib.loads((root / ENTRY_POINTS).read_text())["project"]["entry-points"]
    simple = {
        name.removeprefix("n1store.")
        for name, home in points["numcodecs.codecs"].items()
        if home.startswith("n1store.codecs.simple:")
    }
    in_zarr = {name.removeprefix("n1store.") for name in points["zarr.codecs"]}
    listed = (root / LIST).read_text()
    return {
        f"a file in {CORE}": {
            name for each in sources for name in re.findall(r'\.name = "(\w+)"', each)
        },
        LIST: {*re.findall(r"^CODEC\((\w+), ", listed, re.M)},
        f"{IDENTIFIERS}, the table": {
            *re.findall(r"^\| `(\w+)` \| `n1store.\1` \|", (root / IDENTIFIERS).read_text(), re.M)
        },
        f"{FORMAT}, a section": {*re.findall(r"^## `(\w+)`", chapter, re.M)},
        TABLE: {*re.findall(r'^        name="(\w+)",', (root / TABLE).read_text(), re.M)},
        f"{ENTRY_POINTS}, numcodecs.codecs": simple,
        f"{ENTRY_POINTS}, zarr.codecs": in_zarr,
    }


def forgotten(root):
    """Return a line for each simple codec and each place in which it is not."""
    places = places_of(root)
    # These have others in them too.
    mixed = (f"{IDENTIFIERS}, the table", f"{ENTRY_POINTS}, zarr.codecs")
    codecs = set().union(*(names for place, names in places.items() if place not in mixed))
    return [
        f"{codec} is not in {place}"
        for codec in sorted(codecs)
        for place, names in places.items()
        if codec not in names
    ]
