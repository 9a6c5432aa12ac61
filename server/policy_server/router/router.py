"""Decides which arm answers, from the last snapshot of what was learned."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf

from policy_server.router.arms import Arm
from policy_server.router.availability import Availability
from policy_server.router.choices import Choices, Uniform
from policy_server.router.errors import Expired, IdRefused, NoArmLeft, NotIssued, OtherEpoch
from policy_server.router.ids import GROUP, NOBODY, Sealer
from policy_server.router.recent import Recent
from policy_server.router.rewards import Statistics, statistics
from policy_server.router.routed import Routed
from policy_server.router.series import Drawn, Series, series_of
from policy_server.router.settings import RouterSettings
from policy_server.router.sticky import rendezvous
from policy_server.router.store import State

_SERIES_SECONDS = 0.1
"""For how long ids say the same time, and what they have in common is sealed once."""


class Router:
    """Draws arms, keeps episodes on theirs, counts decisions; nothing here waits.

    Times are seconds since 1970. One thread may use it.

    Args:
        settings: what it is told.
        arms: what it chooses among; indices are by their order.
        state: a snapshot to start from.
        random: draws.
        now: the time.
        former: the router that this one takes the place of: its ids stay known, and what it hasn't handed over is.
    """

    def __init__(
        self,
        settings: RouterSettings,
        arms: Sequence[Arm],
        state: State,
        random: Uniform,
        now: float,
        former: "Router | None" = None,
    ) -> None:
        self.settings = settings
        self.arms = tuple(arms)
        self.availability = Availability(len(arms))
        self.sealer: Sealer = former.sealer if former else Sealer(state.key, state.epoch)
        self.statistics: Sequence[Statistics] = ()
        self._state = state
        self._random = random
        self._tags = [arm.tag for arm in arms]
        self._names = [arm.name for arm in arms]
        self._indices = {tag: index for index, tag in enumerate(self._tags)}
        self._decided = [0] * len(arms)
        # That of the former one itself: answers that are under way in it are counted here.
        self._uncounted: Counter[tuple[int, int]] = former.counts() if former else Counter()
        self._named: Recent[float] = Recent()
        self._bucket = 0
        self._turn = -inf
        self._drawn: list[int] = []
        self._series: list[Series] = []
        self._more: dict[int, Callable[[], Series]] = {}
        self._ahead_until = -inf
        self._reason = ""
        self.refresh(state, now)

    @property
    def propensities(self) -> tuple[float, ...] | None:
        """The probability of each arm now; None: arms aren't drawn, or none is left."""
        return self._choices.propensities if self._choices else None

    @property
    def state(self) -> State:
        """The last snapshot."""
        return self._state

    def index(self, tag: int) -> int | None:
        """Returns the index of the arm with this tag; None: it is gone."""
        return self._indices.get(tag)

    def refresh(self, state: State, now: float) -> None:
        """Goes on from a new snapshot."""
        self.sealer = self.sealer.followed_by(state.key, state.epoch)
        self._state = state
        told = self.settings
        at = now if state.frozen is None else state.frozen
        read = [
            statistics(state.buckets.get(tag, {}), at, told.horizon, told.bounds, told.default) for tag in self._tags
        ]
        self._flush()
        own = [sum(number for (its, _), number in self._uncounted.items() if its == tag) for tag in self._tags]
        # While nothing is learned, nothing is awaited; else also what the snapshot doesn't know of yet.
        awaited = [arm.awaited + mine if state.frozen is None else 0.0 for arm, mine in zip(read, own, strict=True)]
        self.statistics = [replace(arm, awaited=number) for arm, number in zip(read, awaited, strict=True)]
        self._turned(now)

    def reconfigure(self, settings: RouterSettings, now: float) -> None:
        """Goes on with other settings and what was learned."""
        self.settings = settings
        self.refresh(self._state, now)

    def shares(self, now: float) -> tuple[float, ...] | None:
        """Returns the probability of each arm now; None: arms aren't drawn.

        Raises:
            NoArmLeft: none works.
        """
        return self._working(now).propensities

    def take(self, now: float) -> Drawn:
        """Draws an arm for a decision that belongs to no episode yet and is answered at once, and counts it.

        Raises:
            NoArmLeft: none works.
        """
        if now >= self._ahead_until or not self._drawn:
            self._draw_ahead(now)
        arm = self._drawn.pop()
        series = self._series[arm]
        if not series.ends:
            series = self._next_series(arm, now)
        self._decided[arm] += 1
        return series, series.ends.pop()

    def put_back(self, drawn: Drawn) -> None:
        """Undoes `take`, where that wasn't answered: the next decision has what was drawn.

        Otherwise, who tries again would give another arm a greater share.
        """
        series, end = drawn
        self._decided[series.arm] -= 1
        self._drawn.append(series.arm)
        series.ends.append(end)

    def decide(self, now: float) -> Routed:
        """Returns all that there is to say of what `take` returns."""
        series, end = self.take(now)
        return series.routed(end)

    def draw(self, now: float) -> Routed:
        """Draws as `decide` does, for a decision that counts once it is `answered`."""
        routed = self.decide(now)
        self._decided[routed.arm] -= 1
        return routed

    def answered(self, routed: Routed, now: float) -> None:
        """Notes that an arm answered, and counts a decision that was made at `now`: an episode's together once."""
        if routed.fallback:
            return
        if self.availability.troubled:
            self.availability.answered(routed.arm)
        if not routed.begins:
            return
        if not routed.drawn:
            if self.has_counted(routed.episode, now):
                return
            self._named.put(routed.episode, now)
        self._uncounted[self._tags[routed.arm], self.settings.horizon.bucket(int(1000 * now))] += 1

    def has_counted(self, episode: str, now: float) -> bool:
        """Tells whether an episode that the client named was counted here, unless too many others were since."""
        return (self._named.get(episode) or -inf) > now - self.settings.longest_episode

    def _draw_ahead(self, now: float) -> None:
        """Draws what the next decisions get: many in a row take a fraction of the time that they take between requests.

        Draws from one snapshot don't depend on each other, so it is the same to draw them now or then; but for modes
        that don't draw.
        """
        choices = self._working(now)
        if now >= self._ahead_until:
            self._series = [Series(arm) for arm in range(len(self.arms))]
            self._more.clear()
            self._ahead_until = min(self._turn, now + _SERIES_SECONDS)
        self._drawn = choices.draw(self._random, 1 if choices.propensities is None else GROUP)

    def _next_series(self, arm: int, now: float) -> Series:
        """Begins the next series of an arm."""
        if arm not in self._more:
            propensity = None if self.propensities is None else self.propensities[arm]
            told = arm, self._tags[arm], self._names[arm], propensity, int(1000 * now)
            self._more[arm] = series_of(self.sealer, *told)
        series = self._series[arm] = self._more[arm]()
        return series

    def issued(self, name: str, now: float) -> bool:
        """Tells whether a text is an id that this router gave, however long ago."""
        try:
            self.sealer.opened(name, now, inf)
        except NotIssued:
            return False
        except IdRefused:
            pass
        return True

    def resume(self, episode: str, now: float) -> Routed:
        """Keeps an episode on its arm, by the id of any of its decisions, or moves it where that arm is gone.

        Raises:
            NotIssued: this router didn't give that id; `NamedEpisodes` takes a client's own.
            NoArmLeft: a new arm is needed, and none works.
        """
        try:
            issued = self.sealer.opened(episode, now, self.settings.longest_episode)
        except (Expired, OtherEpoch):
            return self._moved(episode, now)
        arm = self._indices.get(issued.arm)
        if arm is None:
            return self._moved(episode, now)
        return Routed(arm, issued.propensity, self.sealer.step(issued), episode, self._names[arm])

    def named(self, episode: str, now: float) -> Routed:
        """Returns the arm of an episode that the client named, by weighted rendezvous under the shares of now.

        The same on every replica whose shares are the same: where they are fixed, and while no arm fails.

        Raises:
            NoArmLeft: none works.
        """
        choices = self._working(now)
        if choices.propensities is None:
            (arm,), propensity = choices.draw(self._random, 1), None
        else:
            arm = rendezvous(episode, self._names, choices.propensities)
            propensity = choices.propensities[arm]
        return self.kept(episode, arm, propensity, int(1000 * now))

    def kept(self, episode: str, arm: int, propensity: float | None, time: int) -> Routed:
        """Returns a decision of an episode that was named elsewhere, began at this millisecond and has this arm."""
        issued = self.sealer.named(self._tags[arm], time, propensity, episode)
        return Routed(arm, propensity, self.sealer.step(issued), episode, self._names[arm])

    def moved(self, episode: str, time: int, now: float) -> Routed:
        """Returns a decision of an episode, begun at this millisecond, that can't have the arm that it had.

        By its name alone, with equal chances whatever was learned: who goes on sending it has the same arm as long as
        those that may be chosen are the same. Raises NoArmLeft.
        """
        shares: Sequence[float] | None = self.shares(now)
        if shares is None or self.settings.mode.learns:
            shares = self.availability.working  # rewards take shares to 0 and back
        able = [share > 0 for share in shares]
        arm = rendezvous(episode, self._names, able)
        return self.kept(episode, arm, 1 / sum(able), time)._replace(moved=True)

    def _moved(self, episode: str, now: float) -> Routed:
        """Returns a new arm, and the id with which the episode keeps that."""
        routed = self.moved(episode, int(1000 * now), now)
        issued = self.sealer.named(self._tags[routed.arm], int(1000 * now), routed.propensity, episode)
        return routed._replace(episode=self.sealer.episode(issued))

    def failed(self, routed: Routed, now: float, *, certainly: bool = False) -> None:
        """Notes that the arm couldn't answer; `certainly`: that it can't answer anything."""
        if self.availability.failed(routed.arm, now, certainly=certainly):
            self._turned(now)

    def stand_in(self, arm: int, failed: Routed | None, now: float) -> Routed:
        """Returns what an arm answers as in place of one that failed, or of one that there wasn't.

        An episode that had begun goes on with its own arm.
        """
        unlearned = self.sealer.first(NOBODY, int(1000 * now), None)
        episode = unlearned if failed is None or failed.drawn else failed.episode
        return Routed(arm, None, unlearned, episode, self._names[arm], fallback=True)

    def uncounted(self) -> Counter[tuple[int, int]]:
        """Returns, once, how many decisions were made since the last time, by the arm's tag and bucket."""
        uncounted = self.counts().copy()
        self._uncounted.clear()
        return uncounted

    def counts(self) -> Counter[tuple[int, int]]:
        """Returns what `uncounted` would, and what goes on to be counted."""
        self._flush()
        return self._uncounted

    def _working(self, now: float) -> Choices:
        """Returns what is drawn from now; raises NoArmLeft."""
        if now >= self._turn:
            self._turned(now)
        if self._choices is None:
            raise NoArmLeft(self._reason)
        return self._choices

    def _turned(self, now: float) -> None:
        """Does what must be done when the snapshot, the bucket or what works has changed, but not for each decision."""
        self._flush()
        self._ahead_until = -inf
        self._bucket = self.settings.horizon.bucket(int(1000 * now))
        self.availability.update(now)
        self._turn = min((self._bucket + self.settings.horizon.fine) / 1000, self.availability.next_change)
        try:
            self._choices: Choices | None = self.settings.mode.choices(self.statistics, self.availability.working)
        except NoArmLeft as error:
            self._choices, self._reason = None, str(error)

    def _flush(self) -> None:
        for index, number in enumerate(self._decided):
            if number:
                self._uncounted[self._tags[index], self._bucket] += number
                self._decided[index] = 0
