"""Programs that send one request of the contract: curl, Python and JavaScript, as a person would write them.

Pure functions from a request to text, which runs as it stands whatever is in the request's texts. The key is never in
it: a program reads it from the environment.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

CURL, PYTHON, JAVASCRIPT = "curl", "Python", "JavaScript"

HOSTED_KEY = "NOVITA_API_KEY"
OWN_KEY = "TIMBRE_API_KEY"
"""The environment's variable that a program reads its key from: of the hosted service, and of this app's API."""

_TIMEOUT_S = 300
"""Longer than the hosted service, or this machine, needs for its longest preview."""


class Snippet(NamedTuple):
    """A program, and the language it is in."""

    language: str
    code: str


@dataclass(frozen=True)
class RequestCode:
    """A request as programs; ``expires_at`` is when its links to recordings end, None where none was lent."""

    snippets: tuple[Snippet, ...]
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Request:
    """A POST to be written out.

    Attributes:
        base_url: of the service, without a slash at the end.
        path: begins with a slash.
        body: exactly what is sent: texts, numbers, booleans and objects of these, by the contract's names.
        key_name: the variable of the environment that holds the key.
        expires_at: until when the recording's link works, to be said; None when there is nothing to say.
    """

    base_url: str
    path: str
    body: Mapping[str, Any]
    key_name: str
    expires_at: datetime | None = None

    @property
    def url(self) -> str:
        """Where it goes."""
        return self.base_url + self.path


def clone_code(request: Request) -> tuple[Snippet, ...]:
    """Return programs that clone a voice and print its voice_id, and the preview's address if a text is spoken."""
    shown = ["voice_id"] + ["demo_audio_url"] * ("text" in request.body)
    return (
        Snippet(CURL, _curl(request)),
        Snippet(PYTHON, _python(request, shown)),
        Snippet(JAVASCRIPT, _javascript(request, shown)),
    )


def _curl(request: Request) -> str:
    # A body between quoted delimiters reaches curl as it stands, also where it is pasted into an interactive shell;
    # as JSON it has no line that could be the delimiter.
    return f"""{_head(request, "#")}
curl -sS {shlex.quote(request.url)} \\
  -H "Authorization: Bearer ${request.key_name}" \\
  -H "Content-Type: application/json" \\
  -d @- <<'JSON'
{_written(request.body, _JSON)}
JSON
"""


def _python(request: Request, shown: list[str]) -> str:
    prints = "\n".join(f'print(answer["{name}"])' for name in shown)
    return f"""{_head(request, "#")}
import os

import requests  # pip install requests

body = {_written(request.body, _PYTHON)}

response = requests.post(
    {_PYTHON.text(request.url)},
    headers={{"Authorization": f"Bearer {{os.environ['{request.key_name}']}}"}},
    json=body,
    timeout={_TIMEOUT_S},
)
if not response.ok:
    raise SystemExit(response.text)
answer = response.json()
{prints}
"""


def _javascript(request: Request, shown: list[str]) -> str:
    prints = "\n".join(f"  console.log(answer.{name});" for name in shown)
    # In a function, since Node takes await outside of one in modules only.
    return f"""{_head(request, "//")}
const body = {_written(request.body, _JAVASCRIPT)};

async function main() {{
  const response = await fetch({_JAVASCRIPT.text(request.url)}, {{
    method: "POST",
    headers: {{
      Authorization: `Bearer ${{process.env.{request.key_name}}}`,
      "Content-Type": "application/json",
    }},
    body: JSON.stringify(body),
  }});
  if (!response.ok) throw new Error(await response.text());
  const answer = await response.json();
{prints}
}}

main();
"""


def _head(request: Request, mark: str) -> str:
    said = [f"{mark} Your key is read from the environment variable {request.key_name}."]
    if request.expires_at is not None:
        until = f"{request.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        said.append(f"{mark} The link to the recording works until {until}.")
    return "\n".join(said)


@dataclass(frozen=True)
class _Notation:
    """How a language writes values: ``escape`` is for a character that can't be seen."""

    indent: str
    booleans: tuple[str, str]
    quoted_names: bool
    last_comma: str
    escape: Callable[[str], str]

    def text(self, value: str) -> str:
        """Return a text between double quotes; what is not printable, U+2028 and the like, is escaped."""
        return '"' + "".join(_ESCAPED.get(c) or (c if c.isprintable() else self.escape(c)) for c in value) + '"'


_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _as_json(character: str) -> str:
    return json.dumps(character)[1:-1]


def _as_python(character: str) -> str:
    return character.encode("unicode_escape").decode()


_JSON = _Notation("  ", ("false", "true"), True, "", _as_json)
_PYTHON = _Notation("    ", ("False", "True"), True, ",", _as_python)
_JAVASCRIPT = _Notation("  ", ("false", "true"), False, ",", _as_json)


def _written(value: Any, notation: _Notation, before: str = "") -> str:
    """Return a value as a literal, objects a name a line.

    Args:
        value: a text, a number, a boolean, or a mapping of names to these.
        notation: how it is written.
        before: indentation of the line it ends on.
    """
    if isinstance(value, Mapping):
        inside = before + notation.indent
        names = {name: notation.text(name) if notation.quoted_names else name for name in value}
        lines = [f"{inside}{names[name]}: {_written(each, notation, inside)}" for name, each in value.items()]
        return "{\n" + ",\n".join(lines) + f"{notation.last_comma}\n{before}}}"
    if isinstance(value, bool):
        return notation.booleans[value]
    return notation.text(value) if isinstance(value, str) else repr(value)
