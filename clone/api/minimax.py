"""MiniMax's own dialect: cloning from a file that is sent first, speech plain and streamed, the voices.

Every answer has ``base_resp``, and HTTP says 200 wherever that tells what is wrong. Source: MiniMax's API reference,
"File", "Voice clone", "T2A" and "Voice management".
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field, StrictInt, StrictStr, field_validator

from clone.api.dialect import Dialect, Operation
from clone.api.requests import read_body, read_form
from clone.api.responses import SUCCESS, event, extra_of, headers_of, wrapped
from clone.api.service import Service, Speech, begun
from clone.contract.cloning import (
    MODELS,
    CloneOptions,
    ModelName,
    RequestModel,
    check_model,
    check_prompt_text,
    parse,
)
from clone.contract.orders import CloneOrder, SpeakOrder
from clone.contract.speech import ShortText, SpeechRequest, language_code
from clone.core.errors import (
    ApiKeyError,
    AudioError,
    BusyError,
    CancelledError,
    FetchError,
    Refused,
    TimbreError,
    VoiceError,
)
from clone.storage.uploads import KEPT_S, MAX_PER_OWNER
from clone.storage.voice import Voice
from clone.studio.facade import Cloned

UNKNOWN, LIMITED, NOT_AUTHORIZED, INVALID, BAD_SAMPLE, BAD_LENGTH = 1000, 1002, 1004, 2013, 20132, 2037
"""Source: MiniMax's list of error codes."""

_VOICE_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{6,254}[A-Za-z0-9]")
_VOICE_ID_SAID = "8 to 256 letters, digits, - and _, the first a letter, the last neither - nor _"


class Prompt(RequestModel):
    """A short clip of the same voice, and what is said in it."""

    prompt_audio: StrictInt | StrictStr = Field(description="The file_id of an upload.")
    prompt_text: StrictStr = Field(min_length=1)

    _text = field_validator("prompt_text")(check_prompt_text)


class CloneBody(CloneOptions):
    """The body of ``POST /v1/voice_clone``."""

    file_id: StrictInt | StrictStr = Field(description="Of an upload.")
    voice_id: StrictStr = Field(description=f"Yours to choose: {_VOICE_ID_SAID}; not one you have.")
    clone_prompt: Prompt | None = None
    language_boost: ShortText | None = None
    text_validation: StrictStr | None = Field(None, max_length=200, description="What must be said in the file.")

    @field_validator("voice_id")
    @classmethod
    def _chosen(cls, voice_id: str) -> str:
        if not _VOICE_ID.fullmatch(voice_id):
            raise Refused(
                f"voice_id is “{voice_id[:40]}”; it must be {_VOICE_ID_SAID}.",
                code="bad_voice_id",
                field="voice_id",
                measured=len(voice_id),
                limit=_VOICE_ID_SAID,
            )
        return voice_id


class T2aBody(SpeechRequest):
    """The body of ``POST /v1/t2a_v2``."""

    model: ModelName

    @field_validator("model", mode="before")
    @classmethod
    def _model(cls, model: Any) -> Any:
        return check_model(model) if isinstance(model, str) else model


class VoicesBody(RequestModel):
    """The body of ``POST /v1/get_voice``."""

    voice_type: Literal["all", "system", "voice_cloning", "voice_generation", "music_generation"] = "all"


class DeleteBody(RequestModel):
    """The body of ``POST /v1/delete_voice``."""

    voice_type: Literal["voice_cloning", "voice_generation"] = "voice_cloning"
    voice_id: StrictStr = Field(min_length=1)


class UploadBody(RequestModel):
    """The fields of ``POST /v1/files/upload``, beside ``file``."""

    purpose: Literal["voice_clone", "prompt_audio"] = Field(description="What it is for.")


class BaseResp(BaseModel):
    """How it went: 0 is well."""

    status_code: int = 0
    status_msg: str = "success"


class Answer(BaseModel):
    """What every answer has."""

    base_resp: BaseResp = BaseResp()


class FileItem(BaseModel):
    """A file that was sent."""

    file_id: int
    bytes: int
    created_at: int
    filename: str
    purpose: str


