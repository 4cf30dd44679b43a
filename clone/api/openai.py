"""OpenAI's dialect: speech as bytes while it is spoken, or as events; the models; transcripts.

Source: OpenAI's API reference, "Audio" and "Models".
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from pydantic import BaseModel, BeforeValidator, Field, StrictStr, WithJsonSchema, field_validator

from clone.api.dialect import Dialect, Operation, given
from clone.api.requests import Sent, read_body, read_form
from clone.api.responses import event, headers_of
from clone.api.service import Service, Speech, begun
from clone.contract.cloning import MODELS, SPEECH_LIMIT_CHARS, RequestModel, check_model, tier
from clone.contract.speech import OutputFormat, SpeechSettings, check_speech_text
from clone.core.errors import ApiKeyError, CancelledError, TimbreError, VoiceError
from clone.studio.prompts import Transcript

MODELS_OF = {"hd": MODELS[-2], "turbo": MODELS[-1]}
"""What speaks for a model of theirs, by the tier that it is like."""
THEIRS = {"tts-1": "turbo", "tts-1-hd": "hd", "gpt-4o-mini-tts": "turbo"}
OWN_PREFIX = MODELS[0].partition("-")[0] + "-"
SPEED_MIN, SPEED_MAX = 0.25, 4.0

SOUNDS = {
    "mp3": (OutputFormat("mp3", 24000), "audio/mpeg"),
    "opus": (OutputFormat("opus", 48000, 64000), "audio/ogg"),
    "aac": (OutputFormat("aac", 24000), "audio/aac"),
    "flac": (OutputFormat("flac", 24000), "audio/flac"),
    "wav": (OutputFormat("wav", 24000), "audio/wav"),
    "pcm": (OutputFormat("pcm", 24000), "audio/pcm"),
}
"""pcm is 24 kHz, 16-bit little-endian, mono. Source: as above, response_format."""


def _id_of(voice: Any) -> Any:
    return voice["id"] if isinstance(voice, dict) and "id" in voice else voice


_WORD = {"type": "string", "minLength": 1}
_VOICE = {"anyOf": [_WORD, {"type": "object", "required": ["id"], "properties": {"id": _WORD}}]}
VoiceWord = Annotated[StrictStr, Field(min_length=1), BeforeValidator(_id_of), WithJsonSchema(_VOICE)]


class SpeechBody(RequestModel):
    """The body of ``POST /v1/audio/speech``."""

    model: StrictStr = Field(
        min_length=1,
        description=f"{', '.join(MODELS)}; or any other name: {', '.join(f'{k} is {v}' for k, v in THEIRS.items())}, "
        "and what has “hd” in it is hd.",
    )
    input: StrictStr = Field(min_length=1, description=f"Fewer than {SPEECH_LIMIT_CHARS:,} characters.")
    voice: VoiceWord = Field(description="A voice of yours: its voice_id, its name, or {“id”: …}.")
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: Annotated[float, Field(strict=True, ge=SPEED_MIN, le=SPEED_MAX)] = 1.0
    stream_format: Literal["audio", "sse"] = "audio"
    instructions: StrictStr | None = Field(None, description="Accepted, and without effect here.")

    @field_validator("input")
    @classmethod
    def _input(cls, text: str) -> str:
        return check_speech_text(text)

    @field_validator("model")
    @classmethod
    def _model(cls, model: str) -> str:
        return check_model(model) if model.startswith(OWN_PREFIX) else model

    @property
    def spoken_by(self) -> str:
        """The model of ours that speaks."""
        return model_for(self.model)


class TranscriptionBody(RequestModel):
    """The fields of ``POST /v1/audio/transcriptions``, beside ``file``."""

    model: StrictStr = Field("whisper-1", description="Any name: one recognizer is here.")
    language: StrictStr | None = Field(None, description="ISO 639-1 code or name; told from the speech where left out.")
    response_format: Literal["json", "text", "verbose_json"] = "json"


class Model(BaseModel):
    """A model as it is listed."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "timbre"


