"""What the example makes of what was played."""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from examples.cartpole.play import share, table, write
from examples.cartpole.plot import WINDOW, Unit, draw, means, shares

SVG = "{http://www.w3.org/2000/svg}"


def units(policies: str) -> list[Unit]:
    """A unit for each letter; `b` earns 10, all others 1."""
    return [Unit(number, policy, 5, 10.0 if policy == "b" else 1.0) for number, policy in enumerate(policies)]


def test_a_share_is_that_of_the_last_units() -> None:
    played = units("a" * WINDOW + "b" * WINDOW)
    curve = shares(played, "b")
    assert curve[WINDOW - 1] == 0
    assert curve[WINDOW + WINDOW // 2 - 1] == pytest.approx(0.5)
    assert curve[-1] == 1
    assert shares(units("ab"), "a").tolist() == [1, 0.5]


def test_a_mean_is_over_the_policys_own_units_and_begins_with_its_first() -> None:
    played = [Unit(0, "a", 1, 2.0), Unit(1, "b", 1, 9.0), Unit(2, "a", 1, 4.0)]
    assert means(played, "a").tolist() == [2, 2, 3]
    assert math.isnan(means(played, "b")[0])
    assert means(played, "b").tolist()[1:] == [9, 9]


def test_the_table_says_who_was_chosen_and_who_earned() -> None:
    played = units("a" * 60 + "b" * 90)
    assert share(played, "b") == pytest.approx(0.9)
    rows = {line.split()[0]: line.split()[1:] for line in table(played).splitlines()[1:]}
    assert rows == {"a": ["60", "10%", "1"], "b": ["90", "90%", "10"]}


def test_the_csv_has_a_line_for_each_unit(tmp_path: Path) -> None:
    write(units("ab"), tmp_path / "played.csv")
    lines = (tmp_path / "played.csv").read_text().splitlines()
    assert lines == ["episode,policy,steps,reward", "0,a,5,1.0", "1,b,5,10.0"]


@pytest.mark.parametrize("policies", ["a", "ab" * 5, "a" * 30 + "<b>" * 700])
def test_the_plot_has_both_curves_of_each_policy_inside_its_frame(policies: str, tmp_path: Path) -> None:
    draw(units(policies), tmp_path / "plot.svg", 'Shares of "<a>"')
    root = ET.parse(tmp_path / "plot.svg").getroot()  # noqa: S314 -- our own
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    curves = root.findall(f"{SVG}polyline")
    assert len(curves) == 2 * len(set(policies))
    for curve in curves:
        points = [tuple(map(float, point.split(","))) for point in curve.attrib["points"].split()]
        assert points
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
    assert 'Shares of "<a>"' in [text.text for text in root.findall(f"{SVG}text")]
