import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from policy_server.evaluation.__main__ import main
from policy_server.evaluation.estimates import Estimate, Evaluation
from policy_server.evaluation.plot import svg
from tests.unit.evaluation.writing import Line, Writer, write

Captured = pytest.CaptureFixture[str]


def run(tmp_path: Path, lines: list[Line], *options: str) -> int:
    return main(["evaluate", write(tmp_path / "log", lines), *options])


def test_the_table_has_each_policy_and_mix_by_method(tmp_path: Path, capsys: Captured) -> None:
    assert run(tmp_path, Writer().mixed(400), "--mix", "a=0.5,b=0.5") == 0
    printed = capsys.readouterr()
    assert not printed.err
    first, empty, heads, *rows = printed.out.splitlines()
    assert first == "400 units with 400 decisions"
    assert not empty
    assert heads.split() == ["method", "value", "low", "high", "units", "n_eff"]
    assert len({len(row) for row in [heads, *rows]}) == 1
    assert rows[0].startswith("as logged    mean           0.5")
    assert [row[:11].strip() for row in rows] == ["as logged", "a", "", "", "b", "", "", "a=0.5,b=0.5", "", ""]
    assert [row.split()[-6:][0] for row in rows[1:4]] == ["IPS", "SNIPS", "DR"]
    assert rows[5].split() == ["SNIPS", "0.5", *rows[5].split()[2:4], "400", "100"]


def test_json_says_the_same(tmp_path: Path, capsys: Captured) -> None:
    assert run(tmp_path, [*Writer().mixed(400), {"type": "access"}], "--output", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["units"], told["decisions"], told["leftOut"], told["warnings"]) == (400, 400, {}, [])
    assert told["lines"] == {"decisions": 400, "rewards": 400, "of other kinds": 1}
    ips, snips, _ = told["evaluations"][1]["estimates"]
    assert (ips["method"], ips["value"]) == ("IPS", pytest.approx(0.5))
    assert snips["low"] < 0.5 < snips["high"]


def test_what_is_refused_is_shown_beside_the_rest_and_the_exit_code_is_2(tmp_path: Path, capsys: Captured) -> None:
    writer = Writer({"a": 0.95, "b": 0.05})
    lines = [*writer.rewarded(190), *writer.rewarded(10, "b", 0.0), *writer.rewarded(1, reward=0.0)]
    assert run(tmp_path, lines, "--plot", str(tmp_path / "plot.svg")) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: b: the overlap is too small: 201 units tell as much as ")
    assert "b          refused" in printed.out
    assert "a          IPS" in printed.out
    assert "refused" in (tmp_path / "plot.svg").read_text()


def test_ucb1_is_refused(tmp_path: Path, capsys: Captured) -> None:
    writer = Writer()
    decisions = [writer.decision(propensity=None, propensities=None, mode="UCB1") for _ in range(100)]
    lines = [line for each in decisions for line in (each, writer.feedback(1, each))]
    assert run(tmp_path, lines) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.startswith("error: no decision in the log has a propensity, as UCB1 doesn't draw")
    assert len(printed.err.splitlines()) == 1


def test_logs_of_thompson_sampling_come_with_a_warning(tmp_path: Path, capsys: Captured) -> None:
    writer = Writer()
    assert run(tmp_path, [line | {"mode": "ThompsonSampling"} for line in writer.mixed(400)]) == 0
    assert "rather too high" in capsys.readouterr().err


def test_episodes_count_with_their_returns(tmp_path: Path, capsys: Captured) -> None:
    writer = Writer({"a": 1.0})
    lines = []
    for number in range(120):
        episode = f"e{number}"
        lines += [writer.decision(episode=episode), writer.feedback(1, episode=episode)]
        lines += [writer.decision(episode=episode), writer.feedback(1 + number % 3, episode=episode, done=True)]
    lines += [writer.decision(episode="young"), writer.feedback(50, episode="young")]
    for fold, expected in (("sum", 3.0), ("mean", 1.5), ("last", 2.0)):
        assert run(tmp_path, lines, "--episode-return", fold, "--output", "json") == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["units"], told["decisions"], told["leftOut"]) == (120, 240, {"not over yet": 1})
        assert told["evaluations"][1]["estimates"][0]["value"] == pytest.approx(expected)


