"""How lines and tables fit a terminal: broken between words, and never within one."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from itertools import zip_longest


def terminal_width() -> int | None:
    """Return how wide the terminal is; None where the output is no terminal and not broken."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitted(text: str, width: int | None) -> list[str]:
    """Return a text as lines that are no wider than that, where its words allow it.

    A line that begins with a label, such as ``  samples   1.562 MB``, goes on below what it says;
    others go on two blanks from the edge. What is too long for a line is broken behind ``+``, ``,``
    or ``/``; if there is none, the line is as long as it is.
    """
    if width is None or len(text) <= width:
        return [text]
    label = re.match(r" +\S.*?  +(?=\S)| +", text)
    start = label.group() if label and label.end() <= width // 2 else ""
    indent = len(start) or 2
    lines = _broken(text[len(start) :], width - indent)
    return [start + lines[0], *(" " * indent + line for line in lines[1:])]


def table_lines(
    header: Sequence[str], rows: Sequence[Sequence[str]], width: int | None
) -> list[str]:
    """Return a table as lines, numbers to the right.

    Where it is too wide, its widest texts and headings are broken, as `fitted` does it.

    Parameters
    ----------
    header : sequence of str
    rows : sequence of sequence of str
    width : int, optional
        That of the terminal; None where each row is to be a line.
    """
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    numeric = [bool(rows) and all(c[:1].isdigit() or not c for c in each) for each in columns]
    widths = [max(map(len, (name, *each))) for name, each in zip(header, columns, strict=True)]
    if width is not None:
        least = [
            max(
                _least(name),
                *(len(cell) if number else _least(cell) for cell in ("", *column)),
            )
            for name, column, number in zip(header, columns, numeric, strict=True)
        ]
        excess = sum(widths) + 2 * (len(widths) - 1) - width
        # Texts before headings of numbers, and the widest first.
        for index in sorted(range(len(widths)), key=lambda index: (numeric[index], -widths[index])):
            taken = max(0, min(excess, widths[index] - least[index]))
            widths[index] -= taken
            excess -= taken
    lines = []
    for row in [header, *rows]:
        broken = [_broken(cell, room) for cell, room in zip(row, widths, strict=True)]
        for parts in zip_longest(*broken, fillvalue=""):
            cells = [
                part.rjust(room) if number else part.ljust(room)
                for part, room, number in zip(parts, widths, numeric, strict=True)
            ]
            lines.append("  ".join(cells).rstrip())
    return lines


def _broken(text: str, width: int) -> list[str]:
    """Return a text in pieces that are no wider, as far as it can be broken."""
    lines = [""]
    for word in re.findall(r"\S+\s*|\s+", text):
        for piece in [word] if len(word.rstrip()) <= width else _pieces(word):
            if lines[-1] and len(lines[-1] + piece.rstrip()) > width:
                lines.append("")
            lines[-1] += piece
    return [line.rstrip() for line in lines]


def _least(text: str) -> int:
    """Return how wide the longest part of a text is that is not broken."""
    return max(len(piece.rstrip()) for piece in _pieces(text))


def _pieces(text: str) -> list[str]:
    """Return the parts of a text that are not broken."""
    return re.split(r"(?<=[\s+,/])(?=\S)", text)
