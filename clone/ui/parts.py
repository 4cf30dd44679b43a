"""The HTML of the page. Every thing it shows has a template in templates/, which escapes whatever it is given."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from PIL import Image

from clone.audio.waveform import Picture
from clone.contract import cloning
from clone.core.errors import TimbreError
from clone.core.likeness import Likeness
from clone.core.settings import LOCAL, NOVITA
from clone.storage.journal import Entry
from clone.storage.voice import NAME_MAX_CHARS, NOTE_MAX_CHARS, TAGS_MAX_CHARS, Voice
from clone.studio.facade import Document, DocumentSentence, Examination, Match, ModelStatus, RequestCode
from clone.studio.snippets import OPEN
from clone.ui import strings
from clone.ui.takes import Sound, Take

TEMPLATES = Path(__file__).parent / "templates"
FACTS = "tb-said tb-facts"
_WORTH_SAYING = {("duration", "ok"), ("speech", "ok")}

Note = tuple[str, str, str]
"""Its kind, ``refuse``, ``warn``, ``info``, ``ok`` or ``busy``; what happened; what to do."""


def render(template: str, /, **values: Any) -> str:
    """Return a template, named without its ending, filled in; every value becomes text, whoever it comes from."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    loader = FunctionLoader(_source)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, auto_reload=False)
    environment.globals["strings"] = strings
    return environment


def _source(template: str) -> str:
    # Lines are for whoever reads a template: on the page, a space between two buttons would be seen.
    return re.sub(r"\n\s*", "", (TEMPLATES / f"{template}.html.j2").read_text(encoding="utf-8"))


# what stands anywhere


def line(said: str, style: str = FACTS) -> str:
    """Return a line of text."""
    return render("line", said=said, style=style)


def heading(title: str, advice: str = "") -> str:
    """Return a section's heading."""
    return render("heading", title=title, advice=advice)


def note(kind: str, message: str, advice: str = "") -> str:
    """Return a message for the slot beneath an input; see ``Note``."""
    return render("notes", notes=[(kind, message, advice)])


def refusal(error: TimbreError) -> str:
    """Return an error as the message at its field."""
    return note("refuse", error.message, error.advice)


def progress(stage: str, done: int = 0, total: int = 0, elapsed_s: float = 0.0, left_s: float | None = None) -> str:
    """Return the progress of a job: stage, bar, the seconds that went by, which page.js counts on, and those left."""
    percent = round(100 * min(done, total) / total) if total > 0 else 0
    left = "" if left_s is None else f"about {strings.clock(math.ceil(left_s))} left"
    return render("progress", stage=stage, percent=percent, elapsed_s=elapsed_s, left=left)


def file_link(link: str, name: str, label: str) -> str:
    """Return a link that saves a file."""
    return render("file_link", link=link, name=name, label=label)


# the recording, and what is to be said


def report(seen: Examination, sound: Sound, people: Iterable[Sound] = ()) -> str:
    """Return what is known of a recording: it, what to do about it, its picture, and every finding with its numbers.

    ``people`` is to be heard of each of ``seen.people``.
    """
    found, best, refusal = seen.report.findings, seen.segment, seen.report.refusal()
    n_odd = sum(each.severity in {"warn", "refuse"} for each in found)
    no_cures = seen.complete and not seen.report.cures() and (refusal is None or refusal.is_cuttable)
    facts = [strings.segment(best.start_s, best.end_s, best.reasons)] if best else []
    facts += [strings.cures((), is_clean=not n_odd)] if no_cures else []
    if not seen.complete and refusal is None:
        facts = [strings.HEARING_ON]  # has the place of what is said last, so that nothing beneath it moves then
    return render(
        "report",
        sound=replace(sound, duration_s=seen.picture.duration_s),
        verdict=strings.verdict(
            refusal is not None,
            bool(refusal and refusal.is_cuttable),
            max(2, len(seen.people)) if seen.is_of_several else 0,
            found,
        ),
        people=list(zip(seen.people, people, strict=True)),
        needed_s=cloning.REFERENCE_MIN_S,
        notes=_verdict(seen),
        predicts=strings.predicts(refusal.predicts) if refusal and refusal.predicts else "",
        picture=seen.picture,
        segment=(best.start_s, best.end_s) if best else None,
        spectrum=spectrum(seen.picture),
        facts=facts,
        summary=strings.report(len(found), n_odd, seen.complete),
        findings=found,
    )


