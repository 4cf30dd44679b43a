"""ElevenLabs' dialect: speech as bytes, the voices, and cloning from files that come with the request.

Source: ElevenLabs' API reference, "Text to speech" and "Voices".
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field, StrictBool, StrictStr, field_validator

from clone.api.dialect import Dialect, Operation, given
from clone.api.openai import MODELS_OF, OWN_PREFIX, while_heard
from clone.api.requests import Sent, read_body, read_form
from clone.api.responses import headers_of
from clone.api.service import Service, Speech
from clone.contract.cloning import MODELS, SPEECH_LIMIT_CHARS, CloneOptions, RequestModel, check_model
from clone.contract.orders import CloneOrder
from clone.contract.speech import LANGUAGES, SPEED_MAX, SPEED_MIN, OutputFormat, SpeechSettings, check_speech_text
from clone.core.errors import ApiKeyError, Refused, TimbreError, VoiceError
from clone.storage.voice import NAME_MAX_CHARS, Voice, check_name

KEY = "xi-api-key"
QUICK = ("flash", "turbo")
"""What is in the names of their models that are quick; all others are hd here."""

_MEDIA = {"mp3": "audio/mpeg", "pcm": "audio/pcm", "wav": "audio/wav", "opus": "audio/ogg"}
_RATES: dict[str, dict[int, tuple[int, ...]]] = {
    "mp3": {22050: (32,), 24000: (48,), 44100: (32, 64, 96, 128, 192)},
    "opus": {48000: (32, 64, 96, 128, 192)},
}
_PLAIN_RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
FORMATS: dict[str, tuple[OutputFormat, str]] = {
    **{
        f"{kind}_{rate}_{kbps}": (OutputFormat(kind, rate, kbps * 1000), _MEDIA[kind])
        for kind, rates in _RATES.items()
        for rate, of_rate in rates.items()
        for kbps in of_rate
    },
    **{f"{kind}_{rate}": (OutputFormat(kind, rate), _MEDIA[kind]) for kind in ("pcm", "wav") for rate in _PLAIN_RATES},
    "ulaw_8000": (OutputFormat("mulaw", 8000), "audio/basic"),
    "alaw_8000": (OutputFormat("alaw", 8000), "audio/x-alaw-basic"),
}
FORMAT = "mp3_44100_128"
PAGE_MAX = 100

_IDLE = "Accepted, and without effect here."
Share = Annotated[float, Field(strict=True, ge=0, le=1, description=_IDLE)]


class VoiceSettings(RequestModel):
    """How the voice speaks."""

    speed: Annotated[float, Field(strict=True, ge=SPEED_MIN, le=SPEED_MAX)] = 1.0
    stability: Share = 0.5
    similarity_boost: Share = 0.75
    style: Share = 0.0
    use_speaker_boost: StrictBool = Field(True, description=_IDLE)


class TextToSpeechBody(RequestModel):
    """The body of ``POST /v1/text-to-speech/{voice_id}``."""

    text: StrictStr = Field(min_length=1, description=f"Fewer than {SPEECH_LIMIT_CHARS:,} characters.")
    model_id: StrictStr = Field("eleven_multilingual_v2", description="Ours; theirs are turbo by “flash” or “turbo”.")
    voice_settings: VoiceSettings = VoiceSettings()
    language_code: StrictStr | None = Field(None, description="One that is not spoken here: told from the text.")

    @field_validator("text")
    @classmethod
    def _text(cls, text: str) -> str:
        return check_speech_text(text)

    @field_validator("model_id")
    @classmethod
    def _model(cls, model: str) -> str:
        return check_model(model) if model.startswith(OWN_PREFIX) else model

    @property
    def spoken_by(self) -> str:
        """The model of ours that speaks."""
        return self.model_id if self.model_id in MODELS else MODELS_OF["turbo" if self._is_quick else "hd"]

    @property
    def _is_quick(self) -> bool:
        return any(each in self.model_id for each in QUICK)

    @property
    def settings(self) -> SpeechSettings:
        """How it is to be spoken."""
        language = self.language_code if self.language_code in LANGUAGES else None
        return SpeechSettings(self.voice_settings.speed, language=language)


class AddBody(RequestModel):
    """The fields of ``POST /v1/voices/add``, beside ``files``."""

    name: StrictStr = Field(min_length=1, max_length=NAME_MAX_CHARS)
    remove_background_noise: Literal["true", "false", "True", "False"] = "false"
    description: StrictStr | None = Field(None, description=_IDLE)
    labels: StrictStr | None = Field(None, description=_IDLE)

    _name = field_validator("name")(check_name)


class VoiceItem(BaseModel):
    """A voice of the key's holder."""

    voice_id: str
    name: str
    category: Literal["cloned"] = "cloned"
    labels: dict[str, str] = {}
    description: str | None = None
    preview_url: str | None = None
    created_at_unix: int


