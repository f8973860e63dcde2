"""A report of a comparison: one page that needs nothing else, and its plots as files beside it."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from n1store.errors import N1StoreError
from n1store.system.atomic import replacing

try:
    import jinja2
    import matplotlib  # noqa: F401
    from markupsafe import Markup
except ImportError as error:
    raise N1StoreError(
        f"a report needs {error.name}, which is not installed: pip install jinja2 matplotlib"
    ) from error

from n1store.study.report import plots, words
from n1store.study.results import Comparison, load_results
from n1store.study.shown import Shown, advice, front_of, short

_HERE = Path(__file__).parent


@dataclass
class Report:
    """What was written.

    Attributes
    ----------
    page : Path
        The page.
    plots : list of Path
        Each plot as PNG and as SVG.
    results : int
        Pipelines that are in it.
    """

    page: Path
    plots: list[Path]
    results: int

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {**vars(self), "page": str(self.page), "plots": [str(plot) for plot in self.plots]}


def write_report(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> Report:
    """Write a report of a comparison as a page for a browser, with its plots beside it.

    The same results give the same bytes.

    Parameters
    ----------
    source : path-like
        What ``n1store compare`` wrote: its folder, or the results.json in it.
    destination : path-like
        The page, which ends in .html and appears when it is complete. The plots of ``x.html``
        go to the folder ``x_files``, as PNG and SVG.
    overwrite : bool
        Whether to replace both where they exist.

    Returns
    -------
    Report

    Raises
    ------
    N1StoreError
        If the results are not there, not complete or not of the right format, `destination`
        exists or does not end in .html.
    """
    source, destination = Path(source), Path(destination)
    if destination.suffix != ".html":
        raise N1StoreError(f"{destination}: a report's name ends in .html")
    comparison = load_results(source)
    results = [
        Shown(**vars(result), index=index) for index, result in enumerate(comparison.results)
    ]
    folder = destination.with_name(f"{destination.stem}_files")
    _check_replaceable(folder)
    with (
        replacing(destination, overwrite=overwrite) as page,
        replacing(folder, overwrite=overwrite, folder=True) as plot_folder,
        plots.drawing(),
    ):
        styles = plots.group_styles(result.group for result in results)
        figures = plots.draw_all(results, styles, comparison.data.entropy)
        drawn: dict[str, tuple[str, str | None]] = {}
        for name, (wide, narrow) in figures.items():
            drawn[name] = plots.svg_of(wide), plots.svg_of(narrow) if narrow else None
            (plot_folder / f"{name}.svg").write_text(drawn[name][0], encoding="utf-8")
            (plot_folder / f"{name}.png").write_bytes(plots.png_of(wide))
        page.write_text(_page(comparison, results, styles, drawn), encoding="utf-8")
    files = [folder / f"{name}{suffix}" for name in figures for suffix in _SUFFIXES]
    return Report(destination, files, len(results))


_SUFFIXES = (".png", ".svg")


def _check_replaceable(folder: Path) -> None:
    """Raise an N1StoreError if a folder of plots holds anything else."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.suffix not in _SUFFIXES:
                raise N1StoreError(
                    f"{path}: no plot, and the plots are to replace all in its folder; move it away"
                )


def _breakable(pipeline: str) -> Markup:
    """Return a pipeline's string, in which a line may break after a stage or parameter."""
    return Markup("<wbr>").join(re.split("(?<=[+:,])", short(pipeline)))


def _page(
    comparison: Comparison,
    results: list[Shown],
    styles: dict[str, plots.Style],
    svgs: dict[str, tuple[str, str | None]],
) -> str:
    """Return the page, as HTML, with the plots that were drawn for wide screens and for phones."""
    data, noise = comparison.data, comparison.noise
    tips = [words.tip(result) for result in results]

    def inline(svg: str | None, name: str, alt: str) -> Markup | None:
        if svg is None:
            return None
        return Markup(plots.for_page(svg, name, alt, results, tips, styles))

    figures = []
    for name, (wide, narrow) in svgs.items():
        title, caption, alt = words.describe(name, results, noise)
        figures.append(
            {
                "name": name,
                "title": title,
                "caption": caption,
                "wide": inline(wide, name, alt),
                "narrow": inline(narrow, f"{name}-narrow", alt),
            }
        )
    columns, rows = words.table(results)
    script = (_HERE / "script.js").read_text(encoding="utf-8")
    # The page may run this script and nothing else, whatever its texts hold.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"breakable": _breakable, "speed": words.speed}
    return environment.get_template("template.html").render(
        results=results,
        summary=words.summary(data, results),
        advice=advice(results, noise),
        tiles=words.headlines(results),
        styles=styles,
        colours=[
            *((role, *pair) for role, pair in plots.COLOURS.items()),
            *((style.variable, style.light, style.dark) for style in styles.values()),
        ],
        markers={group: Markup(plots.marker_svg(style)) for group, style in styles.items()},
        figures=figures,
        front=front_of(results),
        groups={group: words.group_words(group, results, data, noise) for group in styles},
        columns=columns,
        lossy=any(not result.lossless for result in results),
        rows=rows,
        measured_once=words.measured_once(results),
        failed=comparison.failed,
        missing=comparison.missing,
        method=words.method(comparison.measured_with, data, results, noise),
        script=Markup(script),
        script_hash=digest,
    )
