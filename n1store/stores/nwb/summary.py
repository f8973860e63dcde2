"""What n1store keeps in an NWB file to verify recordings and restore their files."""

from __future__ import annotations

from typing import Any

SUMMARY_NAME = "n1store"
"""Of a dataset in NWB's scratch space, which holds JSON."""

SUMMARY_PATH = f"scratch/{SUMMARY_NAME}"

HINT = "how_to_read"
"""Of an attribute of the samples, for those who cannot read them."""


def origin_of(attributes: dict[str, Any]) -> str:
    """Return the words behind the description of a series that say which files it is from."""
    if "lossy" in attributes:
        return f"lossy, by {attributes['lossy']}: samples are not as recorded"
    files = [source["file"] for source in attributes["sources"]]
    if len(files) > 3:
        files = [files[0], f"{len(files) - 2} others", files[-1]]
    return f"from {', '.join(files)}" if files else ""