def test_what_has_no_reward_is_left_out_and_told_or_gets_the_default(tmp_path: Path, capsys: Captured) -> None:
    writer = Writer({"a": 1.0})
    lines = [*(writer.decision() for _ in range(100)), *writer.rewarded(100)]
    assert run(tmp_path, lines, "--wait", "60") == 0
    printed = capsys.readouterr()
    assert "100 left out: without a reward" in printed.out
    assert "give --default-reward" in printed.err
    assert run(tmp_path, lines, "--wait", "60", "--default-reward", "0", "--output", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["evaluations"][0]["estimates"][0]["value"] == 0.5
    assert not told["warnings"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--mix", "a=0.5"], "write the policies' shares, which sum to 1, as in a=0.5,b=0.5"),
        (["--mix", "a=0.5,a=0.5"], "write the policies' shares"),
        (["--mix", "a=-1,b=2"], "write the policies' shares"),
        (["--mix", "a=nan,b=1"], "write the policies' shares"),
        (["--mix", "half"], "write the policies' shares"),
        (["--mix", "a=0.5,c=0.5"], "--mix a=0.5,c=0.5: the log knows a, b, and not c"),
        (["--plot", "plot.png"], "--plot plot.png: the plot is an SVG: name it so, plot.svg"),
        (["--plot", "/nowhere/plot.svg"], "--plot /nowhere/plot.svg: No such file or directory"),
        (["--default-reward", "nan"], "--default-reward"),
        (["--least-propensity", "0"], "--least-propensity"),
        (["--policyserver", "cat"], "the decisions are of mouse: name one of them with --policyserver"),
    ],
)
def test_bad_input_ends_in_a_line_that_names_the_remedy(
    options: list[str], problem: str, tmp_path: Path, capsys: Captured
) -> None:
    assert run(tmp_path, Writer().mixed(400), *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert problem in line


def test_control_characters_of_a_log_do_not_reach_the_terminal(tmp_path: Path, capsys: Captured) -> None:
    assert run(tmp_path, [Writer().decision(policyserver=name) for name in ("\x1b[2J", "b")]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_the_plot_has_a_line_and_a_dot_for_each_estimate_in_its_place(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "plot.svg"
    assert run(tmp_path, Writer().mixed(400), "--plot", str(file), "--output", "json") == 0
    told = json.loads(capsys.readouterr().out)
    estimates = [estimate for each in told["evaluations"] for estimate in each["estimates"]]
    drawing = ET.parse(file)  # noqa: S314 -- written by us
    groups = drawing.findall(".//{*}g")
    assert len(groups) == len(estimates) == 7
    dots = [float(group.find("{*}circle").get("cx")) for group in groups]  # type: ignore[union-attr, arg-type]
    ends = [float(group.find("{*}line").get("x1")) for group in groups]  # type: ignore[union-attr, arg-type]
    pairs = list(zip(dots + ends, [each[key] for key in ("value", "low") for each in estimates], strict=True))
    (x0, v0), (x1, v1) = min(pairs), max(pairs)
    for x, number in pairs:
        assert x == pytest.approx(x0 + (number - v0) / (v1 - v0) * (x1 - x0), abs=0.2)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (5.0, 5.0), (0.0, 0.0), (-1e9, 1e-9), (1e-6, 2e-6)])
def test_the_plot_stands_any_range_and_any_name(low: float, high: float) -> None:
    name = "<a&b>" * 10
    drawing = ET.fromstring(svg([Evaluation(name, {}, 1, 1, (Estimate("IPS", low, low, high),))]))  # noqa: S314
    width = float(drawing.get("width", 0))
    assert all(0 <= float(text.get("x", -1)) <= width for text in drawing.iter("{http://www.w3.org/2000/svg}text"))
    assert name in [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
