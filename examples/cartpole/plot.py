"""Draws which policies a router chose, and what they earned, as SVG."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WINDOW = 50
"""Over how many of the last units a share is taken."""
_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 640, 180, 60, 50, 50
_COLORS = ["#9aa0a6", "#e8710a", "#1a73e8", "#188038", "#a142f4", "#d93025"]
_MOST_POINTS = 400


class Unit(NamedTuple):
    """What a router decides once, and learns from once: an episode, or in Seldon's protocol a step.

    Attributes:
        episode: its number.
        policy: what was chosen.
        steps: how many there were.
        reward: what it was worth.
    """

    episode: int
    policy: str
    steps: int
    reward: float


def shares(units: Sequence[Unit], policy: str) -> NDArray[np.float64]:
    """Returns the part of the last `WINDOW` units that a policy had, after each unit."""
    chosen = np.cumsum([0, *(unit.policy == policy for unit in units)])
    ends = np.arange(1, len(chosen))
    starts = np.maximum(ends - WINDOW, 0)
    part: NDArray[np.float64] = (chosen[ends] - chosen[starts]) / (ends - starts)
    return part


def means(units: Sequence[Unit], policy: str) -> NDArray[np.float64]:
    """Returns a policy's mean reward so far, after each unit; NaN before its first."""
    chosen = np.array([unit.policy == policy for unit in units])
    earned = np.cumsum(np.where(chosen, [unit.reward for unit in units], 0.0))
    count = np.cumsum(chosen)
    mean: NDArray[np.float64] = np.where(count > 0, earned / np.maximum(count, 1), np.nan)
    return mean


def draw(units: Sequence[Unit], image: Path, title: str) -> None:
    """Writes both curves of each policy, one above the other."""
    policies = sorted({unit.policy for unit in units})
    highest = max(1.0, *(unit.reward for unit in units))
    panels = [
        (f"share of the last {WINDOW}", [shares(units, policy) for policy in policies], 1.0),
        ("mean reward so far", [means(units, policy) for policy in policies], highest),
    ]
    parts = [f'<text x="{_LEFT}" y="20" font-size="15">{escape(title)}</text>']
    for index, policy in enumerate(policies):
        x = _LEFT + index * 130
        parts.append(f'<rect x="{x}" y="30" width="12" height="4" fill="{_color(index)}"/>')
        parts.append(f'<text x="{x + 18}" y="36">{escape(policy)}</text>')
    for number, (name, curves, greatest) in enumerate(panels):
        parts += _panel(name, curves, greatest, _TOP + number * (_HEIGHT + _GAP), len(units))
    size = f"{_LEFT + _WIDTH + 20} {_TOP + 2 * (_HEIGHT + _GAP)}"
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-family="sans-serif" font-size="12">'
    white = '<rect width="100%" height="100%" fill="white"/>'
    image.write_text("\n".join([start, white, *parts, "</svg>\n"]))


def _panel(name: str, curves: Sequence[NDArray[np.float64]], greatest: float, top: int, units: int) -> list[str]:
    bottom = top + _HEIGHT
    parts = [f'<text x="{_LEFT}" y="{bottom + 16}">{escape(name)}</text>']
    parts.append(f'<text x="{_LEFT + _WIDTH}" y="{bottom + 16}" text-anchor="end">{units}</text>')
    for part in (0, 0.5, 1):
        y = bottom - part * _HEIGHT
        parts.append(f'<path d="M{_LEFT} {y:.1f}h{_WIDTH}" stroke="#dadce0"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{part * greatest:g}</text>')
    shown = np.unique(np.linspace(0, units - 1, min(units, _MOST_POINTS)).astype(int))
    for index, curve in enumerate(curves):
        points = [
            f"{_LEFT + (at + 1) / units * _WIDTH:.1f},{bottom - curve[at] / greatest * _HEIGHT:.1f}"
            for at in shown
            if np.isfinite(curve[at])
        ]
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{_color(index)}" stroke-width="2"/>')
    return parts


def _color(index: int) -> str:
    return _COLORS[index % len(_COLORS)]
