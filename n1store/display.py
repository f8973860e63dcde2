"""How results are shown where somebody looks at them: in a line, and as a table in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

MOST_ROWS = 20


def printable(text: str) -> str:
    """Return a text without line breaks, commands to terminals, and what is no letter."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def message(text: str) -> str:
    """Return what is said of a file as one printable line, the middle of a very long one left out.

    What a damaged file holds, such as a number of 5,000 digits, is said with it.
    """
    text = printable(text)
    left_out = len(text) - _LONGEST_MESSAGE
    if left_out <= 0:
        return text
    begin = _LONGEST_MESSAGE * 3 // 4
    return f"{text[:begin]} … {left_out:,} more characters … {text[begin + left_out :]}"


_LONGEST_MESSAGE = 1000


def first_of(lines: Sequence[str]) -> list[str]:
    """Return the first of many lines, and how many more there are."""
    more = len(lines) - MOST_ROWS
    return [*lines[:MOST_ROWS], f"and {more:,} more"] if more > 1 else list(lines)


class Displayed(ABC):
    """What is shown in a line by `repr`, and by notebooks as a table of its first rows."""

    @abstractmethod
    def _headline(self) -> str:
        """Return what it is, in a line."""

    @abstractmethod
    def _table(self) -> tuple[list[str], list[list[str]]]:
        """Return the headings of its columns, of which there may be none, and its rows."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {message(self._headline())}>"

    def _repr_html_(self) -> str:
        # All of it may come from files of strangers.
        from html import escape

        def row(tag: str, cells: list[str]) -> str:
            texts = (escape(message(cell)) for cell in cells)
            return f"<tr>{''.join(f'<{tag}>{text}</{tag}>' for text in texts)}</tr>"

        headings, rows = self._table()
        lines = [row("th", headings)] if headings else []
        lines += [row("td", cells) for cells in rows[:MOST_ROWS]]
        if len(rows) > MOST_ROWS:
            lines.append(row("td", [f"and {len(rows) - MOST_ROWS:,} more"]))
        caption = escape(f"{type(self).__name__} {message(self._headline())}")
        return f"<table><caption>{caption}</caption>{''.join(lines)}</table>"
