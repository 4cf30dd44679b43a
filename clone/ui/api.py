"""What programs may ask of the page by name: check, clone, speak and voices, as Gradio endpoints and as MCP tools.

Each takes the bearer key of the served API, and its fingerprint is the owner, so a voice made here is known there. The
key is asked for on loopback too: any web page in the person's browser can post to 127.0.0.1, and only a key, which
travels in a header that no other site may set, tells a program of theirs from that page.

Gradio reads signatures as they stand, so no annotation here may be put off (``from __future__``), every parameter has
a line to itself under ``Args:``, and recordings are typed as text: what Gradio takes for a file, it would fetch itself.
"""

import base64
import binascii
import json
import mimetypes
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import gradio as gr
from gradio.events import api as expose

from clone.contract import cloning
from clone.contract.speech import AUTO, VoiceSetting, check_language
from clone.core.errors import ApiKeyError, AudioError, BusyError, Refused, TimbreError
from clone.core.likeness import UNMEASURED, in_words
from clone.storage.voice import NAME_MAX_CHARS
from clone.studio.facade import Cloned, CloneOrder, SpeakOrder, Spoken, Voice
from clone.ui import mcp_tools, strings
from clone.ui.running import Desk, explain

Authorize = Callable[[str | None, str], str]
"""Says whose a call is: (Authorization header, "check", "clone" or "speak") → owner; raises a TimbreError."""

AT_ONCE = 8
"""Calls under way at once: each holds one of the threads that the page's visitors need too."""
AT_ONCE_PER_OWNER = AT_ONCE // 2

_MODEL = cast(cloning.ModelName, strings.MODEL_START)
_SHOWN = ("code", "severity", "measured", "limit", "message", "advice")
_Result = TypeVar("_Result", Cloned, Spoken)


class ShownError(gr.Error):
    """An error as the caller reads it; Gradio's own would put it into quotes."""

    def __str__(self) -> str:
        return str(self.message)


def refuse_everybody(authorization: str | None, work: str) -> str:
    """Let nobody in: what a page does that nobody gave keys.

    Raises:
        ApiKeyError: always.
    """
    raise ApiKeyError("This page lets no program in.", code="no_keys", advice="Start it with app.py.")


def wire(desk: Desk, authorize: Authorize) -> None:
    """Add the endpoints to the page that is being built."""
    endpoints = Endpoints(desk, authorize)
    mcp_tools.improve(desk.files.folder)
    for endpoint in (endpoints.check, endpoints.clone, endpoints.speak, endpoints.voices):
        # Not queued: a queue would keep what was sent, recordings too, as long as it remembers the session.
        expose(endpoint, api_name=endpoint.__name__, queue=False, concurrency_limit=AT_ONCE)


