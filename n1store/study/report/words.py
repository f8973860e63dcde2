"""The sentences and tables of a report, all of which follow from the results."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

from n1store.study.results import DataFacts, Environment, Speed
from n1store.study.shown import (
    Shown,
    best_of,
    front_of,
    label_of,
    plain,
    short,
    split_chain,
    stage_name,
    stages,
)


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what it is sorted by, and what it shows."""

    value: str | float
    text: str
    small: str = ""
    numeric: bool = True


def speed(value: float) -> str:
    """Return MB/s or xRT in three digits."""
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def size(count: float) -> str:
    """Return a number of bytes."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 999.5 or unit == "TB":
            return f"{count:.3g} {unit}" if count < 999.5 else f"{count:,.0f} {unit}"
        count /= 1000
    raise AssertionError


def tip(result: Shown) -> str:
    """Return the tooltip of a result, a line for each thing to know."""
    lines = [
        short(result.pipeline),
        f"{result.group}, {'lossless' if result.lossless else 'lossy'}",
        f"ratio {result.ratio:.3f}, {result.bits_per_sample:.2f} bits per sample",
    ]
    for what, measured in (("encode", result.encode), ("decode", result.decode)):
        spread = _spread(measured, result.repeats)
        lines.append(f"{what} {speed(measured.mb_per_s)} MB/s" + (f" ({spread})" if spread else ""))
    return "\n".join([*lines, *([loss(result)] if not result.lossless else [])])


def loss(result: Shown) -> str:
    """Return how far the samples of a lossy result are from the original ones."""
    error = result.error
    if error is None:
        return "lossy; its error was not measured"
    return f"lossy: error {error.rmse:,.4g} (RMS), at most {error.max:,.4g}, " + (
        "no SNR" if error.snr_db is None else f"SNR {error.snr_db:.1f} dB"
    )


@dataclass(frozen=True)
class Headline:
    """A result that is best in some respect: in which, by which value, and what to know beside."""

    what: str
    value: str
    result: Shown
    beside: str


def headlines(results: list[Shown]) -> list[Headline]:
    """Return the best lossless result in each of a few respects."""
    lossless = [result for result in results if result.lossless]
    if not lossless:
        return []
    best = best_of(lossless)
    # Codecs that hardly compress are the fastest, and of no use.
    enough = best.ratio / 2
    small = [result for result in lossless if result.ratio >= enough]
    reads = max(small, key=lambda result: result.decode.mb_per_s)
    writes = max(small, key=lambda result: result.encode.mb_per_s)
    found = [
        Headline(
            "smallest",
            f"{best.ratio:.2f}",
            best,
            f"decodes at {speed(best.decode.mb_per_s)} MB/s",
        )
    ]
    for what, fastest, measured in (
        ("read", reads, reads.decode),
        ("write", writes, writes.encode),
    ):
        found.append(
            Headline(
                f"fastest to {what}, ratio ≥ {enough:.2f}",
                f"{speed(measured.mb_per_s)} MB/s",
                fastest,
                f"ratio {fastest.ratio:.2f}",
            )
        )
    with_chunks = [result for result in lossless if result.chunk_ratios]
    if with_chunks:
        even = max(with_chunks, key=lambda result: min(result.chunk_ratios))
        worst = f"{min(even.chunk_ratios):.2f}"
        found.append(Headline("best worst chunk", worst, even, f"ratio {even.ratio:.2f}"))
    return found


def group_words(group: str, results: list[Shown], data: DataFacts, noise: float) -> list[str]:
    """Return what a group's results mean for neural data, a paragraph each.

    Parameters
    ----------
    group : str
    results : list of Shown
        Of all groups.
    data : DataFacts
    noise : float
        How far repeated measurements of a speed lie apart, relative to it. Speeds that differ by
        less are said to be the same.
    """
    members = [result for result in results if result.group == group]
    lossless = [result for result in members if result.lossless]
    everywhere = [result for result in results if result.lossless]
    paragraphs = []
    if lossless:
        best = best_of(lossless)
        paragraphs = [
            f"{_standing(best, len(lossless), everywhere)} {_beside_entropy(best)}",
            _effects(lossless, everywhere),
            _speeds(best, lossless, everywhere, data, noise),
        ]
    paragraphs += [
        f"{label_of(result)} reaches ratio {result.ratio:.2f}; {loss(result)}."
        for result in members
        if not result.lossless
    ]
    return [paragraph for paragraph in paragraphs if paragraph]


def _standing(best: Shown, count: int, everywhere: list[Shown]) -> str:
    """Say which pipeline of a group is smallest, and compare it with n1.

    The group of n1 is compared with the smallest pipeline of another group.
    """
    text = (
        f"{'Smallest is' if count > 1 else 'The only one is'} {label_of(best)}: ratio "
        f"{best.ratio:.2f}, {best.bits_per_sample:.2f} bits per sample"
    )
    n1 = [result for result in everywhere if result.codec == "n1"]
    target = best_of(n1 or everywhere)
    if target is not best:
        return f"{text}, {_size_beside(best, target)}."
    others = [result for result in everywhere if result.group != best.group]
    if not others:
        return f"{text}."
    rival = best_of(others)
    return f"{text}. Smallest in another group is {label_of(rival)}, {_size_beside(rival, best)}."


def _size_beside(result: Shown, other: Shown) -> str:
    change = other.ratio / result.ratio - 1
    if abs(change) < 0.0005:
        return f"as small as {label_of(other)}"
    if change > 1:
        return f"{change + 1:.1f} times the size of {label_of(other)}"
    return f"{abs(change):.1%} {'larger' if change > 0 else 'smaller'} than {label_of(other)}"


def _beside_entropy(best: Shown) -> str:
    """Compare the bits per sample of a pipeline with the order-0 entropy of what its codec gets."""
    bits, entropy = best.bits_per_sample, best.entropy_after
    if not entropy:
        return ""
    given = f"{entropy:.2f} bits of entropy that each sample has by itself where it is given to it"
    if bits < 0.99 * entropy:
        beside = (
            f"{1 - bits / entropy:.0%} below the {given}: it makes use of the samples around each"
        )
    elif bits <= 1.02 * entropy:
        beside = f"at the {given}: about what the best code for one sample at a time takes"
    else:
        beside = (
            f"{bits / entropy - 1:.0%} above the {given}: the best code for one sample at a time, "
            "its table not counted, would be smaller"
        )
    return f"{label_of(best)} is {beside}."


def _effects(members: list[Shown], everywhere: list[Shown]) -> str:
    """Say by how much each transform changes the ratio of pipelines that were tried without it."""
    by_spec = {result.pipeline: result for result in everywhere}
    names = dict.fromkeys(
        ["adc", *(stage_name(each) for result in members for each in result.transforms)]
    )
    effects = []
    for name in names:
        changes = []
        for result in members:
            chain, rest = split_chain(result)
            left = [each for each in stages(chain) if stage_name(each) != name]
            other = by_spec.get("+".join([*left, rest]))
            if other is not None and other is not result:
                changes.append((result.ratio / other.ratio - 1, result))
        if changes:
            effects.append(_effect(name, changes))
    if not effects:
        return ""
    return f"Ratios with and without transforms: {'; '.join(effects)}."


def _effect(name: str, changes: list[tuple[float, Shown]]) -> str:
    changes.sort(key=lambda change: (change[0], change[1].index))
    (least, worst), (most, best) = changes[0], changes[-1]
    text = f"{name} {_percent(median(change for change, _ in changes))}"
    if len(changes) == 1:
        return f"{text} ({_codec_label(best)})"
    called = label_of if _codec_label(worst) == _codec_label(best) else _codec_label
    return f"{text} ({called(worst)} {_percent(least)}, {called(best)} {_percent(most)})"


def _codec_label(result: Shown) -> str:
    """Return what a pipeline's codec is called, without the transforms in front of it."""
    return short(plain(split_chain(result)[1]), 34)


