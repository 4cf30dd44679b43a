"""The page's own events, asked for over sockets as a browser does: no browser, so two tabs can press at one moment."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from clone.ui import strings

WITHIN_S = 60
LINK, UPLOAD = strings.LINK, strings.UPLOAD
"""Where a recording comes from, as the page has it."""


class Tab:
    """One tab of a visitor; two tabs of one visitor share a token."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self.token = token or secrets.token_urlsafe(32)
        self.visit = secrets.token_hex(6)
        self._config: dict[str, Any] = requests.get(f"{url}/config", timeout=WITHIN_S).json()
        self._components = {each["id"]: each for each in self._config["components"]}

    def press(self, elem_id: str, event: str, data: dict[str, Any] | None = None, **filled: Any) -> Iterator[str]:
        """Cause an event; yield what is said of it, until it is over.

        Args:
            elem_id: of the component; of a place, its id after ``place-``.
            event: its event, such as ``click``.
            data: what the browser says along with it.
            filled: what stands in which input, by its elem_id with _ for -; the others hold what they start with.
        """
        index, dependency = self._dependency(elem_id, event)
        values = [self._value(each, filled) for each in dependency["inputs"]]
        body = {"data": values, "fn_index": index, "session_hash": self.visit, "event_data": data, "trigger_id": None}
        joined = requests.post(f"{self.url}/gradio_api/queue/join", json=body, timeout=WITHIN_S)
        joined.raise_for_status()
        where = f"{self.url}/gradio_api/queue/data"
        with requests.get(where, params={"session_hash": self.visit}, stream=True, timeout=WITHIN_S) as stream:
            for line in stream.iter_lines():
                yield json.dumps(json.loads(line[5:]), ensure_ascii=False) if line.startswith(b"data:") else ""
                if b"process_completed" in line or b"close_stream" in line:
                    return

    def told(self, *args: Any, **filled: Any) -> str:
        """Cause an event, and return everything that is said of it."""
        return "\n".join(self.press(*args, **filled))

    def upload(self, path: Path) -> dict[str, Any]:
        """Upload a recording; return what an input then holds."""
        with path.open("rb") as file:
            sent = requests.post(f"{self.url}/gradio_api/upload", files={"files": file}, timeout=WITHIN_S)
        return {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}, "orig_name": path.name}

    def _dependency(self, elem_id: str, event: str) -> tuple[int, dict[str, Any]]:
        for dependency in self._config["dependencies"]:
            for target, name in dependency["targets"]:
                props = self._components.get(target, {}).get("props", {})
                named = elem_id in (props.get("elem_id"), f"place-{props.get('id')}")
                if named and name == event and dependency["backend_fn"]:
                    return int(dependency["id"]), dependency
        raise LookupError(f"{elem_id} has no {event}")

    def _value(self, component: int, filled: dict[str, Any]) -> Any:
        each = self._components[component]
        if each["type"] == "browserstate":
            return self.token
        return filled.get(str(each["props"].get("elem_id")).replace("-", "_"), each["props"].get("value"))
