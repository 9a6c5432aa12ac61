"""Draws throughput over inference time, both logarithmic, as SVG."""

from collections.abc import Mapping
from html import escape
from math import ceil, floor, log10

_WIDTH, _HEIGHT, _LEFT, _TOP = 560, 320, 70, 40
_COLORS = ["#202124", "#e8710a", "#1a73e8"]


def svg(curves: Mapping[str, Mapping[float, float]], even: float | None) -> str:
    """Returns a drawing of requests per second by milliseconds, a line for each engine.

    `even` is marked: from there on one engine is as good as the other.
    """
    across = _decades([x for curve in curves.values() for x in curve])
    up = _decades([y for curve in curves.values() for y in curve.values()])

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + _WIDTH * (log10(x) - across[0]) / (across[-1] - across[0]),
            _TOP + _HEIGHT * (1 - (log10(y) - up[0]) / (up[-1] - up[0])),
        )

    parts = []
    for power in across:
        x, bottom = place(10.0**power, 10.0 ** up[0])
        parts.append(f'<path d="M{x:.1f} {_TOP}V{bottom:.1f}" stroke="#dadce0"/>')
        parts.append(_text(x, bottom + 18, f"{10.0**power:g} ms"))
    for power in up:
        _, y = place(10.0 ** across[0], 10.0**power)
        parts.append(f'<path d="M{_LEFT} {y:.1f}h{_WIDTH}" stroke="#dadce0"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{10.0**power:g}/s", "end"))
    if even is not None:
        x, _ = place(even, 10.0 ** up[0])
        parts.append(f'<path d="M{x:.1f} {_TOP}v{_HEIGHT}" stroke="#188038" stroke-dasharray="4 4"/>')
        parts.append(_text(x, _TOP - 8, f"even from {even:.2g} ms"))
    for index, (name, curve) in enumerate(curves.items()):
        color, points = _COLORS[index % len(_COLORS)], [place(*point) for point in sorted(curve.items())]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in points]
        parts.append(_text(_LEFT + 12, _TOP + _HEIGHT - 60 + 18 * index, name, "start", color))
    size = f'width="{_LEFT + _WIDTH + 30}" height="{_TOP + _HEIGHT + 40}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _decades(values: list[float]) -> list[int]:
    """Returns the powers of ten from below the least value to above the greatest."""
    low = floor(log10(min(values)))
    return list(range(low, max(low + 1, ceil(log10(max(values)))) + 1))


def _text(x: float, y: float, text: str, anchor: str = "middle", color: str = "#202124") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{escape(text)}</text>'
