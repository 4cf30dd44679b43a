"""The contract served: the hosted service's API, its work done by the embedded engine.

``build`` makes the FastAPI application; ``Beside`` puts it next to the page on one port.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, cast

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from clone.api import responses
from clone.api.auth import Keys, Limits
from clone.api.docs_page import page
from clone.api.openapi import document
from clone.api.requests import Follower, Health, read_body
from clone.api.worker import Background
from clone.audio.encoder import Encoder
from clone.contract.cloning import MODELS, CloneOptions, CloneRequest
from clone.contract.orders import CloneOrder, SpeakOrder
from clone.contract.speech import LINK_LIFETIME, AsyncSpeechRequest, SpeechRequest
from clone.core.errors import CancelledError, Refused, TimbreError, VoiceError
from clone.core.settings import Settings
from clone.core.signed_urls import ROUTE, App, Scope, Signer, link_route
from clone.core.workspace import kept_secret
from clone.storage.tasks import FAILED, SUCCEED, Task
from clone.studio.facade import Studio
from clone.studio.synthesis import encoded

OURS = ("/v3", "/healthz", "/docs", "/openapi.json", ROUTE.rstrip("/"))
"""Paths that are the API's; everything else is the page's."""

HEALTHY_WITHIN_S = 3.0
"""How long the library's lock and its database may take, each, to be there."""
_SANDBOX = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Cache-Control": "no-store"}


def is_ours(scope: Scope) -> bool:
    """Tell whether a request is the API's."""
    path = str(scope.get("path", ""))
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
    studio: Studio, settings: Settings, keys: Keys, background: Background, limits: Limits | None = None
) -> FastAPI:
    """Return the API of a studio; ``limits`` are shared with whatever else lets the keys in."""
    return Api(studio, settings, keys, background, limits or Limits()).application()