class Uploaded(Answer):
    """The answer of ``POST /v1/files/upload``."""

    file: FileItem | None = None


class ClonedAnswer(Answer):
    """The answer of ``POST /v1/voice_clone``."""

    input_sensitive: bool = False
    input_sensitive_type: int = 0
    demo_audio: str = ""


class VoiceItem(BaseModel):
    """A voice as it is listed."""

    voice_id: str
    voice_name: str
    description: list[str] = []
    created_time: str


class VoicesAnswer(Answer):
    """The answer of ``POST /v1/get_voice``."""

    system_voice: list[VoiceItem] = []
    voice_cloning: list[VoiceItem] = []
    voice_generation: list[VoiceItem] = []


class DeletedAnswer(Answer):
    """The answer of ``POST /v1/delete_voice``."""

    voice_id: str = ""
    created_time: str = ""


class SpeechData(BaseModel):
    """Audio in hex, or a link to it; status 1 while there is more, 2 at the end."""

    audio: str
    status: int
    subtitle_file: str | None = None


class SpeechAnswer(Answer):
    """The answer of ``POST /v1/t2a_v2``, and each of its events."""

    data: SpeechData | None = None
    extra_info: dict[str, Any] | None = None
    trace_id: str | None = None


def code_of(error: TimbreError) -> int:
    """Return MiniMax's code for an error of ours."""
    if error.service_code:
        return error.service_code
    if isinstance(error, ApiKeyError):
        return NOT_AUTHORIZED
    if isinstance(error, BusyError):
        return LIMITED
    if isinstance(error, AudioError | FetchError) and error.code != "unknown_file":
        return BAD_LENGTH if error.code in ("too_short", "too_long") else BAD_SAMPLE
    return INVALID if isinstance(error, Refused | VoiceError) or error.status in (404, 405) else UNKNOWN


def base_resp(error: TimbreError) -> BaseResp:
    """Return an error of ours as MiniMax words it."""
    trace = f" Trace id: {error.trace_id}." if error.trace_id else ""
    return BaseResp(status_code=code_of(error), status_msg=f"{error}{trace}")


def refusal(error: TimbreError) -> Response:
    """Return an error of ours as MiniMax answers it: by HTTP all is well, unless it failed here or is no path."""
    status = error.status if error.status >= 500 or error.code == "not_found" else 200
    return _json(Answer(base_resp=base_resp(error)), status, headers_of(error))


def _json(answer: Answer, status: int = 200, headers: dict[str, str] | None = None) -> JSONResponse:
    trace = {"Trace-Id": uuid.uuid4().hex}
    return JSONResponse(answer.model_dump(exclude_none=True), status, trace | (headers or {}))