class Endpoints:
    """The endpoints; names and docstrings of the methods are what clients and agents are shown.

    Args:
        desk: studio, settings and files.
        authorize: says whose a call is.
    """

    def __init__(self, desk: Desk, authorize: Authorize) -> None:
        self._desk = desk
        self._authorize = authorize
        self._running: list[str] = []
        """The owner of each call under way."""
        self._lock = threading.Lock()

    def check(self, request: gr.Request, recording: str) -> str:
        """Say whether a voice can be cloned from a recording, what is wrong with it, and which part of it is best.

        Args:
            request: Brings the key.
            recording: A public http(s) link, a data: URI in base64, or the path that POST /gradio_api/upload answered.

        Returns:
            JSON: findings (severity refuse, warn, info or ok, with advice) and the best segment, in seconds.
        """
        with self._call(request, "check") as owner, self._lent(recording, "audio") as audio:
            try:
                seen = list(self._desk.studio.examine(audio, owner=owner))[-1]
            except AudioError as e:  # what can't be read at all has this one finding
                refusal = vars(e) | {"severity": "refuse"}
                return _json(findings=[{name: refusal[name] for name in _SHOWN}], segment=None)
            findings = [{name: getattr(finding, name) for name in _SHOWN} for finding in seen.report.findings]
            return _json(findings=findings, segment=asdict(seen.segment) if seen.segment else None)

    def clone(
        self,
        request: gr.Request,
        recording: str,
        consent: bool,
        text: str = "",
        model: cloning.ModelName = _MODEL,
        name: str = "",
        start_s: float = 0.0,
        end_s: float = 0.0,
        prompt_audio: str = "",
        prompt_text: str = "",
        accuracy: float = cloning.ACCURACY_DEFAULT,
        need_noise_reduction: bool = cloning.NOISE_REDUCTION_DEFAULT,
        need_volume_normalization: bool = cloning.VOLUME_NORMALIZATION_DEFAULT,
        language: str = AUTO,
    ) -> tuple[str, gr.FileData | None]:
        """Clone the voice of one person from a recording, if that person agreed to it.

        Args:
            request: Brings the key.
            recording: A public http(s) link, a data: URI in base64, or the path that POST /gradio_api/upload answered.
            consent: True only if the person recorded agreed to be cloned; ask if you do not know.
            text: To be spoken as a preview; none without it.
            model: Speaks the preview: hd names sound best, turbo names are fastest.
            name: To find the voice by.
            start_s: Clone from the part that starts here, in seconds; check says which part is best.
            end_s: Where that part ends; 0 for all of the recording.
            prompt_audio: A short clip of the same person, given as the recording is; optional.
            prompt_text: Exactly what is said in that clip.
            accuracy: How closely clip and transcript must match, from 0 to 1.
            need_noise_reduction: Reduce the recording's noise first.
            need_volume_normalization: Even out its loudness first.
            language: The text's, such as English or Japanese; auto tells it from the text.

        Returns:
            JSON: voice_id, likeness, what to read it against, both told in words, expires_at, replayed; and a preview,
            if there is a text, for an hour.
        """
        asked = {
            "text": text or None,
            "model": (model or _MODEL) if text else None,
            "accuracy": accuracy,
            "need_noise_reduction": need_noise_reduction,
            "need_volume_normalization": need_volume_normalization,
        }
        with (
            self._call(request, "clone") as owner,
            self._lent(recording, "audio") as audio,
            self._lent(prompt_audio, "prompt_audio") if prompt_audio else nullcontext() as prompt,
        ):
            order = CloneOrder(
                owner=owner,
                audio=audio,
                options=cloning.parse(cloning.CloneOptions, asked),
                consent=consent is True,
                prompt_audio=prompt,
                prompt_text=_said(prompt_text, "prompt_text", cloning.PROMPT_TEXT_MAX_CHARS) or None,
                name=_said(name, "name", NAME_MAX_CHARS),
                segment=_part(start_s, end_s),
                language=check_language(_said(language, "language", cloning.TEXT_MAX_CHARS)),
                as_sent=True,
            )
            cloned = _result(self._desk.studio.clone(order), Cloned)
            return _answer(cloned), self._preview(cloned.voice)

    def speak(
        self,
        request: gr.Request,
        voice_id: str,
        text: str,
        model: cloning.ModelName = _MODEL,
        speed: float = 1.0,
        vol: float = 1.0,
        pitch: int = 0,
        format: Literal["mp3", "wav"] = "mp3",  # noqa: A002  the contract's word
        language: str = AUTO,
    ) -> gr.FileData:
        """Say a text with a cloned voice, which keeps the voice for good.

        Args:
            request: Brings the key.
            voice_id: As clone answered it, or the voice's name.
            text: What is to be spoken.
            model: hd names sound best, turbo names are fastest.
            speed: 1 is the voice's own.
            vol: Volume as a gain; 1 is the voice's own.
            pitch: Semitones up or down.
            format: mp3 or wav.
            language: The text's, such as English or Japanese; auto tells it from the text.

        Returns:
            The speech, for an hour.
        """
        with self._call(request, "speak") as owner:
            setting = {"voice_id": voice_id, "speed": speed, "vol": vol, "pitch": pitch}
            set_to = check_language(_said(language, "language", cloning.TEXT_MAX_CHARS))
            how = replace(cloning.parse(VoiceSetting, setting).settings, language=set_to)
            said = _said(text, "text", cloning.TEXT_MAX_CHARS)
            kind = format or "mp3"
            if kind not in ("mp3", "wav"):
                raise Refused("The format is neither mp3 nor wav.", code="invalid", field="format", limit="mp3, wav")
            voice = self._desk.studio.find(_said(voice_id, "voice_id", cloning.TEXT_MAX_CHARS), owner)
            order = SpeakOrder(owner, voice.voice_id, said, model or _MODEL, how)
            spoken = _result(self._desk.studio.speak(order), Spoken)
            path = self._desk.files.new(None, f"timbre-speech.{kind}")
            self._desk.studio.write_speech(spoken, path)
            return _file(path)

    def voices(self, request: gr.Request) -> str:
        """List the voices that were cloned with this key, newest first.

        Args:
            request: Brings the key.

        Returns:
            JSON: voices, each with voice_id, name, note, likeness and expires_at, null once it is kept for good.
        """
        with self._call(request, "check") as owner:
            listed = [
                {"voice_id": each.called, "name": each.name, "note": each.note, "likeness": each.likeness}
                | {"expires_at": each.ends}
                for each in self._desk.studio.voices(owner)
            ]
            return _json(voices=listed)

    @contextmanager
    def _call(self, request: gr.Request, work: str) -> Iterator[str]:
        """Let a call in and lend its owner; whatever goes wrong, its caller gets our words and no others."""
        try:
            owner = self._authorize(request.headers.get("authorization"), work)
            with self._lock:
                if len(self._running) >= AT_ONCE or self._running.count(owner) >= AT_ONCE_PER_OWNER:
                    raise BusyError("Many calls are under way.", code="queue_full", advice="Try again in a moment.")
                self._running.append(owner)
            try:
                yield owner
            finally:
                with self._lock:
                    self._running.remove(owner)
        except Exception as error:  # noqa: BLE001  a caller is never shown a traceback
            raise ShownError(str(explain(error)), print_exception=False) from None

    @contextmanager
    def _lent(self, given: object, field: str) -> Iterator[Path | str]:
        """Lend a recording: a link as it is, for the studio to fetch; an upload's path; a data: URI as a file."""
        path = given.get("path") if isinstance(given, dict) else given  # gradio_client sends an upload as a dict
        if not isinstance(path, str) or not path.strip():
            raise AudioError("There is no recording.", code="no_recording", field=field, advice=_HOW)
        path = path.strip()
        if path[:5].lower() == "data:":
            file = self._desk.files.new(None, "recording")
            try:
                file.write_bytes(_decoded(path, field))
                yield file
            finally:
                shutil.rmtree(file.parent, ignore_errors=True)
        elif "://" in path:
            yield path
        elif self._desk.files.has(path):  # whoever made the dict, and whatever Gradio thinks of it
            yield Path(path)
        else:
            raise AudioError("This is no file that was uploaded here.", code="no_upload", field=field, advice=_HOW)

    def _preview(self, voice: Voice) -> gr.FileData | None:
        if voice.file("preview") is None:
            return None
        source = self._desk.studio.audio(voice.voice_id, voice.owner, "preview")
        return _file(self._desk.files.copy(None, source, f"timbre-preview{source.suffix}"))


