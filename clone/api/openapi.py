"""The OpenAPI document: every dialect, every field, every status, with examples.

As a page for people it is plain HTML, with no script, and nothing is loaded from anywhere.
"""

from __future__ import annotations

import json
from functools import cache
from html import escape
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from clone.api.auth import CALLS_PER_MINUTE
from clone.api.dialect import Dialect, Json
from clone.contract.cloning import (
    AUDIO_FORMATS,
    MODELS,
    PROMPT_LIMIT_S,
    REFERENCE_MAX_BYTES,
    REFERENCE_MAX_S,
    REFERENCE_MIN_S,
    RETENTION,
    SPEECH_LIMIT_CHARS,
    SPEECH_TASK_MAX_CHARS,
    TEXT_MAX_CHARS,
    CloneRequest,
    CloneResponse,
)
from clone.contract.speech import LANGUAGES, LINK_LIFETIME, TASK_STATUSES, AsyncSpeechRequest, SpeechRequest
from clone.core import __version__

_HOURS = f"{RETENTION.total_seconds() / 3600:.0f}"
_TEXT = "Hello, this is my voice."
_JSON = "application/json"
OWN = "Novita"
OWN_ABOUT = "The hosted service's own: what its clients are pointed at by another base URL alone."
_BASE_RESP = {"status_code": 0, "status_msg": "success"}

ERRORS: dict[int, tuple[str, str, str]] = {
    400: (
        "INVALID_REQUEST_BODY",
        "Accuracy is 2; it must lie between 0 and 1.",
        "No key (MISSING_API_KEY), a body that is not what is described here, an unknown or expired voice, a "
        "transcript that does not fit (INVALID_REQUEST_BODY), or a recording that can't be used (INVALID_AUDIO_FILE).",
    ),
    401: ("FAILED_TO_AUTH", "The Authorization header is no bearer key.", "The key does not come as a bearer key."),
    403: ("INVALID_API_KEY", "This API key is not known here.", "The key is not known here."),
    404: (
        "API_NOT_FOUND",
        "There is no such API. See /docs.",
        "No such path or model, no such task (TASK_NOT_FOUND), or no such voice (VOICE_NOT_FOUND).",
    ),
    429: (
        "RATE_LIMIT_EXCEEDED",
        "8 jobs of yours are waiting; at most 8 may wait.",
        "Too much at once, or too many calls in a minute.",
    ),
    500: ("TASK_FAILED", "Something went wrong on this side.", "It failed here; the trace id is in metadata."),
    503: (
        "SERVICE_NOT_AVAILABLE",
        "16 jobs are waiting; at most 16 may wait.",
        "The queue is full, or the library is held by another program.",
    ),
    507: ("TASK_FAILED", "The disk that Timbre keeps its files on is full.", "The disk is full; nothing was kept."),
}

ABOUT = f"""MiniMax Quick Voice Cloning, served by Timbre and done on this machine.

A voice is temporary: use it in speech synthesis within {_HOURS} hours and it stays, otherwise it is deleted. A preview
does not count as use.

Consent: the contract has no field for it. Whoever holds the key attests, with every clone, that the person in the
recording agreed to be cloned. The key's fingerprint and the time are kept with the voice as that attestation.

At most {CALLS_PER_MINUTE} calls a minute are taken for cloning, and as many for speech, from one key; only calls that
pass the checks of their body count. Links to audio are signed and die after
{LINK_LIFETIME.total_seconds() / 3600:.0f} hours. Speech is in {", ".join(LANGUAGES.values())}, told from the
text unless language_boost says which; some of them need an extra where this runs. In a text, <#0.5#>,
<break time="0.5s"/> and [pause 0.5] are silence, and (laughs), (sighs) and their like are left out."""


def document(base_url: str, dialects: tuple[Dialect, ...] = ()) -> Json:
    """Return the document of the API at an address, in the hosted service's dialect and others."""
    return {**_fixed(dialects), "servers": [{"url": base_url}]}