class ModelList(BaseModel):
    """The answer of ``GET /v1/models``."""

    object: Literal["list"] = "list"
    data: list[Model]


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """Every error of this dialect."""

    error: ErrorDetail


def model_for(name: str) -> str:
    """Return the model of ours that speaks for a name."""
    return name if name in MODELS else MODELS_OF[THEIRS.get(name) or tier(f"-{name}")]


def refusal(error: TimbreError) -> Response:
    """Return an error of ours as OpenAI words it."""
    status = 401 if isinstance(error, ApiKeyError) else 400 if isinstance(error, VoiceError) else error.status
    kind = "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    code = "invalid_api_key" if status == 401 else error.code
    trace = f" Trace id: {error.trace_id}." if error.trace_id else ""
    param = {"text": "input", "voice_id": "voice", "audio": "file"}.get(error.field or "", error.field)
    detail = ErrorDetail(message=f"{error}{trace}", type=kind, param=param, code=code)
    return JSONResponse(ErrorBody(error=detail).model_dump(), status, headers_of(error))


class VoiceItem(BaseModel):
    """A voice as it is listed."""

    id: str
    name: str


class VoiceList(BaseModel):
    """The answer of ``GET /v1/audio/voices``."""

    voices: list[VoiceItem]


class Transcription(BaseModel):
    """What was said; the rest for ``verbose_json`` alone."""

    text: str
    task: str | None = None
    language: str | None = None
    duration: float | None = None


_SAID = {"model": "tts-1", "input": "Hello, this is my voice.", "voice": "voice_…", "response_format": "mp3"}
_LISTED = (400, 401, 404, 500, 503)
DIALECT = Dialect(
    "OpenAI",
    "For the OpenAI SDK, and what asks as it does: base URL …/v1, the key as API key.",
    ("/v1",),
    refusal,
    ErrorBody,
    (
        Operation(
            "post",
            "/v1/audio/speech",
            "openaiSpeech",
            "Speak",
            "Makes the voice permanent. The bytes are sent while they are spoken; pcm is 24 kHz, 16-bit, mono. A voice "
            "that is not there speaks by TIMBRE_DEFAULT_VOICE where that is set. Beyond speeds of "
            "0.5 to 2, speech is stretched.",
            SpeechBody,
            _SAID,
            answers={**{media: None for _, media in SOUNDS.values()}, "text/event-stream": None},
        ),
        Operation(
            "post",
            "/v1/audio/transcriptions",
            "openaiTranscribe",
            "Write down",
            "What is said in a recording, by the recognizer that checks prompt clips.",
            TranscriptionBody,
            file="file",
            answers={"application/json": Transcription, "text/plain": None},
            shown={"text": "Hello, this is my voice."},
        ),
        Operation(
            "get",
            "/v1/audio/voices",
            "openaiVoices",
            "List voices",
            "The key holder's own.",
            answers={"application/json": VoiceList},
            shown={"voices": [{"id": "voice_…", "name": "Ada"}]},
            errors=_LISTED,
        ),
        *(
            Operation(
                "get",
                path,
                name,
                "List models",
                "Ours, and the names of theirs that are known.",
                answers={"application/json": ModelList},
                shown=ModelList(data=[Model(id=MODELS[-1])]).model_dump(),
                errors=_LISTED,
            )
            for path, name in (("/v1/models", "openaiModels"), ("/v1/audio/models", "openaiSpeechModels"))
        ),
        Operation(
            "get",
            "/v1/models/{model}",
            "openaiModel",
            "Tell of a model",
            "One that is listed.",
            answers={"application/json": Model},
            shown=Model(id=MODELS[-1]).model_dump(),
            given=(given("model", "path", {"type": "string", "minLength": 1}),),
            errors=_LISTED,
        ),
    ),
)