def _percent(change: float) -> str:
    """Return a change with its sign, and a real minus."""
    return f"{change:+.0%}".replace("-", "\N{MINUS SIGN}") if abs(change) >= 0.005 else "0%"


def _speeds(
    best: Shown,
    members: list[Shown],
    everywhere: list[Shown],
    data: DataFacts,
    noise: float,
) -> str:
    """Say how fast a group is, and how many channels its smallest pipeline encodes in real time."""
    channels = best.encode.mb_per_s * 1e6 / (2 * data.sampling_frequency)
    count = f"{channels:,.0f} channels" if channels >= 1.5 else f"{channels:.2g} of a channel"
    text = (
        f"On one core {label_of(best)} keeps up with {count} as they are recorded, and decodes "
        f"{speed(best.decode.mb_per_s)} MB/s"
    )
    n1 = [result for result in everywhere if result.codec == "n1"]
    if n1 and best.codec != "n1":
        text += f", {_speed_beside(best, best_of(n1), noise)}"
    fastest = max(members, key=lambda result: result.decode.mb_per_s)
    if fastest is not best:
        text += (
            f"; the fastest to read, {label_of(fastest)}, does "
            f"{speed(fastest.decode.mb_per_s)} MB/s at ratio {fastest.ratio:.2f}"
        )
    front = {result.index for result in front_of(everywhere)}
    on_front = sum(result.index in front for result in members)
    if len(members) == 1:
        return f"{text}. It is {'' if on_front else 'not '}on the front."
    return f"{text}. {on_front or 'None'} of {len(members)} on the front."