class VoiceList(BaseModel):
    """The answer of ``GET /v1/voices``."""

    voices: list[VoiceItem]


class VoicePage(VoiceList):
    """The answer of ``GET /v2/voices``."""

    has_more: bool
    total_count: int
    next_page_token: str | None


class Added(BaseModel):
    """The answer of ``POST /v1/voices/add``."""

    voice_id: str
    requires_verification: bool = False


class Deleted(BaseModel):
    """The answer of ``DELETE /v1/voices/{voice_id}``."""

    status: str = "ok"


class Detail(BaseModel):
    """What went wrong."""

    status: str
    message: str


class ErrorBody(BaseModel):
    """Every error of this dialect."""

    detail: Detail


def refusal(error: TimbreError) -> Response:
    """Return an error of ours as ElevenLabs words it."""
    status, said = error.status, error.code
    if isinstance(error, ApiKeyError):
        status, said = 401, "needs_authorization" if error.code == "missing_key" else "invalid_api_key"
    elif isinstance(error, VoiceError) and error.status == 404:
        said = "voice_not_found"
    trace = f" Trace id: {error.trace_id}." if error.trace_id else ""
    return JSONResponse(
        ErrorBody(detail=Detail(status=said, message=f"{error}{trace}")).model_dump(), status, headers_of(error)
    )


