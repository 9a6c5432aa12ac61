import copy
from collections.abc import Callable
from typing import Any

import pytest

Document = dict[str, Any]
VALID: Document = {
    "apiVersion": "policyserver.io/v1alpha1",
    "kind": "PolicyServer",
    "metadata": {"name": "mouse", "namespace": "lab"},
    "spec": {
        "modelUri": "https://models.example/mouse/saved_model.zip",
        "schema": {
            "observations": [
                {"name": "zebra", "type": "float"},
                {"name": "apple", "type": "List[int]", "minItems": 2, "maxItems": 3},
            ],
            "discrete": True,
        },
        "apiKeySecret": {"name": "mouse-keys"},
    },
}


@pytest.fixture
def document() -> Callable[..., Document]:
    """A valid PolicyServer document with some fields of its spec replaced; None removes one."""

    def make(metadata: Document | None = None, **spec: object) -> Document:
        made = copy.deepcopy(VALID)
        made["metadata"] |= metadata or {}
        made["spec"] = {name: value for name, value in (made["spec"] | spec).items() if value is not None}
        return made

    return make


MOUSE = """\
# int, float, bool, str, List[int], List[float]
observations:
  mouse_row:
    type: float
  mouse_col:
    type: float
  mouse_row_distance:
    type: float
  mouse_col_distance:
    type: float
  cheese_row:
    type: float
  cheese_col:
    type: float

parameters:
  discrete: True
  tuple: False
  api_key: "1234567asdfgh"
"""
MASKED = """\
---
parameters:
  discrete: true
  tuple: true
  api_key: 1234567asdfgh
observations:
  actionMask:
    type: List[bool]
    min_items: 4
    max_items: 4
  stateChartState:
    type: List[float]
    min_items: 3
    max_items: 3
"""


@pytest.fixture
def mouse_text() -> str:
    """A Pathmind schema, its observations first."""
    return MOUSE


@pytest.fixture
def masked_text() -> str:
    """A Pathmind schema, its parameters first."""
    return MASKED
