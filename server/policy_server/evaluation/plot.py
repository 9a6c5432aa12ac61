"""Draws values with their intervals, as SVG, which needs no library."""

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10
from xml.sax.saxutils import escape

from policy_server.evaluation.estimates import Evaluation

_COLORS = {"mean": "#202124", "IPS": "#9aa0a6", "SNIPS": "#e8710a", "DR": "#1a73e8"}
_ROW, _TOP, _WIDTH, _MARGIN = 18, 40, 560, 24
_LETTER = 7.2
"""Pixels that a letter takes at most."""
_TICKS = 6


def svg(evaluations: Sequence[Evaluation]) -> str:
    """Returns a drawing: for each policy and mix a line from low to high by method, and a dot for the value.

    Raises:
        ValueError: there is no estimate.
    """
    estimates = [estimate for each in evaluations for estimate in each.estimates]
    low, high = min(each.low for each in estimates), max(each.high for each in estimates)
    ticks = _ticks(low, high)
    left = _MARGIN + _LETTER * max(len(each.name) for each in evaluations)
    scale = _WIDTH / (ticks[-1] - ticks[0])

    def x(value: float) -> float:
        return left + (value - ticks[0]) * scale

    rows, y = [], float(_TOP)
    for each in evaluations:
        middle = y + _ROW * max(1, len(each.estimates)) / 2
        rows.append(_text(left - 8, middle + 4, each.name, "end"))
        if each.refused:
            rows.append(_text(left + 8, middle + 4, "refused: the log can't tell", fill="#9aa0a6"))
        for place, estimate in enumerate(each.estimates):
            at, color = y + _ROW * (place + 0.5), _COLORS[estimate.method]
            told = f"{each.name}, {estimate.method}: {estimate.value:.6g} ({estimate.low:.6g} to {estimate.high:.6g})"
            rows.append(
                f'<g stroke="{color}" fill="{color}"><title>{escape(told)}</title>'
                f'<line x1="{x(estimate.low):.1f}" x2="{x(estimate.high):.1f}" y1="{at:.1f}" y2="{at:.1f}"'
                f' stroke-width="2"/><circle cx="{x(estimate.value):.1f}" cy="{at:.1f}" r="3.5"/></g>'
            )
        y += _ROW * max(1, len(each.estimates)) + _ROW / 2
    grid = [
        f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{_TOP - 6}" y2="{y:.1f}" stroke="#e8eaed"/>'
        + _text(x(tick), y + 16, f"{tick:.6g}", "middle")
        for tick in ticks
    ]
    width, height = left + _WIDTH + _MARGIN, y + 28
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
        f' height="{height:.0f}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join([*grid, *_legend(left), *rows]) + "\n</svg>\n"
    )


def _legend(left: float) -> Iterator[str]:
    yield _text(left, 18, "value with 95 % interval:")
    for place, (method, color) in enumerate(_COLORS.items()):
        yield _text(left + 160 + 64 * place, 18, method, fill=color)


def _text(x: float, y: float, text: str, anchor: str = "start", fill: str = "#202124") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'


def _ticks(low: float, high: float) -> list[float]:
    """Returns round numbers from below `low` to above `high`, in steps of 1, 2 or 5 times a power of ten."""
    span = high - low or abs(high) or 1.0
    power = 10 ** floor(log10(span / _TICKS))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * _TICKS >= span)
    first, last = floor(low / step), ceil(high / step)
    return [number * step for number in range(first, max(last, first + 1) + 1)]
