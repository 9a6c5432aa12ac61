"""What a server's decision log writes is what is read."""

from collections import Counter
from pathlib import Path

import numpy as np

from policy_server.engine import Decision
from policy_server.evaluation.episodes import EpisodeReturn, episodes
from policy_server.evaluation.journal import read
from policy_server.evaluation.units import units
from policy_server.router.modes import ABTest
from policy_server.routing.decision_log import DecisionLog
from tests.unit.router.routers import ARMS, NOW, router

NAMES = [arm.name for arm in ARMS]
SHARES = dict(zip(NAMES, (0.5, 0.3, 0.2), strict=True))


def test_decisions_and_rewards_are_read_as_they_were_taken(tmp_path: Path) -> None:
    drawing = router(ABTest((5, 3, 2)))
    log = DecisionLog("mouse", tmp_path / "log", tmp_path, lambda name: name.encode())
    log.rate = 1.0

    first = drawing.decide(NOW)
    then = drawing.resume(first.episode, NOW + 1)
    named = drawing.named("of the client", NOW + 2)
    failed = drawing.decide(NOW + 3)
    stood_in = failed._replace(propensity=None, fallback=True)
    for second, routed in enumerate((first, then, named, stood_in)):
        observation = np.array([[0.5, second]], np.float32)
        log.decision(NOW + second, "ABTest", SHARES, "sha256", routed, observation, Decision([1], 0.8))
    log.feedback(NOW + 4, "decision_id", then.id, 2.0, False, "kept")
    log.feedback(NOW + 5, "episode_id", first.episode, 3.0, True, "learned")
    log.feedback(NOW + 6, "episode_id", "of the client", 4.0, True, "learned")
    log.feedback(NOW + 7, "episode_id", "of the client", 4.0, True, "late")
    log.close()
    journal = read([str(tmp_path / "log")])
    assert journal.counts == {"decisions": 4, "rewards": 3, "rewards that the router didn't count": 1}
    left_out: Counter[str] = Counter()
    found = units(episodes(journal, left_out), EpisodeReturn.SUM, 0.0, left_out)
    assert found.reward.tolist() == [5.0, 4.0]
    assert [found.arms[index] for index in found.arm] == [NAMES[first.arm], NAMES[named.arm]]
    assert found.propensities.tolist() == [[SHARES[name] for name in found.arms]] * 2
    assert found.observations.tolist() == [[0.5, 0.0], [0.5, 2.0]]
    assert found.decisions == 3
    assert left_out == {"with a fallback's answer": 1}
