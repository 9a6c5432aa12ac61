import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import shake_128
from itertools import permutations

import pytest

from policy_server.router.errors import Expired, NotIssued, OtherEpoch
from policy_server.router.ids import GROUP, Kind, Sealer
from tests.unit.router.routers import KEY, NOW

TIME = int(1000 * NOW)
SEALER = Sealer(KEY, 7)


def texts(seal: Callable[[], tuple[bytes, list[bytes]]]) -> list[str]:
    begin, ends = seal()
    return [(begin + end).decode() for end in ends]


def test_an_id_says_what_was_sealed_on_every_replica() -> None:
    first = SEALER.first(123, TIME, 0.25)
    issued = Sealer(KEY, 7).opened(first, NOW, 10)
    assert issued[:5] == (Kind.FIRST, 7, 123, TIME, 0.25)
    step = Sealer(KEY, 7).opened(SEALER.step(issued), NOW, 10)
    assert step[:6] == (Kind.STEP, *issued[1:6])
    assert len(step.step) == 8
    assert SEALER.opened(SEALER.first(1, TIME, None), NOW, 10).propensity is None


def test_ids_fit_a_url_and_a_header() -> None:
    first = SEALER.first(2**32 - 1, TIME, 1.0)
    step = SEALER.step(SEALER.opened(first, NOW, 10))
    assert (len(first), len(step)) == (60, 72)
    assert all(character.isalnum() or character in "-_" for character in first + step)


def test_no_two_ids_are_alike() -> None:
    seal = SEALER.series(1, TIME, 0.5)
    ids = [sealed for _ in range(80) for sealed in texts(seal)]
    issued = SEALER.opened(ids[0], NOW, 10)
    assert len({*ids, *(SEALER.step(issued) for _ in range(5000))}) == 80 * GROUP + 5000


def test_the_seal_is_a_part_of_keyed_shake128_of_all_that_an_id_says() -> None:
    for sealed in texts(SEALER.series(9, TIME, 0.5)) + texts(SEALER.series(9, TIME, None)):
        decoded = urlsafe_b64decode(sealed)
        body, place = decoded[:-16], decoded[-17] & 63
        codes = shake_128(KEY.ljust(168, b"\0") + body[:-1] + bytes([body[-1] & 0xC0])).digest(64 * 18)
        assert decoded[-16:] == codes[18 * place + 2 : 18 * place + 18]
        assert SEALER.opened(sealed, NOW, 10).arm == 9


def test_an_id_with_any_character_changed_is_refused() -> None:
    for text in (first := SEALER.first(9, TIME, 0.5), SEALER.step(SEALER.opened(first, NOW, 10))):
        for place, character in enumerate(text):
            changed = text[:place] + ("A" if character != "A" else "B") + text[place + 1 :]
            with pytest.raises(NotIssued, match="not issued here"):
                SEALER.opened(changed, NOW, 10)


@pytest.mark.parametrize("text", ["", "é", "A" * 60, "A" * 72, "=" * 60, "{}", "a" * 100_000, "AQ==\n", "\0" * 60])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(NotIssued):
        SEALER.opened(text, NOW, 10)


def test_cut_and_joined_ids_are_refused() -> None:
    first = SEALER.first(9, TIME, 0.5)
    for text in (first[:-1], first[:-4], first + "A", first + first, first + "=", first.replace("A", "A\n", 1)):
        with pytest.raises(NotIssued):
            SEALER.opened(text, NOW, 10)


def test_ids_of_another_key_are_not_known_and_those_of_another_epoch_are() -> None:
    with pytest.raises(NotIssued):
        SEALER.opened(Sealer(bytes(32), 7).first(9, TIME, 0.5), NOW, 10)
    with pytest.raises(OtherEpoch, match="new episode"):
        SEALER.opened(Sealer(KEY, 8).first(9, TIME, 0.5), NOW, 10)


def test_what_a_former_key_sealed_is_known_as_of_another_epoch() -> None:
    before = SEALER.first(9, TIME, 0.5)
    key, epoch = bytes(32), 8
    after = SEALER.followed_by(key, epoch)
    assert SEALER.followed_by(KEY, 7) is SEALER
    for sealer in (after, after.followed_by(key, 9)):
        for text in (before, SEALER.step(SEALER.opened(before, NOW, 10))):
            with pytest.raises(OtherEpoch):
                sealer.opened(text, NOW, 10)
        for text in (before[:-1] + "A", before[::-1], Sealer(bytes(range(1, 33)), 7).first(9, TIME, 0.5)):
            with pytest.raises(NotIssued):
                sealer.opened(text, NOW, 10)
        assert sealer.opened(sealer.first(9, TIME, 0.5), NOW, 10).arm == 9
    with pytest.raises(OtherEpoch):
        after.followed_by(key, 9).opened(after.first(9, TIME, 0.5), NOW, 10)


def test_ids_of_one_hash_are_distinct_and_none_opens_with_another_s_seal() -> None:
    group = texts(SEALER.series(9, TIME, 0.5))
    assert len({SEALER.opened(sealed, NOW, 10).nonce for sealed in group}) == GROUP
    decoded = [urlsafe_b64decode(sealed) for sealed in group]
    assert len({one[-16:] for one in decoded}) == GROUP
    for one, other in permutations(decoded, 2):
        text = urlsafe_b64encode(one[:-16] + other[-16:]).decode()
        assert len(text) == 60
        with pytest.raises(NotIssued):
            SEALER.opened(text, NOW, 10)


def test_an_id_expires_and_none_is_from_the_future() -> None:
    first = SEALER.first(9, TIME, 0.5)
    SEALER.opened(first, NOW + 10, 10)
    with pytest.raises(Expired, match="11 s old"):
        SEALER.opened(first, NOW + 11, 10)
    SEALER.opened(first, NOW - 30, 10)  # clocks differ
    with pytest.raises(Expired):
        SEALER.opened(first, NOW - 3600, 10)


def test_a_propensity_keeps_its_precision() -> None:
    for propensity in (1.0, 1 / 3, 1e-6):
        sealed = SEALER.opened(SEALER.first(9, TIME, propensity), NOW, 10).propensity
        assert sealed is not None
        assert math.isclose(sealed, propensity, rel_tol=1e-6)
