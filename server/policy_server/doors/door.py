"""What every door has: the application it opens into, what decides behind it, and what is said and counted alike."""

from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired

from fastapi import Depends, FastAPI, Header
from pydantic import BaseModel, Field, create_model

from policy_server.auth import ApiKeys
from policy_server.config import EPISODE
from policy_server.deciding import Alone, Decided, Decider
from policy_server.engine import Engine
from policy_server.fast_path import Answer, FastPath
from policy_server.recurrence import STATE
from policy_server.request_head import EPISODE_HEADER, LONGEST_EPISODE_ID
from policy_server.routing.routing import Routing
from policy_server.tallies import Tallies

MOST_ROWS = 1024
"""How many observations one request may hold."""

EpisodeId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_EPISODE_ID,
        description="That of the last answer of the episode, unchanged, or a name of your own; none at its beginning.",
    ),
]


class Rejection(BaseModel):
    """Why a request was refused."""

    detail: Annotated[str, Field(description="What is wrong, and the remedy.")]


class RouteFields(BaseModel):
    """Which policy answered, and how it came to that."""

    policy: Annotated[str, Field(description="The policy that answered.")]
    decision_id: Annotated[str, Field(description="Name the decision by it in POST /feedback.")]
    episode_id: Annotated[
        str, Field(description="Send it with the next observation of this episode, and with its rewards.")
    ]
    propensity: Annotated[
        float | None,
        Field(ge=0, le=1, description="The probability with which the policy was chosen, if it was drawn."),
    ]
    moved: Annotated[bool, Field(description="The episode's policy is gone, and this is another one.")] = False
    fallback: Annotated[
        bool, Field(description="The chosen policy couldn't answer; nobody learns from this decision.")
    ] = False


async def _no_episode() -> None:  # a plain function would be asked in a thread
    return None


@dataclass(frozen=True)
class Door:
    """Where a protocol declares its routes, and how it asks for decisions.

    Attributes:
        app: takes the routes.
        answering: what answers, or holds what does at the moment.
        tallies: count what happened.
        keyed: what every route that needs a key says of it to OpenAPI.
        keys: the accepted keys; None serves everyone.
        short: the routes that have a short way, by their path.
        engine: what all policies have in common.
        routing: the router, if there is one.
    """

    app: FastAPI
    answering: Alone | Routing
    tallies: Tallies
    keyed: dict[str, Any] = field(default_factory=dict)
    keys: ApiKeys | None = None
    short: dict[str, FastPath] = field(default_factory=dict)
    engine: Engine = field(init=False)
    routing: Routing | None = field(init=False)

    def __post_init__(self) -> None:
        # Attributes, not properties: each request asks for them.
        object.__setattr__(self, "engine", self.answering.engine)
        object.__setattr__(self, "routing", self.answering if isinstance(self.answering, Routing) else None)

    @property
    def decider(self) -> Decider:
        """What answers a request that begins now."""
        return self.answering.graph if isinstance(self.answering, Routing) else self.answering

    def shorten(self, path: str, body: Any, answer: Answer) -> None:
        """Gives a POST route a short way: `answer` makes its body of a validated one. Slow policies have none."""
        if not self.decider.slow:
            self.short[path] = FastPath(body, answer, self.keys, self.engine.config.max_body_bytes)

    def described(self, tag: str, responses: dict[int, str] | None = None) -> dict[str, Any]:
        """Returns what a predicting route says to OpenAPI beside its own types; `responses` are further refusals."""
        refusals = {
            400: "The body is no text in UTF-8, or nested too deeply.",
            413: "The body is too large.",
            500: "The policy gave no usable answer.",
        } | (responses or {})
        if self.routing:
            refusals[503] = "No policy of the router works now, or its store is needed and away."
        described = {code: {"model": Rejection, "description": text} for code, text in refusals.items()}
        return self.keyed | {"tags": [tag], "responses": self.keyed.get("responses", {}) | described}

    @property
    def episode_header(self) -> Any:
        """The type of a route's argument that is the episode's id in a header; without a router it is always None."""
        if not self.routing:
            return Annotated[None, Depends(_no_episode)]
        described = Header(
            alias=EPISODE_HEADER,
            min_length=1,
            max_length=LONGEST_EPISODE_ID,
            description="The id of the episode that goes on; in its place, the body may hold `episode_id`.",
        )
        return Annotated[str | None, described]

    def context_types(self) -> dict[str, Any]:
        """Returns what a request may say beside its observation, for a TypedDict."""
        types: dict[str, Any] = {}
        if (state := self.state_type()) is not None:
            types[STATE] = NotRequired[state]
        if self.routing:
            types[EPISODE] = NotRequired[EpisodeId | None]
        return types

    def take_context(self, body: dict[str, Any], episode: str | None) -> tuple[str | None, str | None]:
        """Takes the state, and the episode's id, out of a validated request; `episode` is what the header says."""
        state = body.pop(STATE, None) if self.engine.policy.recurrence is not None else None
        return state, (body.pop(EPISODE, None) or episode) if self.routing else None

    def context_fields(self, base: Any) -> Any:
        """Returns the type of an answer that also has the state and the route, where there are such."""
        answer: Any = base
        if self.engine.policy.recurrence is not None:
            state = Annotated[str, Field(description="Send it with the next observation of this episode.")]
            name = f"Remembering{answer.__name__}"
            answer = create_model(name, __base__=answer, __doc__=answer.__doc__, state=(state, ...))
        if not self.routing:
            return answer
        bases: Any = (RouteFields, answer)  # fields come in the order of the last base first
        return create_model(f"Routed{answer.__name__}", __base__=bases, __doc__=answer.__doc__)

    def context(self, decided: Decided) -> dict[str, Any]:
        """Returns what the fields of `context_fields` are."""
        decision, routed = decided
        content = {} if decision.state is None else {STATE: decision.state}
        return content if routed is None else content | routed.content()

    def state_type(self) -> Any:
        """Returns what a request's state is to pydantic, and to OpenAPI; None where the policy has none."""
        if self.engine.policy.recurrence is None:
            return None
        description = "That of the last answer of the episode, unchanged; none at its beginning."
        length = self.engine.policy.recurrence.text_length
        return Annotated[str | None, Field(max_length=length, description=description)]

    @property
    def most_rows(self) -> int:
        """How many observations one request may hold; fewer where each has a large state."""
        recurrence = self.engine.policy.recurrence
        return MOST_ROWS if recurrence is None else min(MOST_ROWS, recurrence.most_rows)
