"""A Pathmind schema is read in its own order, and told what is wrong line by line."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from policy_operator.api import parse
from policy_operator.errors import InvalidPolicyServerError, InvalidSchemaTextError
from policy_operator.kubernetes_yaml import dump
from policy_operator.schema_text import convert, parse_schema_text
from policy_server.config import Observation, ObservationType

DISCRETE = "parameters: {discrete: true}\n"
TYPES = "int, float, bool, List[int], List[float], List[bool]"


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidSchemaTextError) as raised:
        parse_schema_text(text)
    return list(raised.value.problems)


def test_a_schema_of_scalars_is_read(mouse_text: str) -> None:
    pathmind = parse_schema_text(mouse_text)
    assert [observation.name for observation in pathmind.schema.observations] == [
        *("mouse_row", "mouse_col", "mouse_row_distance", "mouse_col_distance", "cheese_row", "cheese_col")
    ]
    assert {observation.type for observation in pathmind.schema.observations} == {ObservationType.FLOAT}
    assert (pathmind.schema.discrete, pathmind.schema.tuple) == (True, False)
    assert (pathmind.url_path, pathmind.api_key) == (None, "1234567asdfgh")


def test_a_schema_of_lists_is_read(masked_text: str) -> None:
    schema = parse_schema_text(masked_text).schema
    assert schema.tuple
    assert schema.observations == [
        Observation(name="actionMask", type=ObservationType.BOOL_LIST, min_items=4, max_items=4),
        Observation(name="stateChartState", type=ObservationType.FLOAT_LIST, min_items=3, max_items=3),
    ]


def test_observations_keep_an_order_that_is_not_alphabetical() -> None:
    text = DISCRETE + "observations: {zebra: {type: int}, apple: {type: int}, '10': {type: int}, 9: {type: int}}"
    assert [o.name for o in parse_schema_text(text).schema.observations] == ["zebra", "apple", "10", "9"]


def test_names_that_yaml_takes_for_something_else_stay_names() -> None:
    text = DISCRETE + "observations: {on: {type: int}, y: {type: int}, null: {type: int}, 1: {type: int}}"
    assert [o.name for o in parse_schema_text(text).schema.observations] == ["on", "y", "null", "1"]


def test_camel_case_and_bounds_are_read_too() -> None:
    text = DISCRETE + "observations: {a: {type: 'List[int]', minItems: 1, maxItems: 2, minimum: 0, description: A}}"
    assert parse_schema_text(text).schema.observations == [
        Observation(name="a", type=ObservationType.INT_LIST, min_items=1, max_items=2, minimum=0, description="A")
    ]


@pytest.mark.parametrize("observations", ["", "observations:\n", "observations: {}\n"])
def test_without_observations_there_is_only_raw(observations: str) -> None:
    assert parse_schema_text(DISCRETE + observations).schema.observations == []


def test_a_key_of_digits_stays_as_it_was_written() -> None:
    text = "parameters: {discrete: true, api_key: 0123, url_path: 1.0}"
    assert parse_schema_text(text).api_key == "0123"
    assert parse_schema_text(text).url_path == "1.0"


@pytest.mark.parametrize("nothing", ["", "~", "''"])
def test_an_empty_key_or_path_is_none(nothing: str) -> None:
    pathmind = parse_schema_text(f"parameters: {{discrete: no, api_key: {nothing}, url_path: {nothing}}}")
    assert (pathmind.schema.discrete, pathmind.api_key, pathmind.url_path) == (False, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["the text is empty; it needs `parameters` and, unless all is raw, `observations`"]),
        ("- a", ["line 1: the text: must be a mapping; a list goes into spec.schema"]),
        ("a: [", ["line 1: no valid YAML: expected the node content, but found '<stream end>'"]),
        (DISCRETE + "---\na: 1", ["line 2: no valid YAML: but found another document"]),
        ("[" * 5000, ["no valid YAML: nested too deeply"]),
        ("\x00", ["no valid YAML: unacceptable character #x0000: special characters are not allowed"]),
        ("a" * 65_537, ["the text is larger than 65536 bytes; is it a schema.yaml?"]),
        (
            "observations: {}\n",
            ["parameters.discrete: is missing; say true (actions are whole numbers) or false (real numbers)"],
        ),
        ("parameters: {discrete: 1}", ["line 1: parameters.discrete: must be true or false"]),
        ("parameters: {discrete: [true]}", ["line 1: parameters.discrete: must be true or false"]),
        (
            DISCRETE + "oservations: {}",
            ["line 2: oservations: unknown; there are observations, parameters"],
        ),
        (
            "parameters: {discrete: true, apiKey: a}",
            ["line 1: parameters.apiKey: unknown; there are discrete, tuple, actions, api_key, url_path"],
        ),
        (
            DISCRETE + "observations:\n- name: a",
            ["line 3: observations: must be a mapping; a list goes into spec.schema"],
        ),
        (
            DISCRETE + "observations:\n  a: float",
            ["line 3: observations.a: must be a mapping"],
        ),
        (
            DISCRETE + "observations:\n  a: {description: nothing}",
            [f"line 3: observations.a: has no type; give it one of {TYPES}"],
        ),
        (
            DISCRETE + "observations:\n  a:\n    type: str",
            [f"line 4: observations.a.type: 'str' is not a type that a policy can observe; use one of {TYPES}"],
        ),
        (
            DISCRETE + "observations:\n  a: {type: int}\n  b: {type: int}\n  a: {type: int}",
            ["line 5: observations.a: is on line 3 too"],
        ),
        (
            DISCRETE + "observations:\n  a: {type: int, type: float}",
            ["line 3: observations.a.type: is on line 3 too"],
        ),
        (
            DISCRETE + "observations:\n  a: {type: 'List[int]', min_items: 1, minItems: 1}",
            ["line 3: observations.a.minItems: minItems is there twice; remove one"],
        ),
        (
            DISCRETE + "observations:\n  a:\n    type: List[int]\n    min_items: '4'",
            ["line 5: observations.a.min_items: must be a valid integer"],
        ),
        (
            DISCRETE + "observations:\n  a: {type: int, min_items: 4}",
            [
                "line 3: observations.a: observation 'a' is of type int: minItems and maxItems are for lists;"
                " remove them or make it a List[int]"
            ],
        ),
        (
            DISCRETE + "observations:\n  a: {type: int, minimum: .inf}",
            ["line 3: observations.a.minimum: must be a finite number"],
        ),
        (
            DISCRETE + "observations: {a: {type: int, <<: {type: int}}}",
            [
                "line 2: observations.a.<<: unknown; there are type, min_items, minItems, max_items, maxItems, minimum,"
                " maximum, default, mask, description"
            ],
        ),
        (
            DISCRETE + "observations: {a: {type: int, minimum: !!python/object:os.system a}}",
            ["line 2: observations.a.minimum: has a value that can't be read"],
        ),
        ("parameters: {discrete: !!bool maybe}", ["line 1: parameters.discrete: has a value that can't be read"]),
        ("parameters: [discrete]", ["line 1: parameters: must be a mapping; a list goes into spec.schema"]),
        (DISCRETE + "observations: {[a]: {type: int}}", ["line 2: observations: a key must be a word"]),
        (
            "parameters: {discrete: !!python/object:os.system a}",
            ["line 1: parameters.discrete: must be true or false"],
        ),
    ],
)
def test_a_problem_names_the_line_the_field_and_the_remedy(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


def test_all_problems_are_told_at_once() -> None:
    assert [problem.split(":")[0] for problem in problems("observations:\n  a: {type: str}\n  b: {kind: int}")] == [
        *("line 2", "line 3", "line 3", "parameters.discrete")
    ]


def test_aliases_are_read_but_never_expanded() -> None:
    shared = DISCRETE + "observations: {a: &a {type: int}, b: *a}"
    assert len(parse_schema_text(shared).schema.observations) == 2
    steps = list(itertools.pairwise("abcdefghijklm"))
    bomb = "a: &a [x]\n" + "\n".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in steps)
    merges = "a: &a {x: 1}\n" + "\n".join(f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}" for a, b in steps)
    for text in (bomb, merges):
        start = time.perf_counter()
        assert problems(text)[0] == "line 1: a: unknown; there are observations, parameters"
        assert time.perf_counter() - start < 2


def test_a_conversion_is_a_policy_server_and_its_secret(mouse_text: str) -> None:
    conversion = convert(mouse_text, "mouse", "file:///models/mouse.zip")
    assert conversion.warnings == []
    assert conversion.documents == [
        {
            "apiVersion": "policyserver.io/v1alpha1",
            "kind": "PolicyServer",
            "metadata": {"name": "mouse"},
            "spec": {
                "modelUri": "file:///models/mouse.zip",
                "schema": {
                    "observations": [
                        {"name": "mouse_row", "type": "float"},
                        {"name": "mouse_col", "type": "float"},
                        {"name": "mouse_row_distance", "type": "float"},
                        {"name": "mouse_col_distance", "type": "float"},
                        {"name": "cheese_row", "type": "float"},
                        {"name": "cheese_col", "type": "float"},
                    ],
                    "discrete": True,
                    "tuple": False,
                },
                "apiKeySecret": {"name": "mouse-keys"},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "mouse-keys"},
            "stringData": {"key": "1234567asdfgh"},
        },
    ]


@pytest.mark.parametrize("text", ["mouse_text", "masked_text"])
def test_a_conversion_means_what_the_text_means(text: str, request: pytest.FixtureRequest) -> None:
    written = request.getfixturevalue(text)
    server, secret = yaml.safe_load_all(dump(convert(written, "mouse", "file:///m", "lab").documents))
    pathmind = parse_schema_text(written)
    assert parse(server).spec.observation_schema == pathmind.schema
    assert secret["stringData"] == {"key": pathmind.api_key}
    assert server["metadata"]["namespace"] == secret["metadata"]["namespace"] == "lab"


def test_a_url_path_moves_into_the_spec() -> None:
    (server, *_) = convert("parameters: {discrete: true, url_path: api/v1}", "a", "b:c").documents
    assert server["spec"]["urlPath"] == "api/v1"


def test_without_a_key_nothing_is_made_up() -> None:
    conversion = convert(DISCRETE, "mouse", "file:///m")
    assert [document["kind"] for document in conversion.documents] == ["PolicyServer"]
    assert conversion.documents[0]["spec"]["apiKeySecret"] == {"name": "mouse-keys"}
    assert conversion.warnings == [
        "the schema has no api_key, so no Secret was written; make one before the PolicyServer is applied:"
        " kubectl create secret generic mouse-keys --from-literal=key=..."
    ]


def test_a_conversion_that_could_not_be_applied_is_refused() -> None:
    with pytest.raises(InvalidPolicyServerError, match=r"^metadata\.name: must be at most 63"):
        convert(DISCRETE, "Mouse", "file:///m")
    with pytest.raises(InvalidPolicyServerError, match=r"^spec\.urlPath: must not start with a route"):
        convert("parameters: {discrete: true, url_path: docs}", "mouse", "file:///m")


def test_two_long_names_never_share_a_secret() -> None:
    made = [convert(DISCRETE, "m" * 62 + end, "file:///m").documents[0]["spec"]["apiKeySecret"] for end in "ab"]
    assert made[0] != made[1]
    assert all(len(secret["name"]) <= 63 for secret in made)


def test_a_reader_of_yaml_1_1_gets_texts_where_texts_were_meant(document: Callable[..., dict[str, Any]]) -> None:
    words = ["y", "N", "on", "0o17", "1e3", "12e34567", "0123", "1_000", "12:30:45", "2026-01-02", ".5", "-", "~"]
    for word in words:
        assert f'"{word}"' in dump([{"key": word}]) or f"'{word}'" in dump([{"key": word}])
    assert dump([{"key": "mouse_row", "i": 1, "f": 0.5, "b": True}]) == "key: mouse_row\ni: 1\nf: 0.5\nb: true\n"
    assert list(yaml.safe_load_all(dump([document(), document()]))) == [document(), document()]


def test_masks_defaults_and_names_of_actions_are_read() -> None:
    text = """
    observations:
      allowed: {type: 'List[bool]', mask: true, default: [true, false]}
      speed: {type: float, default: 0.5}
    parameters: {discrete: true, actions: [left, 'on']}
    """
    schema = parse_schema_text(text).schema
    assert schema.observations == [
        Observation(name="allowed", type=ObservationType.BOOL_LIST, mask=True, default=[True, False]),
        Observation(name="speed", type=ObservationType.FLOAT, default=0.5),
    ]
    assert schema.actions == ["left", "on"]
    (server,) = convert(text + "      ", "mouse", "file:///m").documents[:1]
    assert server["spec"]["schema"]["actions"] == ["left", "on"]
    assert server["spec"]["schema"]["observations"][0] == {
        "name": "allowed",
        "type": "List[bool]",
        "default": [True, False],
        "mask": True,
    }


@pytest.mark.parametrize(
    ("observations", "expected"),
    [
        ("a: {type: float, mask: true}", "a mask is a List[bool]"),
        ("a: {type: float, default: fast}", "its default is not of type float"),
        ("a: {type: float, default: [[1]]}", "line 2: observations.a.default: must be a single value"),
        ("a: {type: float, default: {b: 1}}", "line 2: observations.a.default: must be a single value"),
        ("a: {type: 'List[bool]', mask: yes please}", "line 2: observations.a.mask: must be a valid boolean"),
    ],
)
def test_a_wrong_mask_or_default_is_told_with_its_line(observations: str, expected: str) -> None:
    assert expected in "\n".join(problems(f"{DISCRETE}observations: {{{observations}}}"))


@pytest.mark.parametrize("actions", ["left", "{left: 1}", "[left, [right]]", "[left, ~]"])
def test_names_of_actions_are_a_list_of_words(actions: str) -> None:
    (problem,) = problems(f"parameters: {{discrete: true, actions: {actions}}}")
    assert problem == "line 1: parameters.actions: must be a list of names, as in [left, right]"