class Api:
    """The routes; every request brings its key, and so its owner."""

    def __init__(self, studio: Studio, settings: Settings, keys: Keys, background: Background, limits: Limits) -> None:
        self._studio = studio
        self._settings = settings
        self._keys = keys
        self._background = background
        self._tasks = studio.tasks()
        self._signer = Signer(kept_secret(settings.home / "link_secret").encode())
        self._follower = Follower()
        self._limits = limits
        self._health = Health(partial(studio.check_library, HEALTHY_WITHIN_S))

    def application(self) -> FastAPI:
        """Return the routes as one application."""
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        app.add_api_route("/v3/minimax-voice-cloning", self.clone, methods=["POST"])
        app.add_api_route("/v3/minimax-{model}", self.speak, methods=["POST"])
        app.add_api_route("/v3/async/minimax-{model}", self.speak_later, methods=["POST"])
        app.add_api_route("/v3/async/task-result", self.task_result, methods=["GET"])
        app.add_api_route("/v3/voices/{voice_id:path}", self.forget, methods=["DELETE"])
        app.add_api_route("/healthz", self.health, methods=["GET"])
        app.add_api_route("/openapi.json", self.openapi, methods=["GET"])
        app.add_api_route("/docs", self.docs, methods=["GET"])
        app.mount(ROUTE.rstrip("/"), link_route(self._signer, self._linked))
        app.add_exception_handler(TimbreError, responses.refused)
        app.add_exception_handler(OSError, responses.failed_by_disk)
        app.add_exception_handler(HTTPException, responses.not_found)
        app.add_exception_handler(Exception, responses.failed)
        return app

    async def clone(self, request: Request) -> Response:
        """Clone a voice; its consent is attested by the key's holder, who is noted with it."""
        owner = self._owner(request)
        asked = await read_body(request, CloneRequest)
        self._limits.clone.take(owner)
        prompt = asked.clone_prompt
        order = CloneOrder(
            owner=owner,
            audio=asked.audio_url,
            options=CloneOptions(**asked.model_dump(include=set(CloneOptions.model_fields))),
            consent=True,
            prompt_audio=prompt.prompt_audio_url if prompt else None,
            prompt_text=prompt.prompt_text if prompt else None,
            as_sent=True,
        )
        cloned = await self._follower.result(request, self._studio.clone(order))
        answer: dict[str, str | None] = {"voice_id": cloned.voice.voice_id, "expires_at": cloned.voice.ends}
        if asked.text is not None:
            preview = await to_thread.run_sync(self._preview, cloned.voice.voice_id, owner, str(asked.model))
            answer["demo_audio_url"] = self._link(request, preview)
        return JSONResponse(answer)

    async def speak(self, request: Request, model: str) -> Response:
        """Say a text: as one answer, by a link, or sentence by sentence."""
        _check_path(model)
        owner = self._owner(request)
        asked = await read_body(request, SpeechRequest)
        asked.check_stream()
        self._limits.speak.take(owner)
        order = SpeakOrder(owner, asked.voice_setting.voice_id, asked.text, model, asked.settings)
        if asked.stream:
            return await self._streamed(request, order, asked)
        encoder, setting = await self._encoder(order, asked), asked.audio_setting
        data = encoder.file([piece async for piece in self._pieces(request, order, encoder)])
        if asked.output_format == "url":
            keep = partial(self._tasks.keep, owner, model, data, setting.format)
            audio = self._link(request, await to_thread.run_sync(keep))
        else:
            audio = data.hex()
        return responses.speech_answer(model, audio, setting, responses.extra_of(encoder, len(data), asked.text))

    async def speak_later(self, request: Request, model: str) -> Response:
        """Take a long text, to be spoken as soon as there is time."""
        _check_path(model)
        owner = self._owner(request)
        asked = await read_body(request, AsyncSpeechRequest)
        self._limits.speak.take(owner)
        order = SpeakOrder(owner, asked.voice_setting.voice_id, asked.text, model, asked.settings)
        await to_thread.run_sync(self._studio.check_order, order)
        task = await to_thread.run_sync(self._tasks.add, owner, model, asked.model_dump_json())
        self._background.wake()
        return JSONResponse({"task_id": task.task_id})

    async def task_result(self, request: Request) -> Response:
        """Say how a task stands, and where its audio is."""
        owner = self._owner(request)
        task_id = request.query_params.get("task_id", "")
        if not task_id:
            raise Refused("task_id is missing.", code="missing", field="task_id", advice="Add ?task_id=… to the path.")
        task = await to_thread.run_sync(self._tasks.get, task_id, owner)
        state = {"task_id": task.task_id, "status": task.status, "reason": task.reason if task.status == FAILED else ""}
        audios = []
        if task.status == SUCCEED:
            ttl_s = int((task.expires_at - task.created_at).total_seconds())
            audios = [
                {"audio_url": self._link(request, task), "audio_url_ttl": str(ttl_s), "audio_type": task.file[7:]}
            ]
        return JSONResponse({"task": state, "audios": audios})

    async def forget(self, request: Request, voice_id: str) -> Response:
        """Delete a voice of the key's holder, with all its recordings."""
        owner = self._owner(request)
        try:
            await to_thread.run_sync(self._studio.forget, voice_id, owner)
        except VoiceError as error:
            return responses.no_voice(error)
        return JSONResponse({"voice_id": voice_id})

    async def health(self) -> Response:
        """Say that the server answers and its library can be had, and whether its models are loaded."""
        await self._health.check()
        return JSONResponse({"status": "ok", "ready": self._studio.ready})

    async def openapi(self, request: Request) -> Response:
        """Return the API's document."""
        return JSONResponse(document(self._base(request)))

    async def docs(self, request: Request) -> Response:
        """Return the document for people; it loads nothing from anywhere."""
        return HTMLResponse(page(document(self._base(request))), headers=_SANDBOX)

    async def _pieces(self, request: Request, order: SpeakOrder, encoder: Encoder) -> AsyncIterator[bytes]:
        async with self._follower.following(request, encoded(self._studio.speak_long(order), encoder)) as events:
            async for event in events:
                if isinstance(event, bytes):
                    yield event

    async def _streamed(self, request: Request, order: SpeakOrder, asked: SpeechRequest) -> Response:
        sentences = self._sentences(request, order, asked)
        first = await anext(sentences)  # what refuses the request is still an answer of its own

        async def events() -> AsyncIterator[bytes]:
            try:
                yield first
                async for sentence in sentences:
                    yield sentence
            finally:
                await sentences.aclose()  # type: ignore[attr-defined]

        return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def _sentences(self, request: Request, order: SpeakOrder, asked: SpeechRequest) -> AsyncIterator[bytes]:
        encoder, begun = await self._encoder(order, asked), False
        try:
            async with aclosing(cast(Any, self._pieces(request, order, encoder))) as pieces:
                async for audio in pieces:
                    if audio:
                        begun = True
                        yield responses.event({"audio": audio.hex(), "status": 1})
            yield responses.event({"status": 2})
        except CancelledError:
            return
        except TimbreError as e:
            if not begun:
                raise
            yield bytes(b"data: " + bytes(responses.error_answer(e).body) + b"\n\n")

    async def _encoder(self, order: SpeakOrder, asked: SpeechRequest) -> Encoder:
        return Encoder(asked.audio_setting, await to_thread.run_sync(self._studio.provenance, order))

    def _preview(self, voice_id: str, owner: str, model: str) -> Task:
        data = self._studio.audio(voice_id, owner, "preview").read_bytes()
        return self._tasks.keep(owner, model, data, "mp3")

    def _owner(self, request: Request) -> str:
        return self._keys.owner(request.headers.get("authorization"))

    def _base(self, request: Request) -> str:
        return self._settings.public_url or str(request.base_url).rstrip("/")

    def _link(self, request: Request, task: Task) -> str:
        key = f"speech/{task.task_id}/{task.file}"
        return self._signer.link(self._base(request), key, LINK_LIFETIME.total_seconds())

    def _linked(self, key: str) -> Path | None:
        parts = key.split("/")
        return self._tasks.path(parts[1]) if len(parts) == 3 and parts[0] == "speech" else None


def _check_path(model: str) -> None:
    if model not in MODELS:
        raise HTTPException(404)
