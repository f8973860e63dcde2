"""The plots of a report, each drawn once for the page, for PNG and for SVG.

What is drawn for a result has the result's index in its gid, by which the page finds the tooltip.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, count, pairwise
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path as Outline
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import Affine2D, Bbox

from n1store.study.shown import (
    Shown,
    best_of,
    best_of_groups,
    front_of,
    label_of,
    names_of,
    plain,
    short,
    split_chain,
)

# The colour of each role on a white and on a dark page. Plots are drawn in the first one, which the
# page replaces by a CSS variable that is either.
COLOURS = {
    "ink": ("#1b2026", "#e8ebef"),
    "muted": ("#5a646f", "#a3adb8"),
    "line": ("#dfe3e8", "#323a44"),
    "paper": ("#fffffe", "#151a20"),
    "front": ("#2a3138", "#cdd5dd"),
    "tint": ("#eef2f7", "#1c232c"),
}
_GROUPS = {
    "predictive": ("o", "#1a66d6", "#62a8ff"),
    "dictionary": ("s", "#b95000", "#f59a4c"),
    "blosc": ("D", "#15803d", "#45c46a"),
    "audio": ("^", "#8447d1", "#c297ff"),
    "entropy": ("v", "#c02a7e", "#ff85bd"),
    "run-length": ("X", "#0b7c8c", "#3cc8d8"),
    "filter": ("P", "#c9252d", "#ff8078"),
    "transform": ("p", "#7c6a00", "#d9b93c"),
}
_OTHERS = [("h", "#59636e", "#a9b3bd"), ("*", "#3f4bb8", "#98a2ff"), ("d", "#6b5b4b", "#c9b59f")]


@dataclass(frozen=True)
class Style:
    """A group's marker, its CSS variable, and its colour on a white and on a dark page."""

    marker: str
    variable: str
    light: str
    dark: str


def group_styles(groups: Iterable[str]) -> dict[str, Style]:
    """Return the look of each group, in the order in which the groups are shown."""
    present = set(groups)
    ordered = [name for name in _GROUPS if name in present]
    ordered += sorted(present - set(ordered))
    styles, others = {}, 0
    for index, name in enumerate(ordered):
        look = _GROUPS.get(name) or _OTHERS[others % len(_OTHERS)]
        others += name not in _GROUPS
        styles[name] = Style(look[0], f"g{index}", look[1], look[2])
    return styles


