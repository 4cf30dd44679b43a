"""The API served, in the dialects of several services, its work done by the embedded engine.

``build`` makes the FastAPI application; ``Beside`` puts it next to the page on one port.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from clone.api import elevenlabs, minimax, openai, responses
from clone.api.auth import Keys, RateLimits, limits_of
from clone.api.elevenlabs import ElevenLabs
from clone.api.minimax import MiniMax
from clone.api.minimax_socket import PATH as SOCKET
from clone.api.minimax_socket import Sockets
from clone.api.novita import Novita
from clone.api.openai import OpenAI
from clone.api.openapi import document, page
from clone.api.requests import Health
from clone.api.service import Service
from clone.api.worker import Background
from clone.core import watch
from clone.core.settings import Settings
from clone.core.signed_urls import ROUTE, App, Scope, link_route
from clone.studio.facade import Studio

DIALECTS = (openai.DIALECT, minimax.DIALECT, elevenlabs.DIALECT)
"""Beside the hosted service's own. Paths below /v1 that are nobody's are OpenAI's."""

OURS = ("/v1", "/v2", "/v3", "/healthz", "/metrics", "/docs", "/openapi.json", ROUTE.rstrip("/"))
"""Paths that are the API's; everything else is the page's."""

HEALTHY_WITHIN_S = 3.0
"""How long the library's lock and its database may take, each, to be there."""
_SANDBOX = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Cache-Control": "no-store"}


def is_ours(scope: Scope) -> bool:
    """Tell whether a request is the API's."""
    path = str(scope.get("path", ""))
    if scope["type"] == "websocket":
        return path == SOCKET
    return scope["type"] == "http" and any(path == own or path.startswith(f"{own}/") for own in OURS)


class Beside:
    """ASGI middleware that hands the API its paths and the page all others.

    Args:
        app: the page.
        api: what ``build`` returned.
    """

    def __init__(self, app: App, api: App) -> None:
        self._page = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve a request by whom it is for."""
        await (self._api if is_ours(scope) else self._page)(scope, receive, send)


def build(
    studio: Studio, settings: Settings, keys: Keys, background: Background, limits: RateLimits | None = None
) -> FastAPI:
    """Return the API of a studio; ``limits`` are shared with whatever else lets the keys in."""
    service = Service(studio, settings, keys, limits or limits_of(studio.counts()))
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for dialect in (
        Novita(service, background),
        OpenAI(service),
        MiniMax(service),
        Sockets(service),
        ElevenLabs(service),
    ):
        dialect.add_to(app)
    _Common(service).add_to(app)
    responses.answer_errors(app, DIALECTS)
    return app


class _Common:
    """What is of no dialect: the document, links, and whether it is up."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._health = Health(partial(service.studio.check_library, HEALTHY_WITHIN_S))

    def add_to(self, app: FastAPI) -> None:
        """Add the routes to an application."""
        app.add_api_route("/healthz", self.health, methods=["GET"])
        app.add_api_route("/healthz/ready", self.is_ready, methods=["GET"])
        app.add_api_route("/metrics", self.metrics, methods=["GET"])
        app.add_api_route("/openapi.json", self.openapi, methods=["GET"])
        app.add_api_route("/docs", self.docs, methods=["GET"])
        app.mount(ROUTE.rstrip("/"), link_route(self._service.signer, self._service.linked))

    async def health(self) -> Response:
        """Say that the server answers and its library can be had, and whether its models are loaded."""
        await self._health.check()
        return JSONResponse({"status": "ok", "ready": self._service.studio.ready})

    async def is_ready(self) -> Response:
        """Say the same by the status, for balancers: 503 while models are loaded, and once it is being stopped."""
        await self._health.check()
        ready = self._service.studio.ready
        return JSONResponse({"status": "ok", "ready": ready}, 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        """Return what is counted, to who has a key."""
        self._service.owner(request)
        return Response(watch.metrics(), media_type=watch.CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        """Return the API's document."""
        return JSONResponse(document(self._service.base(request), DIALECTS))

    async def docs(self, request: Request) -> Response:
        """Return the document for people; it loads nothing from anywhere."""
        return HTMLResponse(page(document(self._service.base(request), DIALECTS)), headers=_SANDBOX)
