"""The document is held to its word: whatever is asked, an answer it describes comes back, and never a 5xx.

What asks is loaded by the tests, not with the file: it takes seconds, of every process that collects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from clone.api.app import DIALECTS
from clone.api.openapi import document
from tests.serving import KEYS, Served, bearer, serving

if TYPE_CHECKING:
    import schemathesis

# Left out: that everything the schemas allow is accepted. No schema can say that a text has a letter in it and is
# English, that a URL leads to a recording, or that a voice is there.
HELD = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
)
NAMES = [
    operation["operationId"] for methods in document("", DIALECTS)["paths"].values() for operation in methods.values()
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Without a URL that may be fetched: what is asked here is made up."""
    with serving(tmp_path_factory.mktemp("api") / "home", background=False, allow_private_urls=False) as served:
        yield served


@pytest.fixture(scope="module")
def described(api: Served) -> schemathesis.BaseSchema:
    import schemathesis

    return schemathesis.openapi.from_url(f"{api.url}/openapi.json")


@pytest.mark.parametrize("asked", ["positive", "negative"])
@pytest.mark.parametrize("name", NAMES)
def test_every_answer_is_documented(described: schemathesis.BaseSchema, name: str, asked: str) -> None:
    from hypothesis import HealthCheck, given, settings
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    mode, health = GenerationMode(asked), list(HealthCheck)
    operations = [each.ok() for each in described.get_all_operations()]
    operation = next(each for each in operations if each.definition.raw["operationId"] == name)
    raw = operation.definition.raw
    if mode is GenerationMode.NEGATIVE and not ({"requestBody", "parameters"} & raw.keys()):
        return  # it takes nothing that could be wrong
    statuses, by_body = set(), raw["tags"] == ["MiniMax"]  # by HTTP all is well there, whatever base_resp says
    held = [getattr(checks, each) for each in HELD if not (by_body and each == "negative_data_rejection")]

    @settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=health)
    @given(case=operation.as_strategy(generation_mode=mode))
    def every(case: schemathesis.Case) -> None:
        answer = case.call_and_validate(headers=bearer(KEYS[0]), checks=[not_a_server_error, *held], timeout=30)
        statuses.add(answer.status_code)

    every()
    assert statuses <= {200, 400, 401, 403, 404, 405, 429}
