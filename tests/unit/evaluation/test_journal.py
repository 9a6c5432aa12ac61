import gzip
import io
import json
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from policy_server.evaluation import journal
from policy_server.evaluation.episodes import Episode, EpisodeReturn, ended, episodes
from policy_server.evaluation.errors import EvaluationRefused
from policy_server.evaluation.journal import Journal, read
from policy_server.evaluation.units import units
from tests.unit.evaluation.writing import Line, Writer, write


def found(*lines: Line) -> list[Episode]:
    return episodes(_read(lines), Counter())


def _read(lines: tuple[Line, ...] | list[Line]) -> Journal:
    # Through a pipe's worth of bytes, as everything is read.
    told = io.TextIOWrapper(io.BytesIO("".join(json.dumps(line) + "\n" for line in lines).encode()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", told)
        return read(["-"])


def test_rotated_and_compressed_files_say_the_same_in_any_order(tmp_path: Path) -> None:
    writer = Writer()
    lines = [writer.decision(episode="e") for _ in range(3)]
    lines += [writer.feedback(float(number), episode="e") for number in range(3)]
    whole = read([write(tmp_path / "whole", lines)])
    newer = write(tmp_path / "log", lines[2:])
    older = tmp_path / "log.1.gz"
    older.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines[:2]).encode()))
    for order in ([newer, str(older)], [str(older), newer]):
        rotated = read(order)
        assert episodes(rotated, Counter()) == episodes(whole, Counter())
        assert rotated.end == whole.end == writer.now


def test_lines_that_come_twice_count_once(tmp_path: Path) -> None:
    lines = Writer().mixed(10)
    once, twice = read([write(tmp_path / "a", lines)]), read([write(tmp_path / "b", [*lines, *lines[4:9]])])
    assert (twice.decisions, twice.rewards) == (once.decisions, once.rewards)
    assert twice.counts["repeated"] == 5


def test_lines_of_other_kinds_are_counted_and_skipped(tmp_path: Path) -> None:
    lines = [json.dumps(line) for line in Writer().mixed(2)]
    lines[1:1] = ["INFO Uvicorn running", '{"type": "access", "decision": 1}', "", "{", "[1, 2]"]
    file = tmp_path / "log"
    file.write_text("\n".join(lines))
    counts = read([str(file)]).counts
    assert counts == {"decisions": 2, "rewards": 2, "of other kinds": 5}


def test_what_kubectl_writes_before_a_line_does_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "log"
    lines = Writer().mixed(2)
    file.write_text("".join(f"[pod/mouse-1/server] 2026-01-01T00:00:00Z {json.dumps(line)}\n" for line in lines))
    assert read([str(file)]) == read([write(tmp_path / "plain", lines)])


@pytest.mark.parametrize(
    "change",
    [
        {"time": None},
        {"propensity": 0},
        {"propensity": 1.5},
        {"propensities": {"a": "much"}},
        {"observation": [float("nan")]},
        {"observation": "secret"},
        {"policy": None},
    ],
)
def test_damaged_lines_are_counted_and_the_first_is_told_without_its_content(
    change: dict[str, object], tmp_path: Path
) -> None:
    writer = Writer()
    log = read([write(tmp_path / "log", [writer.decision(), writer.decision() | change])])
    assert log.counts == {"decisions": 1, "damaged": 1}
    assert log.damage.startswith(f"{tmp_path}/log, line 2: {next(iter(change))}")
    assert "secret" not in log.damage


def test_a_line_that_was_cut_off_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text(json.dumps(Writer().decision())[:-20])
    assert read([str(file)]).counts == {"damaged": 1}


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationRefused, match=r"missing: No such file"):
        read([str(tmp_path / "missing")])
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(random.Random(1).randbytes(5000))[:-100])
    with pytest.raises(EvaluationRefused, match=r"cut\.gz: .* give the file once it is complete"):
        read([str(cut)])


def test_a_log_of_several_policyservers_needs_a_name() -> None:
    writer = Writer()
    log = _read([writer.decision(), writer.decision(policyserver="cat"), writer.feedback(1, episode="x")])
    assert [each.policyserver for each in log.of("cat").decisions] == ["cat"]
    assert not log.of("cat").rewards
    for name in (None, "dog"):
        with pytest.raises(EvaluationRefused, match="of cat, mouse: name one"):
            log.of(name)


def test_a_log_without_decisions_is_refused() -> None:
    with pytest.raises(EvaluationRefused, match=r"no decision in 1 lines: set router\.decisionLog"):
        _read([{"type": "access"}]).of(None)


def test_rewards_join_by_decision_and_by_episode() -> None:
    writer = Writer()
    first = writer.decision()
    then = writer.decision(episode=first["decision_id"])
    other = writer.decision("b", episode="of the client")
    lines = [writer.feedback(1, first), writer.feedback(2, then), writer.feedback(3, episode=first["decision_id"])]
    lines += [writer.feedback(4, episode="of the client", done=True), writer.feedback(5, episode="unknown")]
    counts: Counter[str] = Counter()
    one, two = episodes(_read([*lines, other, then, first]), counts)
    assert [step.decision_id for step in one.steps] == [first["decision_id"], then["decision_id"]]
    assert [reward.reward for reward in one.rewards] == [1, 2, 3]
    assert not one.done
    assert (two.steps[0].policy, two.rewards[0].reward, two.done) == ("b", 4, True)
    assert counts == {"rewards of decisions that aren't in the log": 1}


