"""The OpenAPI document as a page for people: plain HTML, no script, nothing loaded from anywhere."""

from __future__ import annotations

import json
from html import escape

from clone.api.dialect import Json

_JSON = "application/json"
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
        _operation(document, method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag["name"] in operation["tags"]
    ]
    name = escape(tag["name"])
    return f'<h2 id="{name}">{name}</h2><p>{escape(tag["description"])}</p>{"".join(operations)}'


def _operation(document: Json, method: str, path: str, operation: Json) -> str:
    parts = [f"<section><h3>{escape(operation['summary'])}</h3><p><code>{method} {escape(path)}</code></p>"]
    parts.append(f"<p>{escape(operation['description'])}</p>")
    given = operation.get("parameters", [])
    rows: list[tuple[str, ...]] = [
        (p["name"], p["in"], f"{_kind(p['schema'])}. {p.get('description', '')}", "required" if p["required"] else "")
        for p in given
    ]
    contents = operation.get("requestBody", {}).get("content", {})
    content = contents.get("application/json")
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
        examples = response["content"].get("application/json", {}).get("examples", {})
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