def _speed_beside(result: Shown, other: Shown, noise: float) -> str:
    factor = result.decode.mb_per_s / other.decode.mb_per_s
    if abs(factor - 1) <= noise:
        return f"as fast as {label_of(other)} within the spread"
    if 0.95 < factor < 1.05:
        return f"about as fast as {label_of(other)}"
    if factor < 1:
        return f"which takes {1 / factor:.2g} times as long as {label_of(other)}"
    return f"{factor:.2g} times as fast as {label_of(other)}"


def summary(data: DataFacts, results: list[Shown]) -> str:
    """Return what was compared on what, in a few sentences."""
    lossy = sum(not result.lossless for result in results)
    # If recordings differ, the data has the most channels and the highest rate of all.
    rate = data.sampling_frequency
    alike = math.isclose(data.samples / data.duration_s, rate * data.channels, rel_tol=0.01)
    to = "" if alike else "up to "
    channels = f"{to}{data.channels:,} channel{'s' * (data.channels != 1)}"
    text = (
        f"{len(results) - lossy} lossless pipeline{'s' * (len(results) - lossy != 1)}"
        + (f" and {lossy} lossy" if lossy else "")
        + f" on {data.files:,} recording{'s' * (data.files != 1)} of {channels} at "
        f"{to}{rate:,.10g} Hz: {_duration(data.duration_s)}, {size(data.raw_bytes)}, "
    )
    if data.chunks < data.chunks_of:
        text += f"in {_chunks(data)}, chosen at random, of {data.chunk_seconds:.3g} s."
    elif data.whole_recordings:
        text += "each recording as one chunk."
    else:
        text += f"in chunks of {data.chunk_seconds:.3g} s."
    lossless = [result for result in results if result.lossless]
    if lossless:
        best = best_of(lossless)
        samples = rate * 1000 * 3600
        text += (
            f" An hour of 1,000 channels at {'this' if alike else 'the highest'} rate, "
            f"{size(2 * samples)}, would take "
            f"{size(samples * best.bits_per_sample / 8)} with {label_of(best)}."
        )
    if data.lossy:
        text += (
            " There are samples not as recorded, but as lossy codecs had left them: "
            f"{', '.join(map(short, data.lossy))}."
        )
    return text


def _chunks(data: DataFacts) -> str:
    return f"{data.chunks:,} of {data.chunks_of:,} chunk{'s' * (data.chunks_of != 1)}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 5400 else f"{seconds / 3600:.3g} h"


def measured_once(results: list[Shown]) -> bool:
    """Return whether all speeds were measured once, so that it is not known how far they spread."""
    return all(result.repeats == 1 for result in results)


def describe(name: str, results: list[Shown], noise: float) -> tuple[str, str, str]:
    """Return a plot's title, its caption, and the text for those who cannot see it."""
    lossless = [result for result in results if result.lossless]
    front = front_of(results)
    title, caption = _TITLES[name]
    alt = f"{title}. {caption}"
    if name == "ratio-and-speed":
        if not measured_once(results):
            caption += f" Repeats of a measurement spread by {noise:.1%} (median)."
        if len(lossless) < len(results):
            caption += " Hollow points are lossy, and no part of the front."
        alt += " On the front: " + "; ".join(
            f"{label_of(result)}, ratio {result.ratio:.2f} at {speed(result.decode.mb_per_s)} MB/s"
            for result in front
        )
    elif name == "groups":
        by_group: dict[str, list[Shown]] = {}
        for result in lossless:
            by_group.setdefault(result.group, []).append(result)
        alt += " " + "; ".join(
            f"{group}: best {max(each.ratio for each in members):.2f}, "
            f"median {median(each.ratio for each in members):.2f}, "
            f"least {min(each.ratio for each in members):.2f}"
            for group, members in by_group.items()
        )
    return title, caption, f"{alt} The table of all results has the numbers."