@contextmanager
def drawing() -> Iterator[None]:
    """Have matplotlib draw the same on every machine, whatever its settings are there."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        # What a font has no letter for becomes a box in PNG.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        matplotlib.rcdefaults()
        ink, muted, line, paper = (COLOURS[role][0] for role in ("ink", "muted", "line", "paper"))
        matplotlib.rcParams.update(
            {
                "svg.fonttype": "none",
                "svg.hashsalt": "n1store",
                "text.parse_math": False,
                "text.color": ink,
                "axes.labelcolor": muted,
                "axes.edgecolor": line,
                "axes.facecolor": "none",
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.spines.left": False,
                "axes.grid": True,
                "axes.axisbelow": True,
                "grid.color": line,
                "grid.linewidth": 0.7,
                "xtick.color": line,
                "ytick.color": line,
                "xtick.labelcolor": muted,
                "ytick.labelcolor": muted,
                "xtick.minor.size": 0,
                "ytick.major.size": 0,
                "ytick.minor.size": 0,
                "figure.facecolor": paper,
                "savefig.facecolor": paper,
                "font.size": 9,
                "axes.labelsize": 9,
            }
        )
        yield


def draw_all(
    results: list[Shown], styles: dict[str, Style], entropy: float
) -> dict[str, tuple[Figure, Figure | None]]:
    """Draw every plot that there are numbers for, and again for phones where that differs.

    Parameters
    ----------
    results : list of Shown
    styles : dict of str to Style
        The look of each group.
    entropy : float
        Order 0, of the samples, in bits.

    Returns
    -------
    dict
        From the plot's name to its figure, and the one for phones.
    """
    drawn: dict[str, tuple[Figure | None, Figure | None]] = {
        "ratio-and-speed": (
            _ratio_and_speed(results, styles, entropy, wide=True),
            _ratio_and_speed(results, styles, entropy, wide=False),
        ),
        "groups": (_groups(results, styles), None),
        "transforms": (_transforms(results, styles), None),
        "entropy": (_entropy(results, styles), None),
        "chunks": (_chunks(results, styles), None),
        "random-access": (_random_access(results, styles), None),
        "encode-and-decode": (_encode_and_decode(results, styles), None),
    }
    return {name: (wide, narrow) for name, (wide, narrow) in drawn.items() if wide is not None}


def _ratio_and_speed(
    results: list[Shown], styles: dict[str, Style], entropy: float, wide: bool
) -> Figure:
    figure, axes = _figure(9.6, 5.6) if wide else _figure(4.0, 5.2)
    _log_axis(axes.xaxis, (1, 2, 5) if wide else (1, 3))
    axes.set(xlabel="decode speed, MB of samples per second", ylabel="compression ratio")
    lossless = [result.ratio for result in results if result.lossless]
    # Lossy results far above the others are drawn at the upper edge.
    top = 1.08 * max(lossless or [result.ratio for result in results])
    where = {result.index: (result.decode.mb_per_s, min(result.ratio, top)) for result in results}
    front = front_of(results)
    for result in sorted(results, key=lambda result: result in front):
        speed, style = result.decode, styles[result.group]
        if result in front:
            spread = [speed.low, speed.high]
            gid = _gid(axes, result)
            axes.plot(spread, [result.ratio] * 2, color=style.light, lw=1.2, gid=gid)
        _point(axes, *where[result.index], result, styles, 7 if wide else 6)
    left, right = axes.get_xlim()
    bottom = min(0.9, axes.get_ylim()[0])
    axes.set(xlim=(left, right * (right / left) ** 0.1), ylim=(bottom, top + 0.1 * (top - bottom)))
    alone = 16 / entropy if entropy else 0
    if bottom < alone < top:
        muted = COLOURS["muted"][0]
        axes.axhline(alone, color=muted, lw=0.8, ls=(0, (1, 3)), zorder=1)
        text = f"each sample by itself: {entropy:.2f} bits of entropy" if wide else "entropy"
        place, transform = (0.004, alone), axes.get_yaxis_transform()
        axes.annotate(
            *(text, place, (0, 3)),
            xycoords=transform,
            textcoords="offset points",
            size=8,
            color=muted,
        )
    lines = [_draw_front(axes, front)]
    lines += [[(end, each.ratio) for end in (each.decode.low, each.decode.high)] for each in front]
    beyond = [result for result in results if not result.lossless]
    texts = {
        result.index: label_of(result)
        + (f", ratio {result.ratio:.2f} ↑" if result.ratio > top else "")
        for result in [*front, *beyond]
    }
    bold = {result.index for result in front if result.codec == "n1"}
    _label(figure, axes, where, texts, bold, lines, 8.5 if wide else 8)
    return figure


def _draw_front(axes: Axes, front: list[Shown]) -> list[tuple[float, float]]:
    """Draw the Pareto front as steps above a tinted region; return the corners of the steps.

    For whatever lies in that region there is a result that is both smaller and faster.
    """
    if not front:
        return []
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    corners = [(left, front[0].ratio)]
    for result, following in zip(front, [*front[1:], None], strict=True):
        speed = result.decode.mb_per_s
        corners += [(speed, result.ratio), (speed, following.ratio if following else bottom)]
    x, y = zip(*corners, strict=True)
    axes.fill_between(x, y, bottom, color=COLOURS["tint"][0], zorder=0.5, lw=0)
    axes.plot(x, y, color=COLOURS["front"][0], lw=1.1, ls=(0, (4, 2)), zorder=1.5)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    return corners


def _encode_and_decode(results: list[Shown], styles: dict[str, Style]) -> Figure:
    figure, axes = _figure(4.3, 4.2)
    _log_axis(axes.xaxis, (1, 3))
    _log_axis(axes.yaxis, (1, 3))
    axes.set(xlabel="encode, MB/s", ylabel="decode, MB/s")
    for result in results:
        _point(axes, result.encode.mb_per_s, result.decode.mb_per_s, result, styles)
    low = max(axes.get_xlim()[0], axes.get_ylim()[0])
    high = min(axes.get_xlim()[1], axes.get_ylim()[1])
    if low < high:
        axes.plot([low, high], [low, high], color=COLOURS["muted"][0], lw=0.8, ls=(0, (1, 3)))
        axes.annotate(
            "as fast to read\nas to write",
            (low, low),
            (10, 0),
            textcoords="offset points",
            size=8,
            color=COLOURS["muted"][0],
        )
    where = {each.index: (each.encode.mb_per_s, each.decode.mb_per_s) for each in results}
    texts = {each.index: label_of(each, 30) for each in best_of_groups(results)}
    _label(figure, axes, where, texts, set(), [], 8)
    return figure


def _groups(results: list[Shown], styles: dict[str, Style]) -> Figure:
    members = {group: [result for result in results if result.group == group] for group in styles}

    def best(group: str) -> float:
        lossless = [result.ratio for result in members[group] if result.lossless]
        return max(lossless, default=0)

    ordered = sorted(styles, key=best, reverse=True)
    logarithmic = _is_wide((result.ratio for result in results), 10)
    lanes = _lanes([[each.ratio for each in members[group]] for group in ordered], logarithmic)
    figure, axes, rows = _row_figure([_row_height(each) for each in lanes], "compression ratio")
    if logarithmic:
        _log_axis(axes.xaxis)
    for row, group, places in zip(rows, ordered, lanes, strict=True):
        lossless = [result for result in members[group] if result.lossless]
        text = short(group, 24)
        if lossless:
            ratios = [result.ratio for result in lossless]
            reach = _half(places) - 1
            axes.plot([min(ratios), max(ratios)], [row] * 2, color=COLOURS["line"][0], lw=4)
            axes.plot(
                [np.median(ratios)] * 2,
                [row - reach, row + reach],
                color=COLOURS["front"][0],
                lw=1.6,
            )
            text += f": best {label_of(best_of(lossless))} {max(ratios):.2f}"
        for result, lane in zip(members[group], places, strict=True):
            _point(axes, result.ratio, row + lane * _LANE, result, styles)
        _row_label(axes, row - _half(places) - 3, text)
    return figure


_MOST_ROWS = 24


def _transforms(results: list[Shown], styles: dict[str, Style]) -> Figure | None:
    """Draw, for each codec, its ratio behind each chain of transforms that it was tried behind."""
    families: dict[tuple[str, str], dict[str, Shown]] = {}
    for result in results:
        if result.lossless:
            chain, rest = split_chain(result)
            family = families.setdefault((result.codec, rest), {})
            # Of several parameters of a transform the best are drawn.
            names = names_of(chain)
            family[names] = best_of([result, *filter(None, [family.get(names)])])
    fullest: dict[str, dict[str, Shown]] = {}
    for (codec, _), family in families.items():
        before = fullest.get(codec, {})
        if _merit(family) > _merit(before):
            fullest[codec] = family
    rows = sorted(
        (family for family in fullest.values() if len(family) > 1),
        key=lambda family: -max(result.ratio for result in family.values()),
    )[:_MOST_ROWS]
    if not rows:
        return None
    counts: dict[str, int] = {}
    for family in rows:
        for chain in family:
            counts[chain] = counts.get(chain, 0) + 1
    chains = sorted(counts, key=lambda chain: (chain != "", chain != "adc", -counts[chain], chain))
    markers = dict(zip(chains, _CHAIN_MARKERS, strict=False))
    lanes = _lanes([[each.ratio for each in family.values()] for family in rows], False)
    figure, axes, middles = _row_figure(
        [_row_height(each) for each in lanes], "compression ratio", legend_lines=2
    )
    for middle, family, places in zip(middles, rows, lanes, strict=True):
        ratios = [result.ratio for result in family.values()]
        axes.plot([min(ratios), max(ratios)], [middle] * 2, color=COLOURS["line"][0], lw=3)
        for (chain, result), lane in zip(family.items(), places, strict=True):
            marker = markers.get(chain, _OTHER_CHAINS)
            _point(axes, result.ratio, middle + lane * _LANE, result, styles, 6, *marker)
        some = next(iter(family.values()))
        text = short(plain(split_chain(some)[1]), 44)
        _row_label(axes, middle - _half(places) - 3, text, color=styles[some.group].light)
    ink = COLOURS["ink"][0]
    if len(chains) > len(markers):
        markers["others"] = _OTHER_CHAINS
    for chain, (shape, filled) in markers.items():
        face = ink if filled else COLOURS["paper"][0]
        label = short(chain, 20) or "as it is"
        axes.plot([], [], shape, color=ink, mfc=face, ms=5.5, label=label)
    figure.legend(
        loc="outside upper left",
        ncols=3,
        frameon=False,
        fontsize=8.5,
        handletextpad=0.2,
        columnspacing=1.2,
    )
    return figure


def _merit(family: dict[str, Shown]) -> tuple[int, float]:
    return len(family), max((result.ratio for result in family.values()), default=0)


# Markers, and whether they are filled: of no transform, of adc, of the chains that are tried most,
# and of all others.
_CHAIN_MARKERS = (("o", False), ("o", True), ("D", True), ("^", True), ("s", True))
_OTHER_CHAINS = ("x", True)


def _entropy(results: list[Shown], styles: dict[str, Style]) -> Figure | None:
    """Draw the entropy before and after each chain of transforms, and the best codec's bits."""
    chains: dict[str, list[Shown]] = {}
    for result in results:
        if result.lossless:
            chains.setdefault(names_of(split_chain(result)[0]), []).append(result)
    rows = sorted(
        map(best_of, chains.values()),
        key=lambda result: result.bits_per_sample,
    )[:_MOST_ROWS]
    if not rows:
        return None
    figure, axes, middles = _row_figure([40] * len(rows), "bits per sample", legend_lines=1)
    ink, muted, paper = (COLOURS[role][0] for role in ("ink", "muted", "paper"))
    for row, best in zip(middles, rows, strict=True):
        before, after = best.entropy_before, best.entropy_after
        axes.plot([before, after], [row] * 2, color=COLOURS["line"][0], lw=3)
        axes.plot([after, best.bits_per_sample], [row] * 2, color=muted, lw=0.8, ls=":")
        axes.plot([before], [row], "|", color=muted, ms=9, mew=1.6)
        axes.plot([after], [row], "|", color=ink, ms=11, mew=2.4)
        _point(axes, best.bits_per_sample, row, best, styles)
        chain, rest = split_chain(best)
        text = f"{short(plain(chain), 24) or 'as it is'}: best with {short(plain(rest), 28)}"
        _row_label(axes, row - 12, text)
    for colour, width, label in ((muted, 1.6, "entropy before"), (ink, 2.4, "entropy after")):
        axes.plot([], [], "|", color=colour, ms=9, mew=width, label=label)
    axes.plot([], [], "o", color=ink, mfc=paper, ms=5.5, label="best codec")
    figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=8.5, handletextpad=0.2)
    return figure


