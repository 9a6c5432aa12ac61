from policy_server.router.recent import REMEMBERED, Recent


def test_what_was_not_asked_for_longest_is_forgotten_first() -> None:
    recent: Recent[int] = Recent()
    for number in range(REMEMBERED):
        recent.put(f"{number}", number)
    assert recent.get("0") == 0
    recent.put("new", -1)
    recent.put("2", -2)
    assert [recent.get(name) for name in ("0", "1", "2", "new", "never")] == [0, None, -2, -1, None]