_TITLES = {
    "ratio-and-speed": (
        "Ratio against decode speed",
        "Up is smaller, right is faster to read. The dashed line is the front: nothing lossless "
        "was both smaller and faster.",
    ),
    "groups": (
        "Ratio by group",
        "Every pipeline of a group on one line; the bar reaches from the least to the best "
        "lossless ratio, the tick is the median.",
    ),
    "transforms": (
        "What stands in front of a codec",
        "The ratio of the same codec behind different transforms.",
    ),
    "entropy": (
        "Entropy before and after transforms",
        "Bits of entropy of single samples, before and after the transforms, and what the best "
        "codec behind them stored. Left of the bold tick, a codec made use of the samples around "
        "each.",
    ),
    "chunks": (
        "Ratio of each chunk",
        "How the ratio spreads over the chunks, for the best of each group and for the front; the "
        "thick line holds nine chunks of ten, the point is the median.",
    ),
    "encode-and-decode": (
        "Encode against decode speed",
        "Right is faster to write, up is faster to read. The best ratio of each group is named.",
    ),
    "random-access": (
        "Random reading against chunk length",
        "Seconds of recording per CPU second when windows of 1 s, or all of what is shorter, are "
        "read at random places: short chunks are begun more often, of long ones more is decoded "
        "than is wanted.",
    ),
}


def method(
    machine: Environment, data: DataFacts, results: list[Shown], noise: float
) -> list[tuple[str, str]]:
    """Return how the numbers were measured and what they mean, as pairs of a term and a text."""
    repeats = [result.repeats for result in results]
    return [
        ("machine", f"{machine.cpu}, {machine.cores} cores, {machine.machine}"),
        ("date", machine.date),
        ("n1store", f"{machine.n1store}, Python {machine.python}"),
        ("libraries", ", ".join(f"{name} {each}" for name, each in machine.libraries.items())),
        (
            "recordings",
            f"{data.files:,} file{'s' * (data.files != 1)}; {_chunks(data)}, of up to "
            f"{data.chunk_samples:,} samples: {data.samples:,} samples, "
            f"{data.raw_bytes:,} bytes",
        ),
        (
            "their entropy",
            f"{data.entropy:.2f} bits a sample taken alone, {data.entropy_adc:.2f} after adc",
        ),
        (
            "repeats",
            "1: how far speeds spread is not known"
            if measured_once(results)
            else f"{' to '.join(map(str, sorted({min(repeats), max(repeats)})))}; speeds are "
            f"medians, and spread by {noise:.1%} (median over all)",
        ),
        ("ratio", "bytes of the samples, 16 bits each, divided by bytes stored"),
        ("MB/s", "10⁶ bytes of samples per CPU second, on one core"),
        ("xRT", "seconds of recording, all its channels, per CPU second on one core"),
        ("memory", "by how much a process grows that encodes or decodes the largest chunk"),
        (
            "front",
            "the lossless pipelines that save a hundredth or more and of which no other is both "
            "smaller and faster to read",
        ),
    ]


def table(results: list[Shown]) -> tuple[list[tuple[str, bool]], list[tuple[Shown, list[Cell]]]]:
    """Return the table of all results.

    Returns
    -------
    columns : list of (str, bool)
        Each heading, and whether numbers are below it.
    rows : list of (Shown, list of Cell)
        A result and its cells but the first, which is its name: the lossless ones first, and of
        these the ones with the highest ratio.
    """
    columns = [("pipeline", False)]
    rows = []
    for result in sorted(results, key=lambda result: (not result.lossless, -result.ratio)):
        memory = result.peak_memory_bytes
        worst = min(result.chunk_ratios, default=None)
        cells = {
            "ratio": Cell(result.ratio, f"{result.ratio:.3f}"),
            "bits per sample": Cell(result.bits_per_sample, f"{result.bits_per_sample:.3f}"),
            "decode MB/s": _speed_cell(result.decode, result.repeats),
            "encode MB/s": _speed_cell(result.encode, result.repeats),
            "decode xRT": Cell(result.decode.xrt, speed(result.decode.xrt)),
            "encode xRT": Cell(result.encode.xrt, speed(result.encode.xrt)),
            "worst chunk": Cell("" if worst is None else worst, f"{worst:.3f}" if worst else ""),
            "decode memory": Cell(memory.decode, size(memory.decode)),
            "encode memory": Cell(memory.encode, size(memory.encode)),
            "entropy after": Cell(result.entropy_after, f"{result.entropy_after:.3f}"),
            "bytes": Cell(result.payload_bytes, f"{result.payload_bytes:,}"),
            "group": Cell(result.group, result.group, numeric=False),
            "loss": Cell("none", "lossless", numeric=False)
            if result.lossless
            else Cell("lossy", loss(result), numeric=False),
        }
        rows.append((result, list(cells.values())))
        columns[1:] = [(name, cell.numeric) for name, cell in cells.items()]
    return columns, rows


def _speed_cell(measured: Speed, repeats: int) -> Cell:
    return Cell(measured.mb_per_s, speed(measured.mb_per_s), _spread(measured, repeats))


def _spread(measured: Speed, repeats: int) -> str:
    """Return the lowest and the highest speed of all rounds; nothing if there was one round."""
    return f"{speed(measured.low)} to {speed(measured.high)}" if repeats > 1 else ""