def _chunks(results: list[Shown], styles: dict[str, Style]) -> Figure | None:
    """Draw how the ratio differs from chunk to chunk, for the front and the best of each group."""
    chosen = {result.index: result for result in front_of(results)[:6]}
    chosen |= {result.index: result for result in best_of_groups(results)}
    rows = [result for result in chosen.values() if result.chunk_ratios]
    rows.sort(key=lambda result: -float(np.median(result.chunk_ratios)))
    if not rows:
        return None
    figure, axes, middles = _row_figure([46] * len(rows), "ratio of a chunk")
    logarithmic = _is_wide((ratio for result in rows for ratio in result.chunk_ratios), 12)
    if logarithmic:
        _log_axis(axes.xaxis)
    for row, result in zip(middles, rows, strict=True):
        ratios, colour = np.array(result.chunk_ratios), styles[result.group].light
        grid, density = _density(ratios, logarithmic)
        curve = axes.fill_between(grid, row, row - _CURVE * density, color=colour, alpha=0.3, lw=0)
        curve.set_gid(_gid(axes, result))
        for ends, width in (([0, 100], 0.9), ([5, 95], 2.6)):
            reach, gid = np.percentile(ratios, ends), _gid(axes, result)
            axes.plot(reach, [row] * 2, color=colour, lw=width, gid=gid)
        _point(axes, float(np.median(ratios)), row, result, styles)
        text = f"{label_of(result)}: {ratios.min():.2f} to {ratios.max():.2f}"
        _row_label(axes, row - _CURVE - 4, text)
    return figure