def test_an_episode_that_goes_on_by_the_id_of_its_latest_decision_is_one() -> None:
    writer = Writer()
    lines = [writer.decision()]
    for _ in range(5):
        lines.append(writer.decision(episode=lines[-1]["decision_id"]))
    (episode,) = found(*lines, writer.feedback(1, episode=lines[3]["decision_id"]))
    assert len(episode.steps) == 6
    assert len(episode.rewards) == 1


def test_the_rows_of_one_request_are_one_draw() -> None:
    writer = Writer()
    row = writer.decision()
    rows = [row, row | {"observation": [1.0, 1.0]}, row | {"observation": [2.0, 2.0]}]
    told = found(*rows, writer.feedback(1, row))
    one = units(told, EpisodeReturn.SUM, None, Counter())
    assert (len(one), one.decisions) == (1, 3)
    assert told[0].alone


def test_lines_that_servers_lost_are_counted() -> None:
    lost = [{"type": "lost", "policyserver": "mouse", "lines": number} for number in (3, 4)]
    assert _read([*lost, Writer().decision()]).counts == {"lost by servers": 7, "decisions": 1}


def test_ids_that_lead_round_in_a_circle_end() -> None:
    writer = Writer()
    one, two = writer.decision(), writer.decision()
    one["episode_id"], two["episode_id"] = two["decision_id"], one["decision_id"]
    assert sum(len(episode.steps) for episode in found(one, two)) == 2


@pytest.mark.parametrize("outcome", ["repeated", "late", "unrouted", "not_issued", "store_away"])
def test_rewards_that_the_router_did_not_count_are_none(outcome: str) -> None:
    writer = Writer()
    decision = writer.decision()
    assert not found(decision, writer.feedback(1, decision, outcome=outcome))[0].rewards


@pytest.mark.parametrize("outcome", ["learned", "kept", "frozen"])
def test_rewards_count_even_if_the_router_did_not_learn_just_then(outcome: str) -> None:
    writer = Writer()
    decision = writer.decision()
    assert found(decision, writer.feedback(1, decision, outcome=outcome))[0].rewards


@pytest.mark.parametrize(("fold", "expected"), [("sum", 6.0), ("mean", 2.0), ("last", 3.0)])
def test_returns(fold: str, expected: float) -> None:
    assert EpisodeReturn(fold).of([1.0, 2.0, 3.0]) == expected


def test_episodes_are_over_when_done_or_timed_out_and_decisions_when_rewarded() -> None:
    writer = Writer()
    steps = [writer.decision(episode=name) for name in ("done", "old", "young") for _ in range(2)]
    alone, unrewarded = writer.decision(), writer.decision()
    old = [writer.feedback(1, episode="old"), writer.feedback(1, episode="done", done=True)]
    writer.now += 500
    late = [writer.feedback(1, alone), writer.feedback(1, episode="young")]
    log = _read([*steps, alone, unrewarded, *old, *late])

    def over(wait: float) -> tuple[set[str], int]:
        counts: Counter[str] = Counter()
        kept = ended(episodes(log, counts), log.end, wait, counts)
        return {episode.steps[0].episode_id for episode in kept}, counts["not over yet"]

    alone_id, unrewarded_id = alone["decision_id"], unrewarded["decision_id"]
    assert over(400) == ({"done", "old", alone_id, unrewarded_id}, 1)
    assert over(1000) == ({"done", alone_id}, 3)


def test_what_says_nothing_of_a_policy_that_was_drawn_is_left_out_and_counted() -> None:
    writer = Writer()
    lines = writer.mixed(4)
    for odd in (
        {"fallback": True, "propensity": None},
        {"moved": True},
        {"propensity": None, "propensities": None, "mode": "UCB1"},
    ):
        decision = writer.decision(**odd)
        lines += [decision, writer.feedback(1, decision)]
    lines.append(writer.decision())
    counts: Counter[str] = Counter()
    told = found(*lines)
    assert len(units(told, EpisodeReturn.SUM, None, counts)) == 4
    assert counts == {
        "with a fallback's answer": 1,
        "moved from one policy to another": 1,
        "answered by a policy that wasn't drawn (UCB1)": 1,
        "without a reward": 1,
    }
    assert units(told, EpisodeReturn.SUM, -1.0, Counter()).reward[-1] == -1


def test_an_episode_keeps_the_propensity_that_it_was_drawn_with() -> None:
    writer = Writer({"a": 0.9, "b": 0.1})
    beginning = writer.decision("b", episode="e")
    later = writer.decision("b", episode="e", propensities={"a": 0.5, "b": 0.5})
    for lines in ([beginning, later], [later]):
        told = units(found(*lines, writer.feedback(1, episode="e")), EpisodeReturn.SUM, None, Counter())
        assert told.propensities[0, 1] == 0.1
        assert (told.arms, told.arm.tolist(), told.decisions) == (("a", "b"), [1], len(lines))


def test_ucb1_is_refused_with_the_reason() -> None:
    writer = Writer()
    decisions = [writer.decision(propensity=None, propensities=None, mode="UCB1") for _ in range(3)]
    lines = [line for each in decisions for line in (each, writer.feedback(1, each))]
    with pytest.raises(EvaluationRefused, match="UCB1 doesn't draw"):
        units(found(*lines), EpisodeReturn.SUM, None, Counter())


def test_progress_is_in_bytes_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Bar:
        def __init__(self, total: int, **_: object) -> None:
            self.total = total

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            assert sum(seen) == self.total

        def update(self, size: int) -> None:
            seen.append(size)

    monkeypatch.setattr(journal, "tqdm", Bar)
    read([write(tmp_path / "a", Writer().mixed(5)), write(tmp_path / "b", Writer().mixed(5))])
    assert seen
