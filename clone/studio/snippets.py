"""Programs that send one request of the contract: curl, Python and JavaScript, as a person would write them.

Pure functions from a request to text, which runs as it stands whatever is in the request's texts. The key is never in
it: a program reads it from the environment. What is not known yet is a name in capitals between < and >.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from clone.contract import cloning
from clone.contract.speech import LANGUAGES

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


RECORDING_OPEN, CLIP_OPEN, SAID_OPEN = "<LINK TO THE RECORDING>", "<LINK TO THE CLIP>", "<WHAT IS SAID IN THE CLIP>"
VOICE_OPEN, TEXT_OPEN = "<VOICE_ID>", "<TEXT TO SPEAK>"
OPEN = re.compile(f"({'|'.join((RECORDING_OPEN, CLIP_OPEN, SAID_OPEN, VOICE_OPEN, TEXT_OPEN))})")
"""What stands for something that is not known yet."""


@dataclass(frozen=True)
class RequestCode:
    """A request as programs.

    Attributes:
        snippets: in each language.
        expires_at: when its links to recordings end, None where none was lent.
        links: to the recording, and to the prompt clip if there is one.
    """

    snippets: tuple[Snippet, ...]
    expires_at: datetime | None = None
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class CloneDraft:
    """A clone as far as it is known; nothing of it is checked. Empty is what is not known, or not asked for.

    ``language`` is a code; the contract has no field for it here.
    """

    audio_url: str = ""
    text: str = ""
    model: str = ""
    accuracy: float | None = None
    noise: bool = False
    volume: bool = False
    prompt_url: str = ""
    prompt_text: str = ""
    has_prompt: bool = False
    language: str | None = None
    expires_at: datetime | None = None

    @property
    def path(self) -> str:
        """Where it goes."""
        return "/v3/minimax-voice-cloning"

    @property
    def body(self) -> dict[str, Any]:
        """What is sent."""
        body: dict[str, Any] = {"audio_url": self.audio_url or RECORDING_OPEN}
        if self.text.strip():
            body |= {"text": self.text, "model": self.model}
        if self.accuracy is not None and self.accuracy != cloning.ACCURACY_DEFAULT:
            body["accuracy"] = self.accuracy
        body |= {"need_noise_reduction": True} if self.noise else {}
        body |= {"need_volume_normalization": True} if self.volume else {}
        if self.has_prompt:
            clip, said = self.prompt_url or CLIP_OPEN, self.prompt_text.strip() or SAID_OPEN
            body["clone_prompt"] = {"prompt_audio_url": clip, "prompt_text": said}
        return body

    @property
    def shown(self) -> tuple[str, ...]:
        """What is printed of the answer."""
        return ("voice_id", "demo_audio_url") if self.text.strip() else ("voice_id",)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of it."""
        name = LANGUAGES.get(self.language or "")
        told = f"It is not said that the text is {name}: cloning has no field for it, speaking has language_boost."
        return (told,) if name and self.text.strip() else ()


@dataclass(frozen=True)
class SpeakDraft:
    """A text to be spoken as far as it is known; nothing of it is checked. Empty is what is not known.

    ``is_foreign``: the voice was made in a browser whose voices no key speaks for.
    """

    voice_id: str = ""
    text: str = ""
    model: str = ""
    speed: float = 1.0
    pitch: int = 0
    volume: float = 1.0
    format: str = "mp3"
    language: str | None = None
    is_foreign: bool = False
    expires_at: datetime | None = None

    @property
    def is_long(self) -> bool:
        """Whether it is spoken as a task, whose result is asked for later."""
        return len(self.text) >= cloning.SPEECH_LIMIT_CHARS

    @property
    def path(self) -> str:
        """Where it goes."""
        return f"/v3{'/async' * self.is_long}/minimax-{self.model}"

    @property
    def body(self) -> dict[str, Any]:
        """What is sent."""
        how = {"speed": (self.speed, 1.0), "vol": (self.volume, 1.0), "pitch": (self.pitch, 0)}
        changed = {name: value for name, (value, own) in how.items() if value != own}
        body: dict[str, Any] = {"text": self.text if self.text.strip() else TEXT_OPEN}
        body["voice_setting"] = {"voice_id": self.voice_id or VOICE_OPEN, **changed}
        body |= {"audio_setting": {"format": self.format}} if self.format != "mp3" else {}
        body |= {"language_boost": LANGUAGES[self.language]} if self.language in LANGUAGES else {}
        return body if self.is_long else body | {"output_format": "url"}

    @property
    def shown(self) -> tuple[str, ...]:
        """What is printed of the answer."""
        if self.is_long:
            return ("task_id",)
        return ("data.audio",) if self.model in cloning.NEWEST else ("audio",)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of it."""
        notes = ["The text is long: its audio is asked for with /v3/async/task-result?task_id=…"] * self.is_long
        foreign = "This voice belongs to one browser alone. Clone it with your key, and put that voice_id in."
        return (*notes, *([foreign] if self.is_foreign else []))


Draft = CloneDraft | SpeakDraft


@dataclass(frozen=True)
class Request:
    """A POST to be written out.

    Attributes:
        base_url: of the service, without a slash at the end.
        path: begins with a slash.
        body: exactly what is sent: texts, numbers, booleans and objects of these, by the contract's names.
        key_name: the variable of the environment that holds the key.
        expires_at: until when the recording's link works, to be said; None when there is nothing to say.
        shown: what is printed of the answer; a dot leads into an object.
        notes: what else is said above.
    """

    base_url: str
    path: str
    body: Mapping[str, Any]
    key_name: str
    expires_at: datetime | None = None
    shown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Where it goes."""
        return self.base_url + self.path


def clone_code(request: Request) -> tuple[Snippet, ...]:
    """Return programs that clone a voice and print its voice_id, and the preview's address if a text is spoken."""
    return _programs(replace(request, shown=("voice_id", "demo_audio_url")[: 1 + ("text" in request.body)]))


def draft_code(draft: Draft, base_url: str, key_name: str) -> RequestCode:
    """Return programs for what is known of a request; they run once what is open in them is filled in.

    Args:
        draft: what is known.
        base_url: of the service, without a slash at the end.
        key_name: the variable of the environment that holds the key.
    """
    what = Request(base_url, draft.path, draft.body, key_name, draft.expires_at, draft.shown, draft.notes)
    return RequestCode(_programs(what), draft.expires_at)


def _programs(request: Request) -> tuple[Snippet, ...]:
    made = {CURL: _curl, PYTHON: _python, JAVASCRIPT: _javascript}
    return tuple(Snippet(language, program(request)) for language, program in made.items())


def _curl(request: Request) -> str:
    # A body between quoted delimiters reaches curl as it stands, also where it is pasted into an interactive shell;
    # as JSON it has no line that could be the delimiter.
    return f"""{_head(request, "#")}
curl -sS --fail-with-body {shlex.quote(request.url)} \\
  -H "Authorization: Bearer ${request.key_name}" \\
  -H "Content-Type: application/json" \\
  -d @- <<'JSON'
{_written(request.body, _JSON)}
JSON
"""


def _python(request: Request) -> str:
    keys = ("".join(f'["{key}"]' for key in name.split(".")) for name in request.shown)
    prints = "\n".join(f"print(answer{key})" for key in keys)
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


def _javascript(request: Request) -> str:
    prints = "\n".join(f"  console.log(answer.{name});" for name in request.shown)
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
    said += [f"{mark} {note}" for note in request.notes]
    if OPEN.search(json.dumps(request.body, ensure_ascii=False)):
        said.append(f"{mark} Put in what stands in capitals between < and >.")
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