def _verdict(seen: Examination) -> list[Note]:
    """Return what stands against a recording, and whether it, or a part of it, can be cloned."""
    found, refusal = seen.report.findings, seen.report.refusal()
    against: list[Note] = [
        (each.severity, each.message, each.advice) for each in found if each.severity in {"warn", "refuse"}
    ]
    if refusal and refusal.is_cuttable:
        instead = strings.PART_INSTEAD if seen.complete else strings.PART_SOUGHT
        return [("warn", refusal.message, instead), *(each for each in against if each[0] == "warn")]
    ready = strings.READY
    if seen.is_of_several:
        ready = strings.READY_PART if seen.segment else ""
    if refusal or not ready:
        return against
    measured = " ".join(each.message for each in found if (each.code, each.severity) in _WORTH_SAYING)
    return [("ok", ready, measured), *against]


def spectrum(picture: Picture) -> str:
    """Return a spectrogram as the address of an image whose opacity it is: the page gives it its colour."""
    alpha = Image.fromarray(np.ascontiguousarray(picture.spectrogram[::-1]), "L")
    image = Image.merge("LA", (Image.new("L", alpha.size, 0), alpha))
    out = io.BytesIO()
    image.save(out, "PNG", optimize=False)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def counter(n_chars: int, limit: int = cloning.TEXT_MAX_CHARS) -> str:
    """Return the count of characters beneath a text; page.js says the same while somebody types."""
    return render("counter", n_chars=n_chars, limit=limit)


def match(found: Match, accuracy: float) -> str:
    """Return how well a transcript fits what was heard, the words that differ marked."""
    return render("match", found=found, accuracy=accuracy)


def hosted(cost: str, way: str | None) -> str:
    """Return what the hosted service may cost, and by which ``way`` it gets the recording; None for no way."""
    return render("hosted", cost=cost, way=way)


def code(name: str, written: Iterable[tuple[str, RequestCode]], *, is_lent: bool = False) -> str:
    """Return programs in tabs, with a button that copies the one that is shown.

    Args:
        name: of the place, and of no other on the page.
        written: requests, each with its title.
        is_lent: whether a recording can be lent to the first.
    """
    told = [
        (
            title,
            [(language, OPEN.split(program)) for language, program in each.snippets],
            f"{each.expires_at:%H:%M}" if each.expires_at else "",
        )
        for title, each in written
    ]
    return render("code", name=name, written=told, is_lent=is_lent)


def model(engine: ModelStatus) -> str:
    """Return what there is to say of an engine that can be added, with its licence and terms, closed."""
    return render("model", model=engine)


# the new voice


def result(voice: Voice, replayed: bool, more: str = "") -> str:
    """Return what is to be said about a new voice: its likeness, whether it was there already, and ``more``."""
    has_preview = voice.file("preview") is not None
    return render("result", replayed=replayed, more=more, alike=voice.alike, has_preview=has_preview)


def new_voice(voice: Voice) -> str:
    """Return the name of a voice, what made it, and how long it stays; it is renamed and kept there."""
    until = expiry(voice) + ("" if voice.permanent else strings.UNLESS_SPOKEN)
    told, is_free = " · ".join(filter(None, [voice.model, voice.engine])), voice.backend == LOCAL
    limits = {"is_free": is_free, "name_max_chars": NAME_MAX_CHARS}
    return render("new_voice", voice=voice, told=told, until=until, **limits)


def gauge(alike: Likeness) -> str:
    """Return the likeness as a sentence and a small bar, on which it stands between a stock voice and the person."""
    return render("likeness", alike=alike)


