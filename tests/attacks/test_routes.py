"""Of the framework's routes only those are there that somebody needs, in any version, however they are spelled."""

from __future__ import annotations

import re
from collections.abc import Iterator

import gradio as gr
import pytest
from gradio.routes import App as Framework

from clone.ui.gate import ROUTES, NoRoute, find
from tests.attacks.sockets import raw, told
from tests.running import App

SERVED = {
    "GET /",
    "HEAD /",
    "GET /config",
    "GET /static/{path:path}",
    "GET /assets/{path:path}",
    "GET /favicon.ico",
    "GET /theme.css",
    "GET /robots.txt",
    "GET /manifest.json",
    "GET /gradio_api/info",
    "GET /gradio_api/app_id",
    "GET /gradio_api/file={path_or_url:path}",
    "HEAD /gradio_api/file={path_or_url:path}",
    "GET /gradio_api/heartbeat/{session_hash}",
    "POST /gradio_api/call/{api_name}",
    "GET /gradio_api/call/{api_name}/{event_id}",
    "POST /gradio_api/queue/join",
    "GET /gradio_api/queue/data",
    "POST /gradio_api/cancel",
    "POST /gradio_api/reset",
    "POST /gradio_api/upload",
    "GET /gradio_api/upload_progress",
    "GET /gradio_api/startup-events",
    "GET /gradio_api/theme.css",
    "POST /gradio_api/mcp/",
    "GET /gradio_api/mcp/schema",
}
"""What of the framework's routes the page and the programs of README need."""

REFUSED = {
    "GET /openapi.json",
    "HEAD /openapi.json",
    "POST /login",
    "POST /login/",
    "GET /logout",
    "GET /svelte/{path:path}",
    "GET /gradio_api/deep_link",
    "GET /config/",
    "GET /pwa_icon",
    "GET /pwa_icon/{size}",
    "GET /monitoring",
    "GET /monitoring/summary",
    "GET /monitoring/{key}",
    "GET /gradio_api/user",
    "GET /gradio_api/user/",
    "GET /gradio_api/login_check",
    "GET /gradio_api/login_check/",
    "GET /gradio_api/token",
    "GET /gradio_api/token/",
    "GET /gradio_api/app_id/",
    "GET /gradio_api/dev/reload",
    "GET /gradio_api/runs",
    "GET /gradio_api/runs/",
    "POST /gradio_api/run-history/connect",
    "GET /gradio_api/run-history/buckets",
    "GET /gradio_api/run-history/records",
    "GET /gradio_api/run-history/records/{endpoint}/{record_id}/assets/{asset_id}",
    "GET /gradio_api/info/",
    "GET /gradio_api/openapi.json",
    "GET /gradio_api/custom_component/{id}/{environment}/{type}/{file_name}",
    "GET /gradio_api/proxy={url_path:path}",
    "HEAD /gradio_api/proxy={url_path:path}",
    "POST /gradio_api/stream/{event_id}",
    "POST /gradio_api/stream/{event_id}/close",
    "GET /gradio_api/stream/{session_hash}/{run}/{component_id}/playlist.m3u8",
    "GET /gradio_api/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}",
    "GET /gradio_api/stream/{session_hash}/{run}/{component_id}/playlist-file",
    "GET /gradio_api/file/{path:path}",
    "POST /gradio_api/reset/",
    "POST /gradio_api/api/{api_name}",
    "POST /gradio_api/api/{api_name}/",
    "POST /gradio_api/run/{api_name}",
    "POST /gradio_api/run/{api_name}/",
    "POST /gradio_api/call/v2/{api_name}",
    "POST /gradio_api/call/v2/{api_name}/",
    "POST /gradio_api/call/{api_name}/",
    "GET /gradio_api/call/v2/{api_name}/{event_id}",
    "POST /gradio_api/component_server",
    "POST /gradio_api/component_server/",
    "GET /gradio_api/queue/status",
    "POST /gradio_api/process_recording",
    "POST /gradio_api/vibe-edit",
    "POST /gradio_api/vibe-edit/",
    "POST /gradio_api/undo-vibe-edit",
    "POST /gradio_api/undo-vibe-edit/",
    "GET /gradio_api/vibe-code",
    "GET /gradio_api/vibe-code/",
    "POST /gradio_api/vibe-code",
    "POST /gradio_api/vibe-code/",
    "POST /gradio_api/vibe-starter-queries",
    "POST /gradio_api/vibe-starter-queries/",
    "GET /gradio_api/mcp/",
    "DELETE /gradio_api/mcp/",
    "HEAD /gradio_api/mcp/schema",
    "GET /gradio_api/mcp/sse",
    "HEAD /gradio_api/mcp/sse",
    "POST /gradio_api/mcp/messages/",
}
"""What else it has. A route in neither set came with another version: look at it, and put it where it belongs."""

