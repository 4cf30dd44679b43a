"""A voice as the library keeps it: the value, its row, its folder and record, and what is said when it is not there."""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, TypeAdapter, ValidationError
from sqlalchemy import Row

from clone.contract.cloning import RETENTION
from clone.core.errors import TextError, VoiceError
from clone.core.likeness import UNMEASURED, Likeness
from clone.storage.database import VOICES

_FOLDER = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_ID_MAX_CHARS = 200
NAME_MAX_CHARS = 60
NOTE_MAX_CHARS = 500
TAG_MAX_CHARS, TAGS_MAX = 24, 8
TAGS_MAX_CHARS = TAGS_MAX * (TAG_MAX_CHARS + 2)
"""Of all tags as they are written in one line."""
_COMMA = re.compile("[,;\n，；、]")


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A cloned voice as the library knows it; every time is UTC and aware.

    Attributes:
        name, note, tags: its owner's words, one line each.
        settings: the options it was cloned with, as JSON would hold them; text and prompt text included.
        reference_sha256: of the reference's bytes, in hex.
        request_key: hash of everything that was asked for, to find the same request again.
        expires_at: None once permanent; set by ``Library.add``.
        permanent_at: None while temporary.
        likeness: cosine of clone and reference; None where it was not measured.
        ceiling, typical_stock, n_stock_beaten, n_stock, n_pieces_reached, n_pieces: what that is to be read against,
            as in Likeness.
        files: names of its files; ``n_bytes`` their size together; both set by the library.
    """

    voice_id: str
    owner: str
    backend: str
    reference_sha256: str
    request_key: str
    consent_at: AwareDatetime
    consent_by: str
    created_at: AwareDatetime
    name: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()
    model: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    expires_at: AwareDatetime | None = None
    permanent_at: AwareDatetime | None = None
    likeness: float | None = None
    ceiling: float | None = None
    typical_stock: float | None = None
    n_stock_beaten: int | None = None
    n_stock: int | None = None
    n_pieces_reached: int | None = None
    n_pieces: int | None = None
    engine_version: str = ""
    files: tuple[str, ...] = ()
    n_bytes: int = 0

    @property
    def permanent(self) -> bool:
        """Whether it is kept for good."""
        return self.permanent_at is not None

    @property
    def engine(self) -> str:
        """What spoke its preview on this machine, as a person is told; "" where nothing did, or that is not known."""
        return str(self.settings.get("engine") or "")

    @property
    def called(self) -> str:
        """The id that its owner chose for it; its own where they chose none."""
        return str(self.settings.get("given_id") or self.voice_id)

    @property
    def ends(self) -> str | None:
        """When it expires, as text for programs; None once it is kept for good."""
        return None if self.expires_at is None else self.expires_at.isoformat(timespec="seconds")

    @property
    def alike(self) -> Likeness | None:
        """How alike clone and reference are, as one value; None where that was not measured."""
        values = [getattr(self, name) for name in UNMEASURED]
        return None if self.likeness is None or self.typical_stock is None else Likeness(*values)

    def measured(self, alike: Likeness | None) -> Voice:
        """Return it with its likeness."""
        return replace(self, **(alike.to_dict() if alike else UNMEASURED))  # type: ignore[arg-type]

    def file(self, kind: str) -> str | None:
        """Return the name of its ``reference``, ``preview``, ``prompt`` or ``profile``; None when it has none."""
        return next((name for name in self.files if name.startswith(f"{kind}.")), None)


_COLUMNS = [sys.intern(str(name)) for name in VOICES.c.keys()]  # noqa: SIM118
"""Interned, as they are the names of parameters, too: a list of 1,000 voices takes a quarter less time."""


def from_row(row: Row[Any]) -> Voice:
    """Return the voice of a whole row."""
    values = dict(zip(_COLUMNS, row, strict=True))
    del values["forgotten_until"]
    values["files"], values["tags"] = tuple(values["files"]), tuple(values["tags"])
    return Voice(**values)


def to_record(voice: Voice) -> bytes:
    """Return a voice as the file beside its recordings, from which its row can be made again."""
    return record().dump_json(voice, indent=1)


def from_record(data: bytes, folder: str) -> Voice | None:
    """Return the voice of such a file; None when it is none, or not that of this folder."""
    try:
        voice = record().validate_json(data)
    except ValidationError:
        return None
    fits = sayable(voice.voice_id) and folder_of(voice.voice_id) == folder
    return voice if fits and voice.permanent == (voice.expires_at is None) else None


@cache
def record() -> TypeAdapter[Voice]:
    """Return what makes JSON of voices, and voices of JSON."""
    return TypeAdapter(Voice)


def sayable(voice_id: str) -> bool:
    """Whether it can be an id at all: what a database can't take (lone surrogates, NUL) is none."""
    return 0 < len(voice_id) <= _ID_MAX_CHARS and voice_id.isprintable()