def expiry(voice: Voice, now: datetime | None = None) -> str:
    """Say until when a voice stays."""
    if voice.expires_at is None:
        return strings.KEPT
    left = voice.expires_at - (now or datetime.now(UTC))
    return strings.expires(max(0, round(left.total_seconds() / 3600)), voice.expires_at)


def compare(sounds: Iterable[Sound], *, blind: bool = False) -> str:
    """Return one player for several recordings, which a switch chooses from; the last comes first.

    ``blind`` offers to hide which is which; the first is then the recording that is to be told from the others.
    """
    return render("compare", sounds=list(sounds), blind=blind)


def player(sound: Sound, *, autoplay: bool = False, named: bool = False) -> str:
    """Return the player of a recording."""
    return render("player", sound=sound, autoplay=autoplay, named=named)


def said(found: Match) -> str:
    """Return which words of a preview's text were heard in it."""
    return render("said", found=found)


# takes


def take(said: Take) -> str:
    """Return the player of a take, which plays while it is still being spoken."""
    return render("take", take=said)


def sentences(document: Document, said: Iterable[DocumentSentence], *, spoken: bool = True) -> str:
    """Return a document's sentences, each with what can be done with it; while it is ``spoken``, only its text."""
    return render("sentences_said", sentences=[(each, each.edited(document)) for each in said], spoken=spoken)


def times(begins: Iterable[tuple[int, float]], duration_s: float = 0.0) -> str:
    """Return when each sentence begins in the whole, by its number, in seconds; the length is 0 while it grows."""
    starts = json.dumps([[number, round(at_s, 2)] for number, at_s in begins])
    return render("times", starts=starts, duration_s=duration_s)


def take_done(said: Take) -> str:
    """Return what is there of a take once it is done: its length, and its file."""
    return render("take_done", take=said)


def takes(said: Iterable[Take]) -> str:
    """Return the earlier takes of a visit, newest first."""
    return render("takes", takes=list(said))


# voices


def voices_frame() -> str:
    """Return what stands around the rows, and, as templates, what voices.js adds to a row once it is seen."""
    limits = {"name_max_chars": NAME_MAX_CHARS, "note_max_chars": NOTE_MAX_CHARS, "tags_max_chars": TAGS_MAX_CHARS}
    return render("voices_frame", **limits)


def voices(owned: Iterable[Voice], keep_cost: str = "") -> str:
    """Return an owner's list.

    Args:
        owned: newest first.
        keep_cost: what keeping a hosted one may cost.
    """
    now_s = round(datetime.now(UTC).timestamp())
    return render("voices", rows=[_row(each) for each in owned], now_s=now_s, keep_cost=keep_cost)


def voice(shown: Voice) -> str:
    """Return one voice of the list."""
    return render("voice_rows", rows=[_row(shown)])


def _row(shown: Voice) -> tuple[Voice, str, str, float | None, bool]:
    """Return a voice, what is shown of it, which recordings it has, by what it is sorted, and whether it is hosted."""
    when, alike, is_hosted = shown.created_at, shown.alike, shown.backend == NOVITA
    facts = [strings.HOSTED if is_hosted else strings.HERE, shown.model, f"{when.day} {when:%B %Y}"]
    facts += [strings.likeness_fact(alike)] if alike else []
    has = "".join(kind[0] for kind in ("preview", "reference") if shown.file(kind))
    return shown, " · ".join(filter(None, facts)), has, alike.rank if alike else None, is_hosted


def forgotten(gone: Voice, undo_s: float) -> str:
    """Return what stands in a forgotten voice's place while it can be brought back."""
    return render("forgotten", voice=gone, undo_s=undo_s)


def pending(left: Iterable[Entry], names: dict[str, str]) -> str:
    """Return the requests whose end is not known, each with what ends it.

    Args:
        left: newest first.
        names: of the voices, by voice_id.
    """
    listed = list(left)
    return render("pending", left=listed, names=names) if listed else ""
