"""Who has which url path."""

import pytest

from policy_operator.claims import Claim, UrlPaths

ELDER, YOUNGER, THIRD = ("cats", "elder"), ("dogs", "younger"), ("cats", "third")


def test_the_oldest_has_the_path_whoever_came_first_to_us() -> None:
    paths = UrlPaths()
    assert paths.claim(YOUNGER, "p", "2026-01-02T00:00:00Z") == set()
    assert paths.claim(ELDER, "p", "2026-01-01T00:00:00Z") == {YOUNGER}
    assert paths.holder("p").key == ELDER


def test_of_the_same_age_the_lesser_name_has_it() -> None:
    paths = UrlPaths()
    paths.claim(YOUNGER, "p", "2026-01-01T00:00:00Z")
    paths.claim(ELDER, "p", "2026-01-01T00:00:00Z")
    assert paths.holder("p").key == ELDER


def test_nobody_is_disturbed_when_nothing_changed() -> None:
    paths = UrlPaths()
    paths.claim(ELDER, "p", "1")
    paths.claim(YOUNGER, "p", "2")
    assert paths.claim(ELDER, "p", "1") == set()


def test_those_on_the_old_and_on_the_new_path_learn_of_a_move() -> None:
    paths = UrlPaths()
    paths.claim(ELDER, "p", "1")
    paths.claim(YOUNGER, "p", "2")
    paths.claim(THIRD, "q", "3")
    assert paths.claim(ELDER, "q", "1") == {YOUNGER, THIRD}
    assert (paths.holder("p").key, paths.holder("q").key) == (YOUNGER, ELDER)


def test_those_who_wait_learn_of_an_end() -> None:
    paths = UrlPaths()
    paths.claim(ELDER, "p", "1")
    paths.claim(YOUNGER, "p", "2")
    assert paths.release(ELDER) == {YOUNGER}
    assert paths.holder("p").key == YOUNGER
    assert paths.release(YOUNGER) == set()
    assert paths.release(YOUNGER) == set()
    assert paths.known() == set()


@pytest.mark.parametrize(
    ("elders", "youngers"), [("team/m", "team/m/predict"), ("team/m/predict", "team/m"), ("team", "team/m/predict/x")]
)
def test_a_path_below_or_above_another_is_the_elders_too(elders: str, youngers: str) -> None:
    paths = UrlPaths()
    paths.claim(YOUNGER, youngers, "2")
    assert paths.claim(ELDER, elders, "1") == {YOUNGER}
    assert paths.holder(youngers) == paths.holder(elders) == Claim("1", ELDER, elders)
    assert paths.claim(ELDER, "elsewhere", "1") == {YOUNGER}
    assert paths.holder(youngers).key == YOUNGER
    assert paths.claim(ELDER, elders, "1") == {YOUNGER}
    assert paths.release(ELDER) == {YOUNGER}
    assert paths.holder(youngers).key == YOUNGER


def test_paths_that_only_begin_alike_are_no_rivals() -> None:
    paths = UrlPaths()
    paths.claim(ELDER, "team/m", "1")
    assert paths.claim(YOUNGER, "team/mouse", "2") == set()
    assert paths.claim(THIRD, "team/n", "3") == set()
    assert [paths.holder(path).key for path in ("team/mouse", "team/n")] == [YOUNGER, THIRD]


def test_one_that_waits_goes_before_those_that_are_younger() -> None:
    paths = UrlPaths()
    paths.claim(ELDER, "team/a", "1")
    paths.claim(YOUNGER, "team", "2")
    assert paths.claim(THIRD, "team/b", "3") == {YOUNGER}
    assert (paths.holder("team").key, paths.holder("team/b").key) == (ELDER, YOUNGER)


def test_nothing_is_kept_of_those_that_went() -> None:
    paths = UrlPaths()
    paths.claim(ELDER, "a/b/c", "1")
    paths.claim(YOUNGER, "a/b", "2")
    paths.release(ELDER)
    paths.release(YOUNGER)
    assert not any(vars(paths).values())