def one_line(words: str) -> str:
    """Return words without line breaks, control characters and what no database takes; single spaces, trimmed."""
    return " ".join("".join(" " if unicodedata.category(c) in {"Cc", "Cs"} else c for c in words).split())


def check_name(name: str) -> str:
    """Return a name as it is kept.

    Raises:
        TextError: ``name_empty`` or ``name_too_long``, measured and limit in characters.
    """
    name = one_line(name)
    if not name:
        raise TextError(
            "The name is empty; a voice needs at least one character.",
            code="name_empty",
            field="name",
            measured=0,
            limit=1,
            advice="Write a name.",
        )
    return _not_longer("name", name, NAME_MAX_CHARS)


def check_note(note: str) -> str:
    """Return a note as it is kept; empty, it is none.

    Raises:
        TextError: ``note_too_long``, measured and limit in characters.
    """
    return _not_longer("note", one_line(note), NOTE_MAX_CHARS)


def check_tags(words: str) -> tuple[str, ...]:
    """Return tags, which commas part, as they are kept: each once, however it is capitalised.

    Raises:
        TextError: ``tag_too_long``, measured and limit in characters; ``too_many_tags``.
    """
    found: dict[str, str] = {}
    for tag in filter(None, map(one_line, _COMMA.split(words))):
        found.setdefault(tag.casefold(), _not_longer("tag", tag, TAG_MAX_CHARS))
    return few_tags(tuple(found.values()))


def few_tags(tags: tuple[str, ...], whose: str = "The voice") -> tuple[str, ...]:
    """Return tags that are not too many; raises TextError ``too_many_tags``."""
    if len(tags) > TAGS_MAX:
        raise TextError(
            f"{whose} would have {len(tags)} tags; at most {TAGS_MAX} are kept.",
            code="too_many_tags",
            field="tags",
            measured=len(tags),
            limit=TAGS_MAX,
            advice="Leave some out.",
        )
    return tags


def _not_longer(field: str, words: str, limit: int) -> str:
    excess = len(words) - limit
    if excess > 0:
        raise TextError(
            f"The {field} has {len(words):,} characters; at most {limit} are kept.",
            code=f"{field}_too_long",
            field=field,
            measured=len(words),
            limit=limit,
            advice=f"Shorten it by {excess:,} character{'' if excess == 1 else 's'}.",
        )
    return words


def folder_of(voice_id: str) -> str:
    """Return a voice's folder: its id where any disk can hold it as it is, a hash of it otherwise.

    A hosted id is opaque: it may have a slash in it, or differ from another by case alone.
    """
    plain = _FOLDER.fullmatch(voice_id) and not voice_id.startswith("sha256-") and not voice_id.endswith(".")
    return voice_id if plain else f"sha256-{sha256(voice_id.encode()).hexdigest()}"


def given_id(owner: str, chosen: str) -> str:
    """Return the voice_id of a voice whose owner chose one: never a path, and nobody else's who chose the same."""
    digest = sha256(f"{owner}\n{chosen}".encode("utf-8", "surrogatepass")).digest()
    return f"voice_{UUID(bytes=digest[:16])}"


def taken() -> VoiceError:
    """What is said of a voice_id that is another voice's already."""
    error = VoiceError("This voice_id is taken.", code="voice_exists", field="voice_id", advice="Choose another one.")
    error.service_code, error.status = 2039, 400
    return error


def unknown() -> VoiceError:
    """What is said of a voice that is not there, or somebody else's."""
    return VoiceError(
        "There is no voice with this voice_id.",
        code="unknown_voice",
        field="voice_id",
        advice="Check the voice_id, or clone the voice again.",
    )


def not_restorable() -> VoiceError:
    """What is said of a voice that can't be brought back: forgotten too long ago, never there, or somebody else's."""
    return VoiceError(
        "This voice can't be brought back: it is deleted.",
        code="undo_over",
        field="voice_id",
        advice="Clone it again from the recording.",
    )


def expired(at: datetime) -> VoiceError:
    """What is said of a voice whose time is over."""
    return VoiceError(
        f"This voice expired on {at.day} {at:%B %Y at %H:%M} UTC; expired voices are deleted.",
        code="expired_voice",
        field="voice_id",
        measured=at.isoformat(timespec="seconds"),
        advice="Clone it again from the recording. "
        f"A voice stays if it is used within {RETENTION // timedelta(hours=1)} hours.",
    )