@cache
def _fixed(dialects: tuple[Dialect, ...]) -> Json:
    models: list[type[BaseModel]] = [CloneRequest, CloneResponse, SpeechRequest, AsyncSpeechRequest]
    models += [model for dialect in dialects for model in dialect.models()]
    pairs: Any = [(model, "validation") for model in models]
    schemas = models_json_schema(pairs, ref_template="#/components/schemas/{model}")[1]["$defs"]
    schemas["SpeechRequest"]["properties"]["text"]["maxLength"] = SPEECH_LIMIT_CHARS - 1
    schemas["AsyncSpeechRequest"]["properties"]["text"]["maxLength"] = SPEECH_TASK_MAX_CHARS
    for option in schemas["CloneRequest"]["properties"]["text"]["anyOf"]:
        if option["type"] == "string":
            option["maxLength"] = TEXT_MAX_CHARS
    return {
        "openapi": "3.1.0",
        "info": {"title": "Timbre", "version": __version__, "description": ABOUT},
        "security": [{"key": []}],
        "tags": [{"name": OWN, "description": OWN_ABOUT}]
        + [{"name": each.name, "description": each.about} for each in dialects],
        "paths": {
            "/v3/minimax-voice-cloning": {"post": _clone()},
            "/v3/minimax-{model}": {"post": _speak()},
            "/v3/async/minimax-{model}": {"post": _speak_later()},
            "/v3/async/task-result": {"get": _task_result()},
            "/v3/voices/{voice_id}": {"delete": _forget()},
            "/healthz": {"get": _health()},
        }
        | {path: operations for dialect in dialects for path, operations in dialect.described().items()},
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "xi": {"type": "apiKey", "in": "header", "name": "xi-api-key"},
            },
            "schemas": schemas | {"Error": _error()},
        },
    }


def _clone() -> Json:
    example = {"audio_url": "https://example.com/voice.mp3", "text": _TEXT, "model": MODELS[-1]}
    prompt = {"prompt_audio_url": "https://example.com/prompt.mp3", "prompt_text": "Good morning."}
    voice = {"voice_id": "voice_3f0c8f2e-2c1c-4f34-9a39-2a6f1d6c2b10"}
    preview = voice | {"demo_audio_url": "https://timbre.example/links/speech/7d2c/speech.mp3?expires=1&signature=…"}
    about = (
        f"The recording is {', '.join(AUDIO_FORMATS)}, {REFERENCE_MIN_S:.0f} to {REFERENCE_MAX_S:.0f} seconds long and "
        f"at most {REFERENCE_MAX_BYTES / 1e6:.0f} megabytes; a prompt clip is shorter than {PROMPT_LIMIT_S:.0f} "
        "seconds. accuracy is the threshold that prompt clip and prompt text are compared with. The same request again "
        "answers with the same voice."
    )
    examples = {"preview": example, "prompt": {"audio_url": example["audio_url"], "clone_prompt": prompt}}
    answer = _json({"$ref": "#/components/schemas/CloneResponse"}, {"preview": preview, "no preview": voice})
    return _operation(
        "clone", "Clone a voice", about, answer, [400, 401, 403, 429, 500, 503, 507], body=("CloneRequest", examples)
    )


def _speak() -> Json:
    example = {"text": _TEXT, "voice_setting": {"voice_id": "voice_…", "speed": 1.1, "pitch": -1}}
    link = {**example, "audio_setting": {"format": "wav", "sample_rate": 44100}, "output_format": "url"}
    plain = {"type": "object", "required": ["audio"], "properties": {"audio": {"type": "string"}}}
    data = {"type": "object", "required": ["audio", "status"], "properties": {"audio": {"type": "string"}}}
    longer = {
        "type": "object",
        "required": ["data", "trace_id", "base_resp", "extra_info"],
        "properties": {"data": data, "extra_info": {"type": "object"}, "base_resp": {"type": "object"}},
    }
    info = {"audio_length": 1840, "audio_sample_rate": 32000, "audio_format": "mp3", "usage_characters": 24}
    newest = {"data": {"audio": "fffb…", "status": 2}, "extra_info": info, "trace_id": "…", "base_resp": _BASE_RESP}
    answer = _json({"anyOf": [plain, longer]}, {"hex": {"audio": "fffb…"}, "of 2.8": newest})
    stream = 'data: {"audio": "fffb…", "status": 1}\n\ndata: {"status": 2}\n\n'
    stream += 'of 2.8: data: {"data": {"audio": "fffb…", "status": 1}, "trace_id": "…", "base_resp": {…}}\n\n'
    answer["text/event-stream"] = {"schema": {"type": "string"}, "example": stream}
    about = (
        f"Makes the voice permanent. The text has fewer than {SPEECH_LIMIT_CHARS:,} characters. The audio is hex, or a "
        f"link; the models {MODELS[-2]} and {MODELS[-1]} answer in a longer shape. With stream there is an event a "
        "sentence, then one with status 2; what is streamed is hex, and no wav."
    )
    body = ("SpeechRequest", {"hex": example, "url": link, "stream": {**example, "stream": True}})
    return _operation(
        "speak", "Speak", about, answer, [400, 401, 403, 404, 429, 500, 503, 507], body=body, given=[_model()]
    )


