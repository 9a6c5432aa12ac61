"""Draws what part of one engine's throughput others reach, over inference time, as SVG."""

from collections.abc import Mapping
from html import escape
from math import ceil, floor, log10

_WIDTH, _HEIGHT, _LEFT, _TOP = 560, 300, 60, 40
_COLORS = ["#e8710a", "#1a73e8"]
_STEPS = 4
"""Lines below 100 %."""

Curve = Mapping[float, float]


def svg(name: str, base: Curve, others: Mapping[str, Curve], nearly: float) -> str:
    """Returns a drawing of the other engines' requests per second as parts of `base`'s, by milliseconds.

    `name` is that of `base`; the part that is `nearly` as good is marked.
    """
    across = _decades(list(base))
    greatest = max(1.0, *(curve[x] / base[x] for curve in others.values() for x in curve))

    def place(milliseconds: float, part: float) -> tuple[float, float]:
        x = (log10(milliseconds) - across[0]) / (across[-1] - across[0])
        return _LEFT + _WIDTH * x, _TOP + _HEIGHT * (1 - part / greatest)

    parts = []
    for power in across:
        x, bottom = place(10.0**power, 0)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{bottom:.1f}" stroke="#dadce0"/>')
        parts.append(_text(x, bottom + 18, f"{10.0**power:g} ms"))
    parts.append(_text(_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 38, "CPU time of one inference"))
    for step in range(_STEPS + 1):
        y = place(1.0, step / _STEPS)[1]
        parts.append(f'<path d="M{_LEFT} {y:.1f}h{_WIDTH}" stroke="#dadce0"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{step / _STEPS:.0%}", "end"))
    y = place(1.0, nearly)[1]
    parts.append(f'<path d="M{_LEFT} {y:.1f}h{_WIDTH}" stroke="#188038" stroke-dasharray="4 4"/>')
    parts.append(_text(_LEFT, _TOP - 14, f"Requests per second, as part of {name}'s; {nearly:.0%} is even", "start"))
    for index, (label, curve) in enumerate(others.items()):
        color = _COLORS[index % len(_COLORS)]
        points = [place(x, rate / base[x]) for x, rate in sorted(curve.items())]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in points]
        parts.append(_text(_LEFT + 12, _TOP + 24 + 18 * index, label, "start", color))
    size = f'width="{_LEFT + _WIDTH + 40}" height="{_TOP + _HEIGHT + 50}"'
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
