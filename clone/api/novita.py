"""The hosted service's own dialect: cloning by a link, speech plain, streamed and for later, with its errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from clone.api import responses
from clone.api.requests import read_body
from clone.api.service import Service, Speech, begun
from clone.api.worker import Background
from clone.contract.cloning import MODELS, CloneOptions, CloneRequest
from clone.contract.orders import CloneOrder, SpeakOrder
from clone.contract.speech import AsyncSpeechRequest, SpeechRequest
from clone.core.errors import CancelledError, Refused, TimbreError, VoiceError
from clone.storage.tasks import FAILED, QUEUED, SUCCEED

TASK_TYPE = "TEXT_TO_SPEECH"


class Novita:
    """Its routes; every request brings its key, and so its owner."""

    def __init__(self, service: Service, background: Background) -> None:
        self._service = service
        self._background = background

    def add_to(self, app: FastAPI) -> None:
        """Add the routes to an application."""
        app.add_api_route("/v3/minimax-voice-cloning", self.clone, methods=["POST"])
        app.add_api_route("/v3/minimax-{model}", self.speak, methods=["POST"])
        app.add_api_route("/v3/async/minimax-{model}", self.speak_later, methods=["POST"])
        app.add_api_route("/v3/async/task-result", self.task_result, methods=["GET"])
        app.add_api_route("/v3/voices/{voice_id:path}", self.forget, methods=["DELETE"])

    async def clone(self, request: Request) -> Response:
        """Clone a voice; its consent is attested by the key's holder, who is noted with it."""
        owner = self._service.owner(request)
        asked = await read_body(request, CloneRequest)
        await self._service.count("clone", owner)
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
        cloned = await self._service.clone(request, order)
        answer: dict[str, str | None] = {"voice_id": cloned.voice.voice_id, "expires_at": cloned.voice.ends}
        if asked.text is not None:
            answer["demo_audio_url"] = await self._service.preview(request, cloned)
        return JSONResponse(answer)

    async def speak(self, request: Request, model: str) -> Response:
        """Say a text: as one answer, by a link, or sentence by sentence."""
        _check_path(model)
        owner = self._service.owner(request)
        asked = await read_body(request, SpeechRequest)
        asked.check_stream()
        await self._service.count("speak", owner)
        order = await self._order(owner, model, asked)
        speech = await self._service.speech(request, order, asked.audio_setting)
        if asked.stream:
            events = await begun(self._events(request, speech, order, asked))
            return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        data, kind = await speech.file(), asked.audio_setting.format
        is_link = asked.output_format == "url"
        audio = await self._service.kept(request, owner, model, data, kind) if is_link else data.hex()
        subtitles = await self._service.subtitles(request, speech, order, wanted=asked.subtitle_enable)
        return responses.speech_answer(model, audio, subtitles, responses.extra_of(speech, asked))

    async def speak_later(self, request: Request, model: str) -> Response:
        """Take a long text, to be spoken as soon as there is time."""
        _check_path(model)
        owner = self._service.owner(request)
        asked = await read_body(request, AsyncSpeechRequest)
        await self._service.count("speak", owner)
        order = await self._order(owner, model, asked)
        await to_thread.run_sync(self._service.studio.check_order, order)
        task = await to_thread.run_sync(self._service.tasks.add, owner, model, asked.model_dump_json())
        self._background.wake()
        return JSONResponse({"task_id": task.task_id})

    async def task_result(self, request: Request) -> Response:
        """Say how a task stands, and where its audio is."""
        owner = self._service.owner(request)
        task_id = request.query_params.get("task_id", "")
        if not task_id:
            raise Refused("task_id is missing.", code="missing", field="task_id", advice="Add ?task_id=… to the path.")
        task = await to_thread.run_sync(self._service.tasks.get, task_id, owner)
        here = self._background.progress_percent(task_id) or task.done_percent
        done = {SUCCEED: 100, FAILED: 100, QUEUED: 0}.get(task.status, here)
        state = {
            "task_id": task.task_id,
            "task_type": TASK_TYPE,
            "status": task.status,
            "reason": task.reason if task.status == FAILED else "",
            "progress_percent": done,
        }
        audios = []
        if task.status == SUCCEED:
            ttl_s = int((task.expires_at - task.created_at).total_seconds())
            link = self._service.link(request, task)
            audios = [{"audio_url": link, "audio_url_ttl": str(ttl_s), "audio_type": task.file[7:]}]
        return JSONResponse({"task": state, "audios": audios})

    async def forget(self, request: Request, voice_id: str) -> Response:
        """Delete a voice of the key's holder, with all its recordings."""
        owner = self._service.owner(request)
        try:
            await to_thread.run_sync(self._service.studio.forget, voice_id, owner)
        except VoiceError as error:
            return responses.no_voice(error)
        return JSONResponse({"voice_id": voice_id})

    async def _order(self, owner: str, model: str, asked: SpeechRequest | AsyncSpeechRequest) -> SpeakOrder:
        what = (asked.text, model)
        return await self._service.order(
            owner, asked.voice_setting.voice_id, what, settings=asked.settings, mix=asked.mix
        )

    async def _events(
        self, request: Request, speech: Speech, order: SpeakOrder, asked: SpeechRequest
    ) -> AsyncIterator[bytes]:
        has_begun = False
        try:
            async with aclosing(cast(Any, speech.pieces())) as pieces:
                async for audio in pieces:
                    has_begun = True
                    yield responses.speech_event(order.model, audio)
            subtitles = await self._service.subtitles(request, speech, order, wanted=asked.subtitle_enable)
            yield responses.last_event(order.model, subtitles, responses.extra_of(speech, asked))
        except CancelledError:
            return
        except TimbreError as e:
            if not has_begun:
                raise
            yield bytes(b"data: " + bytes(responses.error_answer(e).body) + b"\n\n")


def _check_path(model: str) -> None:
    if model not in MODELS:
        raise HTTPException(404)
