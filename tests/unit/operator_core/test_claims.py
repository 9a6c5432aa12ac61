"""Who has which url path."""

from policy_operator.claims import UrlPaths

ELDER, YOUNGER, THIRD = ("cats", "elder"), ("dogs", "younger"), ("cats", "third")


def test_the_oldest_has_the_path_whoever_came_first_to_us() -> None:
    paths = UrlPaths()
    assert paths.claim(YOUNGER, "p", "2026-01-02T00:00:00Z") == set()
    assert paths.claim(ELDER, "p", "2026-01-01T00:00:00Z") == {YOUNGER}
    assert paths.holder("p") == ELDER


def test_of_the_same_age_the_lesser_name_has_it() -> None:
    paths = UrlPaths()
    paths.claim(YOUNGER, "p", "2026-01-01T00:00:00Z")
    paths.claim(ELDER, "p", "2026-01-01T00:00:00Z")
    assert paths.holder("p") == ELDER


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
    assert (paths.holder("p"), paths.holder("q")) == (YOUNGER, ELDER)


def test_those_who_wait_learn_of_an_end() -> None:
    paths = UrlPaths()
    paths.claim(ELDER, "p", "1")
    paths.claim(YOUNGER, "p", "2")
    assert paths.release(ELDER) == {YOUNGER}
    assert paths.holder("p") == YOUNGER
    assert paths.release(YOUNGER) == set()
    assert paths.release(YOUNGER) == set()
    assert paths.known() == set()