class OpenAI:
    """Its routes."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def add_to(self, app: FastAPI) -> None:
        """Add the routes to an application."""
        app.add_api_route("/v1/audio/speech", self.speak, methods=["POST"])
        app.add_api_route("/v1/audio/transcriptions", self.transcribe, methods=["POST"])
        app.add_api_route("/v1/audio/voices", self.voices, methods=["GET"])
        app.add_api_route("/v1/models", self.models, methods=["GET"])
        app.add_api_route("/v1/audio/models", self.models, methods=["GET"])
        app.add_api_route("/v1/models/{model}", self.model, methods=["GET"])

    async def speak(self, request: Request) -> Response:
        """Say a text; what is answered is sent while it is spoken."""
        owner = self._service.owner(request)
        asked = await read_body(request, SpeechBody)
        await self._service.count("speak", owner)
        voice = await self._service.voice(asked.voice, owner, or_default=True)
        what = (asked.input, asked.spoken_by)
        order = await self._service.order(owner, voice.voice_id, what, settings=SpeechSettings(speed=asked.speed))
        sound, media = SOUNDS[asked.response_format]
        speech = await self._service.speech(request, order, sound, open_ended=True)
        headers = {"Cache-Control": "no-store"}
        if asked.stream_format == "sse":
            events = await begun(_events(speech, len(asked.input)))
            return StreamingResponse(events, media_type="text/event-stream", headers=headers)
        return StreamingResponse(while_heard(await speech.streamed()), media_type=media, headers=headers)

    async def models(self, request: Request) -> Response:
        """List the models: ours, and the names of theirs that are known."""
        self._service.owner(request)
        return JSONResponse(ModelList(data=[Model(id=name) for name in (*MODELS, *THEIRS)]).model_dump())

    async def model(self, request: Request, model: str) -> Response:
        """Tell of one model."""
        self._service.owner(request)
        return JSONResponse(Model(id=model if model in THEIRS else check_model(model)).model_dump())

    async def voices(self, request: Request) -> Response:
        """List the voices of the key's holder, as Open WebUI asks for them."""
        owner = self._service.owner(request)
        found = await to_thread.run_sync(self._service.studio.voices, owner)
        listed = [VoiceItem(id=each.voice_id, name=each.name or each.called) for each in found]
        return JSONResponse(VoiceList(voices=listed).model_dump())

    async def transcribe(self, request: Request) -> Response:
        """Write down what is said in a recording."""
        owner = self._service.owner(request)
        async with read_form(request, TranscriptionBody, ("file",)) as (asked, sent):
            await self._service.count("check", owner)
            heard = await to_thread.run_sync(self._transcribed, sent, asked)
        if asked.response_format == "text":
            return PlainTextResponse(heard.text + "\n")
        more: dict[str, Any] = {}
        if asked.response_format == "verbose_json":
            more = {"task": "transcribe", "language": heard.language, "duration": round(heard.duration_s, 2)}
        return JSONResponse({"text": heard.text} | more)

    def _transcribed(self, sent: Sent, asked: TranscriptionBody) -> Transcript:
        with self._service.studio.folder() as folder:
            path = Path(folder) / "recording"
            with path.open("wb") as file:
                shutil.copyfileobj(sent.file, file)
            return self._service.studio.transcribe(path, asked.language)


async def while_heard(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what is spoken; whoever left hears no more, and ends the work."""
    try:
        async with aclosing(cast(Any, pieces)):
            async for piece in pieces:
                yield piece
    except CancelledError:
        return


async def _events(speech: Speech, n_chars: int) -> AsyncIterator[bytes]:
    """Yield speech as events; what fails once it began is an event too."""
    has_begun = False
    try:
        async with aclosing(cast(Any, speech.pieces())) as pieces:
            async for piece in pieces:
                has_begun = True
                yield event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})
        usage = {"input_tokens": n_chars, "output_tokens": 0, "total_tokens": n_chars}
        yield event({"type": "speech.audio.done", "usage": usage})
    except CancelledError:
        return
    except TimbreError as error:
        if not has_begun:
            raise
        yield event({"type": "error"} | ErrorBody.model_validate_json(bytes(refusal(error).body)).model_dump())