_HOW = "Give a public link, a data: URI in base64, or the path that POST /gradio_api/upload answered."


def _decoded(uri: str, field: str) -> bytes:
    head, _, data = uri.partition(",")
    try:
        if not head.lower().endswith(";base64"):
            raise ValueError
        return base64.b64decode("".join(data.split()), validate=True)
    except (ValueError, binascii.Error):
        raise AudioError("The data: URI is not in base64.", code="bad_data_uri", field=field, advice=_HOW) from None


def _said(value: object, field: str, max_chars: int) -> str:
    if value is None:  # as good as absent
        return ""
    if not isinstance(value, str):
        raise Refused(f"{field} is not text.", code="invalid", field=field)
    if len(value) > max_chars:
        raise Refused(
            f"{field} has {len(value):,} characters; at most {max_chars:,} are accepted.",
            code="invalid",
            field=field,
            measured=len(value),
            limit=max_chars,
        )
    return value.strip()


def _part(start_s: object, end_s: object) -> tuple[float, float] | None:
    start_s, end_s = start_s or 0.0, end_s or 0.0
    for value in (start_s, end_s):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise Refused("start_s and end_s must be numbers of seconds.", code="invalid", field="audio")
    bounds = float(start_s), float(end_s)  # type: ignore[arg-type]
    return bounds if any(bounds) else None


def _result(steps: Iterator[Any], kind: type[_Result]) -> _Result:
    """Follow a job to its result, which comes last."""
    last = list(steps)[-1]
    if not isinstance(last, kind):
        raise TimbreError("The work ended without a result.")
    return last


def _answer(cloned: Cloned) -> str:
    voice = cloned.voice
    return _json(
        voice_id=voice.voice_id,
        **{name: getattr(voice, name) for name in UNMEASURED},
        told=in_words(cloned.alike) if cloned.alike else None,
        expires_at=voice.ends,
        replayed=cloned.replayed,
    )


def _json(**answer: object) -> str:
    return json.dumps(answer, ensure_ascii=False)


def _file(path: Path) -> gr.FileData:
    kind = mimetypes.guess_type(path.name)[0]
    return gr.FileData(path=str(path), orig_name=path.name, size=path.stat().st_size, mime_type=kind)