_FILE_ID = 234567890123456
_T2A = {"model": MODELS[-1], "text": "Hello, this is my voice.", "voice_setting": {"voice_id": "AdaVoice01"}}
_SPOKEN = SpeechAnswer(data=SpeechData(audio="fffb…", status=2), extra_info={"usage_characters": 24}, trace_id="…")
_ERRORS = (500, 503, 507)
DIALECT = Dialect(
    "MiniMax",
    "MiniMax's own: its SDKs and agents are pointed here by another host alone. Every answer has base_resp, and HTTP "
    "says 200 where that tells what is wrong. The same speech over a WebSocket: /ws/v1/t2a_v2, with task_start, "
    "task_continue and task_finish.",
    ("/v1/files", "/v1/voice_clone", "/v1/t2a_v2", "/v1/get_voice", "/v1/delete_voice", "/v3/minimax-en"),
    refusal,
    Answer,
    (
        Operation(
            "post",
            "/v1/files/upload",
            "minimaxUpload",
            "Send a recording",
            f"It is kept for {KEPT_S / 60:.0f} minutes, for the key's holder alone, at most {MAX_PER_OWNER} at a time.",
            UploadBody,
            file="file",
            answers={"application/json": Uploaded},
            shown={"file": {"file_id": _FILE_ID}, "base_resp": SUCCESS},
            errors=_ERRORS,
        ),
        Operation(
            "post",
            "/v1/voice_clone",
            "minimaxClone",
            "Clone a voice from it",
            "Whoever holds the key attests, with every clone, that the person in the recording agreed to be cloned. "
            "text_validation refuses a file that does not say that, by accuracy.",
            CloneBody,
            {"file_id": _FILE_ID, "voice_id": "AdaVoice01", "text": _T2A["text"], "model": MODELS[-1]},
            answers={"application/json": ClonedAnswer},
            shown={"demo_audio": "https://timbre.example/links/…", "base_resp": SUCCESS},
            errors=_ERRORS,
        ),
        *(
            Operation(
                "post",
                path,
                name,
                "Speak",
                "Makes the voice permanent. With stream the last event has status 2, extra_info and the whole audio "
                "again, unless stream_options.exclude_aggregated_audio. A GroupId is ignored.",
                T2aBody,
                _T2A,
                answers={"application/json": SpeechAnswer, "text/event-stream": None},
                shown=_SPOKEN.model_dump(exclude_none=True),
                errors=_ERRORS,
            )
            for path, name in (("/v1/t2a_v2", "minimaxSpeech"), ("/v3/minimax-en/v1/t2a_v2", "minimaxSpeechHosted"))
        ),
        Operation(
            "post",
            "/v1/get_voice",
            "minimaxVoices",
            "List voices",
            "There are none but the key holder's own.",
            VoicesBody,
            {"voice_type": "all"},
            answers={"application/json": VoicesAnswer},
            shown=VoicesAnswer().model_dump(),
            errors=_ERRORS,
        ),
        Operation(
            "post",
            "/v1/delete_voice",
            "minimaxDelete",
            "Forget a voice",
            "Its recordings are deleted at once.",
            DeleteBody,
            {"voice_type": "voice_cloning", "voice_id": "AdaVoice01"},
            answers={"application/json": DeletedAnswer},
            shown={"voice_id": "AdaVoice01", "base_resp": SUCCESS},
            errors=_ERRORS,
        ),
    ),
)