def _speak_later() -> Json:
    example = {"text": _TEXT, "voice_setting": {"voice_id": "voice_…"}, "audio_setting": {"format": "mp3"}}
    about = f"For texts up to {SPEECH_TASK_MAX_CHARS:,} characters. A task that a restart interrupts begins again."
    answer = _json(_strings("task_id"), {"taken": {"task_id": "7d2c1c5e-0f0e-4f3a-8f9b-0a7a5f1c9d11"}})
    body = ("AsyncSpeechRequest", {"mp3": example})
    errors = [400, 401, 403, 404, 429, 500, 503, 507]
    return _operation("speakLater", "Speak later", about, answer, errors, body=body, given=[_model()])


def _task_result() -> Json:
    task = _strings("status", "reason", "task_id", "task_type")
    task["properties"]["progress_percent"] = {"type": "integer"}
    task["properties"]["status"]["enum"] = list(TASK_STATUSES)
    audio = _strings("audio_url", "audio_url_ttl")
    schema = {"type": "object", "required": ["task", "audios"]}
    properties = {"task": task, "audios": {"type": "array", "items": audio}}
    done: Json = {"task_id": "7d2c", "task_type": "TEXT_TO_SPEECH", "status": "TASK_STATUS_SUCCEED", "reason": ""}
    done |= {"progress_percent": 100}
    found = {"audio_url": "https://timbre.example/links/…", "audio_url_ttl": "86400"}
    answer = _json({**schema, "properties": properties}, {"spoken": {"task": done, "audios": [found]}})
    given = {"name": "task_id", "in": "query", "required": True, "schema": {"type": "string", "minLength": 1}}
    about = "audio_url_ttl is how long links live, in seconds, as text."
    return _operation("taskResult", "How a task stands", about, answer, [400, 401, 403, 404, 500, 503], given=[given])


def _forget() -> Json:
    given = {"name": "voice_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    about = (
        "Its recordings are deleted at once, expired or not. One that is unknown, gone or another key's is answered "
        "with 404. What the hosted service has of a voice stays there."
    )
    answer = _json(_strings("voice_id"), {"gone": {"voice_id": "voice_…"}})
    return _operation("forget", "Forget a voice", about, answer, [400, 401, 403, 404, 500, 503, 507], given=[given])


def _health() -> Json:
    schema = {"type": "object", "required": ["status", "ready"], "properties": {"ready": {"type": "boolean"}}}
    answer = _json(schema, {"ready": {"status": "ok", "ready": True}})
    about = "ready: the models are loaded. 503: the library can't be had just now."
    return {**_operation("health", "Is it up?", about, answer, [500, 503, 507]), "security": []}


def _operation(
    name: str,
    summary: str,
    about: str,
    answer: Json,
    errors: list[int],
    *,
    body: tuple[str, Json] | None = None,
    given: list[Json] | None = None,
) -> Json:
    responses = {"200": {"description": "Done.", "content": answer}} | {str(each): _refusal(each) for each in errors}
    operation: Json = {"operationId": name, "tags": [OWN], "summary": summary, "description": about}
    operation["responses"] = responses
    if given:
        operation["parameters"] = given
    if body:
        content = _json({"$ref": f"#/components/schemas/{body[0]}"}, body[1])
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _json(schema: Json, examples: Json) -> Json:
    named = {name: {"value": value} for name, value in examples.items()}
    return {_JSON: {"schema": schema, "examples": named}}


def _refusal(status: int) -> Json:
    reason, message, about = ERRORS[status]
    example = {"code": status, "reason": reason, "message": message, "metadata": {}}
    refusal: Json = {"description": about, "content": _json({"$ref": "#/components/schemas/Error"}, {reason: example})}
    if status in (429, 503):
        refusal["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}}
    return refusal


def _model() -> Json:
    return {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "enum": list(MODELS)}}


def _strings(*names: str) -> Json:
    return {"type": "object", "required": list(names), "properties": {name: {"type": "string"} for name in names}}


def _error() -> Json:
    error = _strings("reason", "message")
    error["required"] += ["code", "metadata"]
    error["properties"] |= {"code": {"type": "integer"}, "metadata": {"type": "object"}}
    return error


# the same for people

_STYLE = """
:root{color-scheme:light dark;--line:light-dark(#d4d4d8,#3f3f46);--soft:light-dark(#f4f4f5,#27272a)}
html{background:light-dark(#fff,#18181b);color:light-dark(#18181b,#f4f4f5)}
body{font:16px/1.55 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
a{color:light-dark(#0b5d57,#5eead4)} section{border-top:1px solid var(--line);margin-top:2rem}
code,pre{font:14px/1.5 ui-monospace,monospace;background:var(--soft);border-radius:4px}
code{padding:.1em .3em} pre{padding:.8em;overflow-x:auto}
table{border-collapse:collapse;width:100%} th,td{border-bottom:1px solid var(--line);padding:.4em;text-align:left;
vertical-align:top}
td,code{overflow-wrap:anywhere} td:first-child{overflow-wrap:normal}
@media(max-width:640px){body{margin:1rem auto} thead{display:none} tr,td{display:block}
tr{border-bottom:1px solid var(--line);padding:.5em 0} td{border:0;padding:.1em 0} td:empty{display:none}
td:first-child{font-weight:600;overflow-wrap:anywhere}}
"""


