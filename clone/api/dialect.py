"""What a dialect is: whose paths it has, how it words errors, and what its document says of each operation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import Response
from pydantic import BaseModel

from clone.core.errors import ApiKeyError, BusyError, DiskFull, Refused, TimbreError

Json = dict[str, Any]

SAMPLES: dict[int, TimbreError] = {
    400: Refused("speed is 9; it must be at most 2.", code="invalid", field="speed", measured=9, limit="at most 2"),
    401: ApiKeyError("This API key is not known here.", code="bad_key", advice="Check the key."),
    404: Refused("There is no such API.", code="not_found", advice="See /docs."),
    429: BusyError("8 jobs of yours are waiting; at most 8 may wait.", code="quota_work", advice="Try again soon."),
    500: TimbreError("Something went wrong on this side."),
    503: BusyError("16 jobs are waiting; at most 16 may wait.", code="queue_full", advice="Try again in a moment."),
    507: DiskFull(),
}
"""One error of each status, as an example."""
SAMPLES[404].status, SAMPLES[503].status = 404, 503


@dataclass(frozen=True, eq=False)
class Operation:
    """What the document says of a route.

    Attributes:
        body: of a request in JSON, or the fields of a form; ``example`` is one.
        file: the name of a form's file; None where the body is JSON.
        answers: the answer's model by media type; None for bytes or a stream of events.
        shown: an example of the answer in JSON.
        given: parameters of path and query.
        errors: statuses.
    """

    method: str
    path: str
    name: str
    summary: str
    about: str
    body: type[BaseModel] | None = None
    example: Json = field(default_factory=dict)
    file: str | None = None
    answers: Mapping[str, type[BaseModel] | None] = field(default_factory=dict)
    shown: Json = field(default_factory=dict)
    given: tuple[Json, ...] = ()
    errors: tuple[int, ...] = (400, 401, 404, 429, 500, 503, 507)


@dataclass(frozen=True, eq=False)
class Dialect:
    """A service's way to be asked and to answer.

    Attributes:
        name: heads its operations in the document.
        about: what is said below that.
        paths: what its paths begin with.
        refusal: words an error.
        error: the model of such an answer.
        operations: what there is.
        security: the schemes that its key comes by.
    """

    name: str
    about: str
    paths: tuple[str, ...]
    refusal: Callable[[TimbreError], Response]
    error: type[BaseModel]
    operations: tuple[Operation, ...]
    security: tuple[str, ...] = ("key",)

    def share(self, path: str) -> int:
        """Return how much of a path is this dialect's own; 0 where nothing is."""
        return max((len(own) for own in self.paths if path == own or path.startswith(f"{own}/")), default=0)

    def models(self) -> list[type[BaseModel]]:
        """Return every model that the document needs."""
        bodies = [each.body for each in self.operations if each.body is not None]
        answers = [model for each in self.operations for model in each.answers.values() if model is not None]
        return [*dict.fromkeys([*bodies, *answers, self.error])]

    def described(self) -> Json:
        """Return its part of the document: operations by path and method."""
        paths: Json = {}
        for each in self.operations:
            paths.setdefault(each.path, {})[each.method] = self._operation(each)
        return paths

    def _operation(self, asked: Operation) -> Json:
        answers = {
            media: _content(model, asked.shown if media == "application/json" else None)
            for media, model in asked.answers.items()
        }
        told: Json = {
            "operationId": asked.name,
            "tags": [self.name],
            "summary": asked.summary,
            "description": asked.about,
            "security": [{scheme: []} for scheme in self.security],
            "responses": {"200": {"description": "Done.", "content": answers}}
            | {str(status): self._refusal(status) for status in asked.errors},
        }
        if asked.given:
            told["parameters"] = list(asked.given)
        if asked.body is not None:
            told["requestBody"] = {"required": True, "content": _request(asked, asked.body)}
        return told

    def _refusal(self, status: int) -> Json:
        example = json.loads(bytes(self.refusal(SAMPLES[status]).body))
        told: Json = {"description": str(SAMPLES[status]), "content": {}}
        told["content"]["application/json"] = _content(self.error, example)
        if status in (429, 503):
            told["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}}
        return told


def given(name: str, where: str, schema: Json, about: str = "") -> Json:
    """Return a parameter of the path, or one of the query that may be left out."""
    told = {"name": name, "in": where, "required": where == "path", "schema": schema}
    return told | ({"description": about} if about else {})


def _content(model: type[BaseModel] | None, example: Any = None) -> Json:
    schema = {"type": "string"} if model is None else {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"schema": schema} | ({"examples": {"example": {"value": example}}} if example else {})


def _request(asked: Operation, body: type[BaseModel]) -> Json:
    ref = {"$ref": f"#/components/schemas/{body.__name__}"}
    if asked.file is None:
        return {"application/json": {"schema": ref, "examples": {"example": {"value": asked.example}}}}
    file = {"type": "object", "required": [asked.file], "properties": {asked.file: _FILE}}
    return {"multipart/form-data": {"schema": {"allOf": [ref, file]}}}


_FILE = {"type": "string", "format": "binary"}