# Mounted applications take any path and method; these are all that the mounted ones look for.
MOUNTED = {
    "/gradio_api/mcp": {f"{each} /gradio_api/mcp/" for each in ("GET", "POST", "DELETE")},
    "/gradio_api/mcp/messages": {"POST /gradio_api/mcp/messages/"},
}
READABLE = {"HEAD /gradio_api/mcp/schema"}  # reading by HEAD is no more than reading


def routes_of(routes: list[object], prefix: str = "") -> Iterator[str]:
    for route in routes:
        path = prefix + str(getattr(route, "path", ""))
        router = getattr(route, "original_router", None)
        inside = router.routes if router else getattr(route, "routes", None)
        if getattr(route, "methods", None):
            yield from (f"{method} {path}" for method in route.methods)  # type: ignore[attr-defined]
        elif path in MOUNTED:
            yield from MOUNTED[path]
        if inside:
            yield from routes_of(list(inside), path)
        assert inside or getattr(route, "methods", None) or path in MOUNTED, f"{path} is mounted by somebody new"


def example(route: str) -> tuple[str, str]:
    method, path = route.split(" ")
    named = path.replace("/call/{api_name}", "/call/clone")
    return method, re.sub(r"\{[^}]*\}", "x", named)


@pytest.fixture(scope="module")
def table() -> set[str]:
    """Every route of the installed framework."""
    with gr.Blocks() as page:
        gr.api(lambda: "x", api_name="x")
    return set(routes_of(list(Framework.create_app(page, app_kwargs={}, mcp_server=True).routes)))


def test_every_route_of_the_framework_is_decided_on(table: set[str]) -> None:
    assert table == SERVED | REFUSED
    assert not SERVED & REFUSED


@pytest.mark.parametrize("route", sorted(SERVED | REFUSED))
def test_the_gate_holds_the_decision(route: str) -> None:
    method, path = example(route)
    scope = {"type": "http", "method": method, "path": path, "query_string": b""}
    if route in SERVED | READABLE:
        assert find(scope) in ROUTES
    else:
        with pytest.raises(NoRoute):
            find(scope)


@pytest.mark.parametrize("route", sorted(REFUSED - READABLE - {"GET /openapi.json", "HEAD /openapi.json"}))
def test_a_refused_route_is_not_there(public: App, route: str) -> None:
    method, path = example(route)
    answer = raw(public, method, path)
    assert answer.status == 404
    assert method == "HEAD" or b"no such page" in told(answer)


@pytest.mark.parametrize(
    "target",
    [
        "/monitoring",
        "/monitoring/",
        "//monitoring",
        "/./monitoring",
        "/%6donitoring",
        "/monitoring%2F",
        "/MONITORING",
        "/monitoring?x",
        "/monitoring;x",
        "/monitoring/summary",
        "/gradio_api/monitoring",
        "/assets/../monitoring",
        "/assets/%2e%2e/monitoring",
        "/static/..%2Fmonitoring",
        "http://127.0.0.1/monitoring",
        "/gradio_api//proxy=https://example.com/x.mp3",
        "/gradio_api/proxy%3Dhttps://example.com/x.mp3",
        "/gradio_api/%70roxy=https://huggingface.co/x.mp3",
        "/gradio_api/deep_link?session_hash=x",
        "/gradio_api/file/etc/passwd",
        "/assets/..%5c..%5cx",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PUT"])
def test_no_spelling_leads_to_one(public: App, method: str, target: str) -> None:
    assert raw(public, method, target).status in (404, 405, 400)
