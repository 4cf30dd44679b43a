"""The tools as agents are shown them: what Gradio makes of the endpoints, with limits, kinds of answers and hints.

Made for Gradio 6.31.0, which knows a tool's name, description and the types of its parameters, and no more.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gradio.mcp import GradioMCPServer
from mcp import types
from mcp.server import Server

from clone.contract import cloning, speech
from clone.core import __version__
from clone.storage.voice import NAME_MAX_CHARS

NAME = "timbre"
ABOUT = (
    "Clones the voice of one person from a recording, if that person agreed, and speaks with it. Ask check first "
    "whether a recording is good; voices lists what is there already."
)

Json = dict[str, Any]
Handler = Callable[[Any], Awaitable[types.ServerResult]]

_LANGUAGE = {"enum": [speech.AUTO, *speech.LANGUAGES.values(), *speech.LANGUAGES]}
_TEXT = {"maxLength": cloning.TEXT_MAX_CHARS}
_MODEL = {"enum": list(cloning.MODELS)}
LIMITS: dict[str, dict[str, Json]] = {
    "check": {"recording": {"minLength": 1}},
    "clone": {
        "recording": {"minLength": 1},
        "text": _TEXT,
        "model": _MODEL,
        "name": {"maxLength": NAME_MAX_CHARS},
        "start_s": {"minimum": 0},
        "end_s": {"minimum": 0},
        "prompt_text": {"maxLength": cloning.PROMPT_TEXT_MAX_CHARS},
        "accuracy": {"minimum": cloning.ACCURACY_MIN, "maximum": cloning.ACCURACY_MAX},
        "language": _LANGUAGE,
    },
    "speak": {
        "voice_id": {"minLength": 1},
        "text": {"minLength": 1, **_TEXT},
        "model": _MODEL,
        "speed": {"minimum": speech.SPEED_MIN, "maximum": speech.SPEED_MAX},
        "vol": {"exclusiveMinimum": 0, "maximum": speech.VOLUME_MAX},
        "pitch": {"minimum": speech.PITCH_MIN, "maximum": speech.PITCH_MAX},
        "format": {"enum": ["mp3", "wav"]},
        "language": _LANGUAGE,
    },
    "voices": {},
}
"""By tool and parameter, what its schema says beside the type."""

_STRING, _MAYBE = {"type": "string"}, {"type": ["string", "null"]}
_NUMBER = {"type": ["number", "null"]}
ANSWERS: dict[str, Json] = {
    "check": {"findings": {"type": "array", "items": {"type": "object"}}, "segment": {"type": ["object", "null"]}},
    "clone": {
        "voice_id": _STRING, "likeness": _NUMBER, "told": _MAYBE, "expires_at": _MAYBE,
        "replayed": {"type": "boolean"}, "preview": _MAYBE,
    },
    "speak": {"speech": _STRING},
    "voices": {"voices": {"type": "array", "items": {"type": "object"}}},
}  # fmt: skip
"""By tool, what is in its structured answer; the last of clone and of speak is a link."""

HINTS = {
    "check": types.ToolAnnotations(title="Check a recording", readOnlyHint=True, openWorldHint=True),
    "clone": types.ToolAnnotations(
        title="Clone a voice", readOnlyHint=False, destructiveHint=False, idempotentHint=True, openWorldHint=True
    ),
    "speak": types.ToolAnnotations(
        title="Speak with a voice", readOnlyHint=False, destructiveHint=False, idempotentHint=True, openWorldHint=False
    ),
    "voices": types.ToolAnnotations(title="List voices", readOnlyHint=True, openWorldHint=False),
}

_create: Callable[[GradioMCPServer], Server[Any, Any]] = GradioMCPServer.create_mcp_server


def improve(folder: Path) -> None:
    """Have the servers that Gradio makes from now on tell more, and no place on this machine.

    Args:
        folder: the page's temporary folder, in which what links lead to lies.
    """

    def create(made: GradioMCPServer) -> Server[Any, Any]:
        server = _create(made)
        server.name, server.version, server.instructions = NAME, __version__, ABOUT
        handlers: dict[type, Handler] = server.request_handlers
        handlers[types.ListToolsRequest] = _listing(handlers[types.ListToolsRequest])
        handlers[types.CallToolRequest] = _calling(handlers[types.CallToolRequest], folder)
        return server

    GradioMCPServer.create_mcp_server = create  # type: ignore[assignment, method-assign]


def _listing(inner: Handler) -> Handler:
    async def listed(asked: Any) -> types.ServerResult:
        result = await inner(asked)
        assert isinstance(result.root, types.ListToolsResult)
        for tool in result.root.tools:
            name = _own(tool.name)
            for parameter, limits in LIMITS[name].items():
                tool.inputSchema["properties"][parameter] |= limits
            tool.inputSchema["additionalProperties"] = False
            properties = ANSWERS[name]
            tool.outputSchema = {"type": "object", "properties": properties, "required": list(properties)}
            tool.annotations = HINTS[name]
        return result

    return listed


def _calling(inner: Handler, folder: Path) -> Handler:
    async def called(asked: types.CallToolRequest) -> types.ServerResult:
        result = await inner(asked)
        if isinstance(result.root, types.CallToolResult) and not result.root.isError:
            _answer(_own(asked.params.name), result.root, folder)
        return result

    return called


def _answer(name: str, result: types.CallToolResult, folder: Path) -> None:
    """Give an answer its structure, and links that name no folder of this machine; leave out what is none."""
    said = [part.text for part in result.content if isinstance(part, types.TextContent) and part.text != "None"]
    texts = [_without_folder(text, folder) for text in said]
    *first, last = [*texts, ""] if name == "clone" and len(texts) == 1 else texts
    structured: Json = json.loads(first[0]) if first else {} if name == "speak" else json.loads(last)
    if name in ("clone", "speak"):
        structured["preview" if name == "clone" else "speech"] = last or None
    result.content = [types.TextContent(type="text", text=text) for text in texts]
    result.structuredContent = structured


def _without_folder(link: str, folder: Path) -> str:
    """Return a link to a file by its place in the folder alone; see Gate."""
    route = "/gradio_api/file="
    for named in (str(folder), quote(str(folder))):
        link = link.replace(f"{route}{named}/", route)
    return link


def _own(name: str) -> str:
    """Return a tool's name without the Space's, which Gradio puts before it."""
    return next(each for each in LIMITS if name == each or name.endswith(f"_{each}"))