_CURVE = 16.0
"""How high a curve of a row is, in points."""


def _density(values: np.ndarray, logarithmic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return a kernel density estimate of height 1: Gaussians of Silverman's bandwidth."""
    values = np.log(values) if logarithmic else values
    bandwidth = max(0.9 * values.std() * len(values) ** -0.2, 1e-3 * abs(values).max(), 1e-9)
    grid = np.linspace(values.min() - 2 * bandwidth, values.max() + 2 * bandwidth, 160)
    density = np.exp(-0.5 * ((grid[:, None] - values) / bandwidth) ** 2).sum(1)
    return np.exp(grid) if logarithmic else grid, density / density.max()


def _random_access(results: list[Shown], styles: dict[str, Style]) -> Figure | None:
    """Draw the speed of random access against the length of chunks."""
    measured = [result for result in results if result.random_access and result.lossless]
    if not measured:
        return None
    chosen = [*best_of_groups(measured), *front_of(measured)[:3]]
    chosen = list({result.index: result for result in chosen}.values())
    figure, axes = _figure(4.3, 4.2)
    _log_axis(axes.xaxis)
    _log_axis(axes.yaxis)
    axes.set(xlabel="chunk length, s", ylabel="random reading, xRT")
    ends = []
    for result in chosen:
        steps = sorted((each.chunk_seconds, each.xrt) for each in result.random_access)
        colour, gid = styles[result.group].light, _gid(axes, result)
        axes.plot(*zip(*steps, strict=True), color=colour, lw=1.3, gid=gid)
        for seconds, xrt in steps:
            _point(axes, seconds, xrt, result, styles, 5)
        ends.append((steps[-1], result))
    _label_ends(figure, axes, ends)
    lengths = {each.chunk_seconds for result in chosen for each in result.random_access}
    axes.set_xticks(sorted(lengths))
    return figure


# ---- Parts of plots -------------------------------------------------------------------------


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _lay_out(figure: Figure) -> None:
    """Fix the place of the axes, as labels are placed where they cover nothing that is drawn."""
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


_ROW_WIDTH = 275.0
"""About how wide what is drawn in rows is, in points."""


def _row_figure(
    heights: Sequence[float], xlabel: str, legend_lines: int = 0
) -> tuple[Figure, Axes, list[float]]:
    """Make a figure with a row of each of these heights, and a label above each.

    Returns
    -------
    figure : Figure
    axes : Axes
        Whose vertical axis is in points, from the top.
    middles : list of float
        Where the middle of what is drawn in each row is.
    """
    ends = list(accumulate(heights))
    figure, axes = _figure(4.3, (ends[-1] + 48 + 16 * legend_lines) / 72)
    axes.set(ylim=(ends[-1] + 4, 0), yticks=[], xlabel=xlabel)
    axes.margins(x=0.04)
    drawn = [height - _LABEL for height in heights]
    return figure, axes, [end - each / 2 for end, each in zip(ends, drawn, strict=True)]


_LABEL = 18.0
"""The height of a row's label, in points, and of the room around it."""

_LANE = 6.5
"""How far apart the lanes are, in points, on which the points of a row lie."""


def _row_height(lanes: list[int]) -> float:
    return _LABEL + 2 * _half(lanes)


def _half(lanes: list[int]) -> float:
    """Return how far points reach above, and below, the middle of their row."""
    return 6 + _LANE * max(map(abs, lanes))


def _lanes(rows: list[list[float]], logarithmic: bool) -> list[list[int]]:
    """Return on which lane of its row each value is drawn, so that no point lies on another.

    Lane 0 is the middle of the row; 1 and -1 are beside it.
    """
    rows = [[math.log(each) for each in row] if logarithmic else row for row in rows]
    least, most = min(map(min, rows)), max(map(max, rows))
    gap = 1.1 * _LANE * (most - least or 1.0) / _ROW_WIDTH
    found = []
    for row in rows:
        lanes, ends = [0] * len(row), dict[int, float]()
        for index in sorted(range(len(row)), key=row.__getitem__):
            free = (lane for lane in _outwards() if ends.get(lane, -math.inf) + gap <= row[index])
            lanes[index] = next(free)
            ends[lanes[index]] = row[index]
        found.append(lanes)
    return found


def _outwards() -> Iterator[int]:
    """Yield 0, 1, -1, 2, -2 and so on."""
    yield 0
    for far in count(1):
        yield from (far, -far)


def _row_label(axes: Axes, y: float, text: str, color: str = COLOURS["ink"][0]) -> None:
    """Write what a row is called above it."""
    axes.text(0, y, text, transform=axes.get_yaxis_transform(), size=8.5, color=color)


def _is_wide(values: Iterable[float], most: float) -> bool:
    """Return whether values lie so far apart that they want a logarithmic axis."""
    values = list(values)
    return max(values) > most * min(values)


def _log_axis(axis: XAxis | YAxis, steps: tuple[float, ...] = (1, 2, 5)) -> None:
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(LogLocator(10, steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_locator(NullLocator())


# Factors with which all markers look equally large.
_SIZES = {"P": 1.2, "X": 1.15, "*": 1.5, "p": 1.15, "^": 1.1, "v": 1.1, "D": 0.9, "h": 1.1}


def _point(
    axes: Axes,
    x: float,
    y: float,
    result: Shown,
    styles: dict[str, Style],
    size: float = 6,
    marker: str | None = None,
    filled: bool = True,
) -> None:
    """Draw a result; hollow if it is lossy."""
    style = styles[result.group]
    filled = filled and result.lossless
    axes.plot(
        [x],
        [y],
        marker or style.marker,
        ms=size * _SIZES.get(marker or style.marker, 1),
        mfc=style.light if filled else COLOURS["paper"][0],
        mec=style.light if not filled or marker == "x" else COLOURS["paper"][0],
        mew=0.7 if filled and marker != "x" else 1.5,
        clip_on=False,
        zorder=3,
        gid=_gid(axes, result, "mark"),
    )


def _gid(axes: Axes, result: Shown, kind: str = "trace") -> str:
    """Return an id, unique in its plot, for something that is drawn for a result."""
    return f"{kind}-{result.index}-{len(axes.get_children())}"


def _label(
    figure: Figure,
    axes: Axes,
    where: dict[int, tuple[float, float]],
    texts: dict[int, str],
    bold: set[int],
    lines: list[list[tuple[float, float]]],
    size: float,
) -> None:
    """Write texts beside points, where they cover nothing; those without room are left out.

    Parameters
    ----------
    where : dict of int to tuple
        Where the point of each result is, by its index.
    texts : dict of int to str
        What to write, by index, the most important first.
    bold : set of int
        Which of them to write in bold.
    lines : list of list of tuple
        Corners of lines that texts must not cover.
    """
    _lay_out(figure)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    frame = axes.get_window_extent(renderer).padded(4)
    reach = 4.5 * figure.dpi / 72
    taken = [
        Bbox.from_extents(x - reach, y - reach, x + reach, y + reach)
        for x, y in map(axes.transData.transform, where.values())
    ]
    taken += [text.get_window_extent(renderer) for text in axes.texts]
    for line in lines:
        for start, end in pairwise(map(axes.transData.transform, line)):
            steps = np.linspace(start, end, 2 + int(np.abs(end - start).max() / reach))
            taken += [Bbox.from_extents(x - 1, y - 1, x + 1, y + 1) for x, y in steps]
    farthest = 4.5 * figure.get_figwidth()
    places = [place for place in _PLACES if max(abs(place[0]), abs(place[1])) < farthest]
    for index, words in texts.items():
        for dx, dy, ha, va in places:
            text = axes.annotate(
                words,
                where[index],
                (dx, dy),
                textcoords="offset points",
                ha=ha,
                va=va,
                size=size,
                weight="bold" if index in bold else "normal",
                arrowprops=_LEADER if max(abs(dx), abs(dy)) > 12 else None,
                zorder=4,
            )
            text.update_positions(renderer)
            box = Text.get_window_extent(text, renderer)  # without the line to the point
            inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0
            if inside and box.y1 < frame.y1 and not box.count_overlaps(taken):
                taken.append(box)
                text.set_gid(f"trace-{index}-{len(taken)}")
                break
            text.remove()


_LEADER = {"arrowstyle": "-", "color": COLOURS["muted"][0], "lw": 0.6, "shrinkA": 0, "shrinkB": 3}
_PLACES = [
    *((6, 6, "left", "bottom"), (8, 0, "left", "center"), (0, 9, "center", "bottom")),
    *((-6, 6, "right", "bottom"), (-8, 0, "right", "center"), (6, -6, "left", "top")),
    *((-6, -6, "right", "top"), (0, -9, "center", "top")),
    *(
        (dx * far, dy * far, "left" if dx > 0 else "right", "bottom")
        for far in (14, 22, 32, 44)
        for dx, dy in ((0.8, 1), (0.3, 1), (1.2, 0.4), (-0.3, 1))
    ),
]


def _label_ends(
    figure: Figure, axes: Axes, ends: list[tuple[tuple[float, float], Shown]], size: float = 8
) -> None:
    """Write the names of pipelines to the right of where their lines end, none over another."""
    _lay_out(figure)
    left, right = axes.get_xlim()
    axes.set_xlim(left, right * (right / left) ** 0.75)
    to_pixels = axes.transData
    height = 1.25 * size * figure.dpi / 72
    bottom = -np.inf
    for point, result in sorted(ends, key=lambda end: end[0][1]):
        y = max(to_pixels.transform(point)[1], bottom)
        bottom = y + height
        place = point[0] * 1.12, to_pixels.inverted().transform((0, y))[1]
        axes.annotate(
            label_of(result, 30),
            point,
            place,
            va="center",
            size=size,
            arrowprops={**_LEADER, "shrinkB": 4, "relpos": (0, 0.5)},
            zorder=4,
        )


# ---- Figures as files, and in the page ------------------------------------------------------


def png_of(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    _lay_out(figure)
    file = io.BytesIO()
    figure.dpi = 200
    canvas = FigureCanvasAgg(figure)
    # Pressing harder takes longer than drawing, for a fifth less.
    canvas.print_png(  # type: ignore[no-untyped-call]
        file, metadata={"Software": None}, pil_kwargs={"compress_level": 1}
    )
    return file.getvalue()


def svg_of(figure: Figure) -> str:
    """Return a figure as an SVG file."""
    _lay_out(figure)
    file = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(file, metadata=metadata)  # type: ignore[no-untyped-call]
    return file.getvalue()


_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def for_page(
    file: str,
    name: str,
    alt: str,
    results: list[Shown],
    tips: list[str],
    styles: dict[str, Style],
) -> str:
    """Return an SVG file as an <svg> of the page, in the page's colours and font.

    Parameters
    ----------
    file : str
        What `svg_of` made.
    name : str
        Unique in the page.
    alt : str
        What it shows, in words.
    results : list of Shown
    tips : list of str
        What to tell of each result when it is pointed at.
    styles : dict of str to Style
        The look of each group.
    """
    svg = ElementTree.fromstring(file)
    variables = {light: role for role, (light, _) in COLOURS.items()}
    variables |= {style.light: style.variable for style in styles.values()}
    for parent in list(svg.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
        style = re.sub(r"font-family:[^;]*;?", "", parent.get("style", ""))
        for light, variable in variables.items():
            style = style.replace(light, f"var(--{variable})")
        if style:
            parent.set("style", style)
        _name_for_page(parent, name, results, tips)
    for key in ("width", "height", "version"):
        del svg.attrib[key]
    svg.attrib |= {"role": "img", "aria-label": alt, "class": name}
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(svg, encoding="unicode")


def _name_for_page(
    element: ElementTree.Element, name: str, results: list[Shown], tips: list[str]
) -> None:
    """Make ids unique in the page; mark what is drawn for a result, and give it its tooltip."""
    own = element.attrib.pop("id", "")
    if match := re.fullmatch(r"(mark|trace)-(\d+)-\d+", own):
        result = results[int(match[2])]
        element.set("data-group", result.group)
        if match[1] == "mark":
            element.set("data-result", match[2])
            title = ElementTree.Element(f"{{{_SVG}}}title")
            title.text = tips[result.index]
            element.insert(0, title)
    elif element.tag in (f"{{{_SVG}}}path", f"{{{_SVG}}}clipPath") and own:
        element.set("id", f"{name}-{own}")
    for key in (f"{{{_XLINK}}}href", "clip-path"):
        if value := element.get(key):
            element.set(key, value.replace("#", f"#{name}-"))


def marker_svg(style: Style) -> str:
    """Return a group's marker as a small <svg> for a legend."""
    marker = MarkerStyle(style.marker)
    outline = marker.get_path().transformed(marker.get_transform())
    outline = outline.transformed(Affine2D().scale(9, -9).translate(7, 7))
    letters = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C"}
    path = "".join(
        "Z"
        if code == Outline.CLOSEPOLY
        else letters[code] + " ".join(f"{number:.2f}" for number in numbers)
        for numbers, code in outline.iter_segments()
    )
    return (
        '<svg class="marker" viewBox="0 0 14 14" aria-hidden="true">'
        f'<path d="{path}" fill="var(--{style.variable})"/></svg>'
    )
