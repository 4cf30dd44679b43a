"""A voice on one page, to pass on: both recordings in it, so that it opens anywhere and asks nobody for anything."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from clone.audio.reader import Recording, read
from clone.audio.waveform import outline, points
from clone.audio.writer import MP3_BIT_RATE, mp3_bytes
from clone.contract.cloning import clock
from clone.core.likeness import ENDS, in_words
from clone.core.settings import NOVITA
from clone.storage.voice import Voice
from clone.studio.results import provenance_of

UNNAMED = "Unnamed voice"
LONG_S, LONG_BIT_RATE = 60.0, 64_000
"""A recording longer than this is embedded at this bit rate, so that the page stays small enough to be mailed."""

N_COLUMNS = 320
HEIGHT = 72


@dataclass(frozen=True)
class CardSound:
    """A recording as the page has it: an address that holds all of it, its length as m:ss, its drawn outline."""

    address: str
    length: str
    points: str


def page(voice: Voice, reference: Path | None, preview: Path | None) -> bytes:
    """Return a voice's page, whole and by itself, in UTF-8.

    Args:
        voice: what is shown of it; never whose it is.
        reference: its recording; None where that is gone.
        preview: its preview; None where it has none.

    Raises:
        AudioError: a recording can't be read.
    """
    shown = _template().render(
        name=voice.name.strip() or UNNAMED,
        original=_original(read(reference)) if reference else None,
        clone=_clone(voice, preview) if preview else None,
        text=voice.settings.get("text"),
        alike=voice.alike,
        likeness=in_words(voice.alike) if voice.alike else "",
        ends=ENDS,
        made_on=_day(voice.created_at),
        consent_at=_moment(voice.consent_at),
        settings=_settings(voice),
        voice_id=voice.voice_id,
        height=HEIGHT,
        n_columns=N_COLUMNS,
    )
    return shown.encode("utf-8", "replace")


@cache
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("voice_card.html.j2")


def _original(recording: Recording) -> CardSound:
    """Encode it anew, always: what else its file says of the person stays here."""
    bit_rate = LONG_BIT_RATE if recording.duration_s > LONG_S else MP3_BIT_RATE
    return _sound(recording, mp3_bytes(recording.samples, recording.sample_rate, bit_rate))


def _clone(voice: Voice, path: Path) -> CardSound:
    """Take it as it is where every browser plays it, tags and all."""
    recording = read(path)
    if recording.format == "mp3":
        return _sound(recording, path.read_bytes())
    return _sound(recording, mp3_bytes(recording.samples, recording.sample_rate, provenance=provenance_of(voice)))


def _sound(recording: Recording, mp3: bytes) -> CardSound:
    address = f"data:audio/mpeg;base64,{b64encode(mp3).decode()}"
    return CardSound(address, clock(recording.duration_s), points(*outline(recording.samples, N_COLUMNS), HEIGHT))


def _settings(voice: Voice) -> list[tuple[str, str]]:
    """Return what the voice was made with, as label and value."""
    asked = voice.settings
    by = "MiniMax at Novita, through Timbre" if voice.backend == NOVITA else "Timbre, with its own engine"
    rows = [("Made", _moment(voice.created_at)), ("By", by)]
    if voice.model:
        rows.append(("Model", voice.model))
    if part := asked.get("segment") or asked.get("stretch"):
        start_s, end_s = part
        rows.append(("Cloned from", f"{clock(start_s)} to {clock(end_s)} of the recording"))
    rows.append(("Noise reduction", "On" if asked.get("need_noise_reduction") else "Off"))
    rows.append(("Even volume", "On" if asked.get("need_volume_normalization") else "Off"))
    if asked.get("prompt_text"):
        rows.append(("Prompt clip", f"“{asked['prompt_text'].strip()}”"))
        rows.append(("Transcript match", f"At least {asked.get('accuracy')}"))
    return rows


def _day(at: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{at.day} {at:%B %Y}"


def _moment(at: datetime) -> str:
    return f"{_day(at)} at {at.astimezone(UTC):%H:%M} UTC"