def page(document: Json) -> str:
    """Return the page of a document."""
    info = document["info"]
    description = "".join(f"<p>{escape(each)}</p>" for each in info["description"].split("\n\n"))
    operations = "".join(_dialect(document, tag) for tag in document["tags"])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Timbre: the API</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(info['title'])}: the API</h1>{description}"
        "<p>Every request but <code>/healthz</code> brings <code>Authorization: Bearer YOUR_KEY</code>. "
        f"Dialects: {_links(document)}. "
        'The same as a file: <a href="openapi.json">openapi.json</a></p>'
        f"{operations}</main></body></html>"
    )


def _links(document: Json) -> str:
    return ", ".join(f'<a href="#{escape(tag["name"])}">{escape(tag["name"])}</a>' for tag in document["tags"])


def _dialect(document: Json, tag: Json) -> str:
    operations = [
        _section(document, method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag["name"] in operation["tags"]
    ]
    name = escape(tag["name"])
    return f'<h2 id="{name}">{name}</h2><p>{escape(tag["description"])}</p>{"".join(operations)}'


def _section(document: Json, method: str, path: str, operation: Json) -> str:
    parts = [f"<section><h3>{escape(operation['summary'])}</h3><p><code>{method} {escape(path)}</code></p>"]
    parts.append(f"<p>{escape(operation['description'])}</p>")
    given = operation.get("parameters", [])
    rows: list[tuple[str, ...]] = [
        (p["name"], p["in"], f"{_kind(p['schema'])}. {p.get('description', '')}", "required" if p["required"] else "")
        for p in given
    ]
    contents = operation.get("requestBody", {}).get("content", {})
    content = contents.get(_JSON)
    for schema in (each["schema"] for each in contents.values()):
        for part in schema.get("allOf", [schema]):
            rows += _fields(document, part, "")
    if rows:
        parts.append(_table(("Field", "Where", "What", "Needed"), rows))
    if content:
        example = next(iter(content["examples"].values()))["value"]
        parts.append(f'<h4>For example</h4><pre tabindex="0">{escape(_curl(document, method, path, example))}</pre>')
    parts.append("<h4>Answers</h4>" + _table(("Status", "What", "For example"), _answers(operation["responses"])))
    return "".join(parts) + "</section>"


def _answers(responses: Json) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for status, response in responses.items():
        examples = response["content"].get(_JSON, {}).get("examples", {})
        shown = [json.dumps(each["value"], ensure_ascii=False) for each in examples.values()]
        streams = [media.get("example", name) for name, media in response["content"].items() if name != _JSON]
        rows.append((status, response["description"], "\n".join([*shown, *streams])))
    return rows


def _fields(document: Json, schema: Json, prefix: str) -> list[tuple[str, ...]]:
    resolved = _resolved(document, schema)
    rows: list[tuple[str, ...]] = []
    for name, field in resolved.get("properties", {}).items():
        inner = _resolved(document, field)
        need = "required" if name in resolved.get("required", []) else _default(field)
        rows.append((prefix + name, "body", f"{_kind(inner)}. {field.get('description', '')}".strip(), need))
        if "properties" in inner:
            rows += _fields(document, inner, f"{prefix}{name}.")
    return rows


def _resolved(document: Json, schema: Json) -> Json:
    options = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    found: Json = options[0] if options else schema
    if "$ref" in found:
        found = document["components"]["schemas"][found["$ref"].rpartition("/")[2]]
    return found


def _kind(schema: Json) -> str:
    limits = [f"{said} {schema[name]}" for name, said in _LIMITS.items() if name in schema]
    one_of = [f"one of {', '.join(map(str, schema['enum']))}"] if "enum" in schema else []
    return ", ".join([str(schema.get("type", "const" in schema and schema["const"])), *one_of, *limits])


_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "maxLength": "characters at most",
}


def _default(field: Json) -> str:
    default = field.get("default")
    return "" if default is None or isinstance(default, dict) else f"default {json.dumps(default)}"


def _curl(document: Json, method: str, path: str, body: Json) -> str:
    url = document["servers"][0]["url"] + path.replace("{model}", document["paths"][path]["post"]["parameters"][0][
        "schema"]["enum"][-1] if "{model}" in path else "")  # fmt: skip
    sent = json.dumps(body, indent=2, ensure_ascii=False)
    return (
        f"curl -X {method} {url} \\\n  -H 'Authorization: Bearer YOUR_KEY' \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d '{sent}'"
    )


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    heads = "".join(f"<th>{escape(each)}</th>" for each in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