class MiniMax:
    """Its routes."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def add_to(self, app: FastAPI) -> None:
        """Add the routes to an application."""
        app.add_api_route("/v1/files/upload", self.upload, methods=["POST"])
        app.add_api_route("/v1/voice_clone", self.clone, methods=["POST"])
        app.add_api_route("/v1/t2a_v2", self.speak, methods=["POST"])
        app.add_api_route("/v3/minimax-en/v1/t2a_v2", self.speak, methods=["POST"])
        app.add_api_route("/v1/get_voice", self.voices, methods=["POST"])
        app.add_api_route("/v1/delete_voice", self.delete, methods=["POST"])

    async def upload(self, request: Request) -> Response:
        """Keep a recording for a while."""
        owner = self._service.owner(request)
        async with read_form(request, UploadBody, ("file",)) as (asked, sent):
            kept = await to_thread.run_sync(self._service.uploads.add, owner, asked.purpose, sent.name, sent.file)
        item = FileItem(
            file_id=kept.file_id, bytes=kept.n_bytes, created_at=int(kept.at), filename=kept.name, purpose=kept.purpose
        )
        return _json(Uploaded(file=item))

    async def clone(self, request: Request) -> Response:
        """Clone a voice from a file that was sent, under an id that its owner chooses."""
        owner = self._service.owner(request)
        asked = await read_body(request, CloneBody)
        order = self._clone_order(owner, asked)
        await self._service.count("clone", owner)
        if asked.text_validation is not None:
            what = (cast(Path, order.audio), asked.text_validation, asked.accuracy)
            await to_thread.run_sync(self._service.studio.check_said, *what)
        cloned = await self._service.clone(request, order)
        return _json(ClonedAnswer(demo_audio=await self._demo(request, cloned)))

    async def speak(self, request: Request) -> Response:
        """Say a text: as one answer, by a link, or as events."""
        owner = self._service.owner(request)
        asked = await read_body(request, T2aBody)
        asked.check_stream()
        await self._service.count("speak", owner)
        order = await order_of(self._service, owner, asked)
        speech = await self._service.speech(request, order, asked.audio_setting)
        headers = {"Cache-Control": "no-store", "Trace-Id": uuid.uuid4().hex}
        if asked.stream:
            events = await begun(self._events(request, speech, order, asked))
            return StreamingResponse(events, media_type="text/event-stream", headers=headers)
        data, kind = await speech.file(), asked.audio_setting.format
        is_link = asked.output_format == "url"
        audio = await self._service.kept(request, owner, asked.model, data, kind) if is_link else data.hex()
        done = {"audio": audio, "status": 2} | await self._service.subtitles(
            request, speech, order, wanted=asked.subtitle_enable
        )
        return JSONResponse(wrapped(done, extra_of(speech, asked)), headers=headers)

    async def voices(self, request: Request) -> Response:
        """List the voices of the key's holder."""
        owner = self._service.owner(request)
        asked = await read_body(request, VoicesBody)
        wanted = asked.voice_type in ("all", "voice_cloning")
        found = await to_thread.run_sync(self._service.studio.voices, owner) if wanted else []
        return _json(VoicesAnswer(voice_cloning=[_item(voice) for voice in found]))

    async def delete(self, request: Request) -> Response:
        """Delete a voice of the key's holder, with all its recordings; by its id alone."""
        owner = self._service.owner(request)
        asked = await read_body(request, DeleteBody)
        voice = await self._service.voice(asked.voice_id, owner)
        if asked.voice_id not in (voice.voice_id, voice.called):
            raise VoiceError("There is no voice with this voice_id.", code="unknown_voice", field="voice_id")
        await to_thread.run_sync(self._service.studio.forget, voice.voice_id, owner)
        return _json(DeletedAnswer(voice_id=voice.called, created_time=_day(voice.created_at)))

    def _clone_order(self, owner: str, asked: CloneBody) -> CloneOrder:
        uploads, prompt = self._service.uploads, asked.clone_prompt
        clip = uploads.get(_number(prompt.prompt_audio, "clone_prompt.prompt_audio"), owner) if prompt else None
        return CloneOrder(
            owner=owner,
            audio=uploads.get(_number(asked.file_id, "file_id"), owner).path,
            options=parse(CloneOptions, asked.model_dump(include=set(CloneOptions.model_fields))),
            consent=True,
            prompt_audio=clip.path if clip else None,
            prompt_text=prompt.prompt_text if prompt else None,
            name=asked.voice_id,
            language=language_code(asked.language_boost),
            as_sent=True,
            voice_id=asked.voice_id,
        )

    async def _demo(self, request: Request, cloned: Cloned) -> str:
        return await self._service.preview(request, cloned) if cloned.voice.file("preview") else ""

    async def _events(
        self, request: Request, speech: Speech, order: SpeakOrder, asked: T2aBody
    ) -> AsyncIterator[bytes]:
        said, has_begun = bytearray(), False
        again = not (asked.stream_options and asked.stream_options.exclude_aggregated_audio)
        try:
            async with aclosing(cast(Any, speech.pieces())) as pieces:
                async for audio in pieces:
                    has_begun = True
                    if again:
                        said += audio
                    yield event(wrapped({"audio": audio.hex(), "status": 1}))
            done = {"audio": said.hex(), "status": 2} | await self._service.subtitles(
                request, speech, order, wanted=asked.subtitle_enable
            )
            yield event(wrapped(done, extra_of(speech, asked)))
        except CancelledError:
            return
        except TimbreError as error:
            if not has_begun:
                raise
            yield event(json.loads(bytes(refusal(error).body)))


async def order_of(service: Service, owner: str, asked: T2aBody, text: str | None = None) -> SpeakOrder:
    """Return what is to be said, with the owner's voices; raises VoiceError."""
    what = (asked.text if text is None else text, asked.model)
    return await service.order(owner, asked.voice_setting.voice_id, what, settings=asked.settings, mix=asked.mix)


def _number(file_id: int | str, field: str) -> int:
    text = str(file_id)
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise Refused(f"{field} is “{text[:40]}”; it must be a number.", code="invalid", field=field, limit="a number")
    return int(text)


def _item(voice: Voice) -> VoiceItem:
    note = [voice.note] if voice.note else []
    name = voice.name or voice.called
    return VoiceItem(voice_id=voice.called, voice_name=name, description=note, created_time=_day(voice.created_at))


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"