_VOICE = given("voice_id", "path", {"type": "string", "minLength": 1}, "A voice_id of yours, or a name.")
_OUTPUT = given("output_format", "query", {"type": "string", "enum": list(FORMATS), "default": FORMAT})
_HELLO = {"text": "Hello, this is my voice.", "model_id": "eleven_flash_v2_5"}
_SHOWN = VoiceItem(voice_id="voice_…", name="Ada", created_at_unix=1767225600)
_LISTED = (400, 401, 500, 503)
DIALECT = Dialect(
    "ElevenLabs",
    "For ElevenLabs' SDK, and what asks as it does: its base URL is this address, the key comes as xi-api-key.",
    ("/v1/text-to-speech", "/v1/voices", "/v2/voices"),
    refusal,
    ErrorBody,
    (
        *(
            Operation(
                "post",
                f"/v1/text-to-speech/{{voice_id}}{end}",
                name,
                summary,
                f"Makes the voice permanent. {how}",
                TextToSpeechBody,
                _HELLO,
                answers=dict.fromkeys(dict.fromkeys(media for _, media in FORMATS.values())),
                given=(_VOICE, _OUTPUT),
            )
            for end, name, summary, how in (
                ("", "elevenSpeech", "Speak", "One whole file."),
                ("/stream", "elevenStream", "Speak, and hear it meanwhile", "Sent while it is spoken."),
            )
        ),
        Operation(
            "get",
            "/v1/voices",
            "elevenVoices",
            "List voices",
            "The key holder's own.",
            answers={"application/json": VoiceList},
            shown=VoiceList(voices=[_SHOWN]).model_dump(),
            errors=_LISTED,
        ),
        Operation(
            "get",
            "/v2/voices",
            "elevenPage",
            "List voices, page by page",
            "search finds in names.",
            answers={"application/json": VoicePage},
            shown=VoicePage(voices=[_SHOWN], has_more=False, total_count=1, next_page_token=None).model_dump(),
            given=(
                given("page_size", "query", {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": 10}),
                given("next_page_token", "query", {"type": "string"}),
                given("search", "query", {"type": "string"}),
            ),
            errors=_LISTED,
        ),
        Operation(
            "get",
            "/v1/voices/{voice_id}",
            "elevenVoice",
            "Tell of a voice",
            "By its voice_id or its name.",
            answers={"application/json": VoiceItem},
            shown=_SHOWN.model_dump(),
            given=(_VOICE,),
            errors=(400, 401, 404, 500, 503),
        ),
        Operation(
            "post",
            "/v1/voices/add",
            "elevenAdd",
            "Clone a voice",
            "From one file. Whoever holds the key attests, with every clone, that the person in the recording agreed.",
            AddBody,
            file="files",
            answers={"application/json": Added},
            shown=Added(voice_id="voice_…").model_dump(),
            errors=(400, 401, 429, 500, 503, 507),
        ),
        Operation(
            "delete",
            "/v1/voices/{voice_id}",
            "elevenDelete",
            "Forget a voice",
            "Its recordings are deleted at once. By its voice_id alone.",
            answers={"application/json": Deleted},
            shown=Deleted().model_dump(),
            given=(_VOICE,),
            errors=(400, 401, 404, 500, 503, 507),
        ),
    ),
    ("xi", "key"),
)


class ElevenLabs:
    """Its routes."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def add_to(self, app: FastAPI) -> None:
        """Add the routes to an application."""
        app.add_api_route("/v1/text-to-speech/{voice_id}", self.speak, methods=["POST"])
        app.add_api_route("/v1/text-to-speech/{voice_id}/stream", self.stream, methods=["POST"])
        app.add_api_route("/v1/voices", self.voices, methods=["GET"])
        app.add_api_route("/v2/voices", self.page, methods=["GET"])
        app.add_api_route("/v1/voices/add", self.add, methods=["POST"])
        app.add_api_route("/v1/voices/{voice_id}", self.voice, methods=["GET"])
        app.add_api_route("/v1/voices/{voice_id}", self.delete, methods=["DELETE"])

    async def speak(self, request: Request, voice_id: str) -> Response:
        """Say a text, and answer with the whole file."""
        speech, media = await self._speech(request, voice_id, open_ended=False)
        return Response(await speech.file(), media_type=media, headers={"Cache-Control": "no-store"})

    async def stream(self, request: Request, voice_id: str) -> Response:
        """Say a text, and send it while it is spoken."""
        speech, media = await self._speech(request, voice_id, open_ended=True)
        pieces = while_heard(await speech.streamed())
        return StreamingResponse(pieces, media_type=media, headers={"Cache-Control": "no-store"})

    async def voices(self, request: Request) -> Response:
        """List the voices of the key's holder."""
        return JSONResponse(VoiceList(voices=[_item(each) for each in await self._own(request)]).model_dump())

    async def page(self, request: Request) -> Response:
        """List some of them."""
        asked = request.query_params
        size, start = _integer(asked, "page_size", 10, 1, PAGE_MAX), _integer(asked, "next_page_token", 0, 0, 10**6)
        sought = asked.get("search", "").casefold()
        found = [each for each in await self._own(request) if sought in each.name.casefold()]
        more = len(found) > start + size
        page = VoicePage(
            voices=[_item(each) for each in found[start : start + size]],
            has_more=more,
            total_count=len(found),
            next_page_token=str(start + size) if more else None,
        )
        return JSONResponse(page.model_dump())

    async def voice(self, request: Request, voice_id: str) -> Response:
        """Tell of one voice."""
        owner = self._service.owner(request, KEY)
        return JSONResponse(_item(await self._service.voice(voice_id, owner)).model_dump())

    async def delete(self, request: Request, voice_id: str) -> Response:
        """Delete a voice of the key's holder, with all its recordings; by its id alone."""
        owner = self._service.owner(request, KEY)
        await to_thread.run_sync(self._service.studio.forget, voice_id, owner)
        return JSONResponse(Deleted().model_dump())

    async def add(self, request: Request) -> Response:
        """Clone a voice from a file that comes along; its consent is attested by the key's holder."""
        owner = self._service.owner(request, KEY)
        async with read_form(request, AddBody, ("files", "files[]", "file")) as (asked, sent):
            await self._service.count("clone", owner)
            with self._service.studio.folder() as folder:
                path = await to_thread.run_sync(_written, sent, folder)
                order = CloneOrder(
                    owner=owner,
                    audio=path,
                    options=CloneOptions(need_noise_reduction=asked.remove_background_noise.lower() == "true"),
                    consent=True,
                    name=asked.name,
                    as_sent=True,
                )
                cloned = await self._service.clone(request, order)
        return JSONResponse(Added(voice_id=cloned.voice.voice_id).model_dump())

    async def _speech(self, request: Request, voice_id: str, *, open_ended: bool) -> tuple[Speech, str]:
        owner = self._service.owner(request, KEY)
        sound, media = _format(request.query_params.get("output_format", FORMAT))
        asked = await read_body(request, TextToSpeechBody)
        await self._service.count("speak", owner)
        order = await self._service.order(owner, voice_id, (asked.text, asked.spoken_by), settings=asked.settings)
        return await self._service.speech(request, order, sound, open_ended=open_ended), media

    async def _own(self, request: Request) -> list[Voice]:
        owner = self._service.owner(request, KEY)
        return await to_thread.run_sync(self._service.studio.voices, owner)


def _item(voice: Voice) -> VoiceItem:
    at = int(voice.created_at.timestamp())
    return VoiceItem(
        voice_id=voice.voice_id, name=voice.name or voice.called, description=voice.note or None, created_at_unix=at
    )


def _format(name: str) -> tuple[OutputFormat, str]:
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        raise Refused(
            f"output_format is “{name[:40]}”; it must be one of {known}.",
            code="output_format",
            field="output_format",
            measured=name[:40],
            limit=known,
        )
    return FORMATS[name]


def _integer(asked: Any, name: str, default: int, least: int, most: int) -> int:
    given_text = asked.get(name, str(default))
    value = int(given_text) if given_text.isascii() and given_text.isdecimal() and len(given_text) < 9 else -1
    if not least <= value <= most:
        limit = f"a whole number from {least} to {most:,}"
        raise Refused(f"{name} is “{given_text[:40]}”; it must be {limit}.", code="invalid", field=name, limit=limit)
    return value


def _written(sent: Sent, folder: Path) -> Path:
    path = folder / "recording"
    with path.open("wb") as file:
        shutil.copyfileobj(sent.file, file)
    return path
