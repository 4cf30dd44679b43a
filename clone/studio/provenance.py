"""How a request is known again, and what is written down of a clone: whose, when, from what, with whose word.

And of speech: by which model, when, in whose voice.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

from clone.audio.reader import Recording
from clone.audio.tags import Provenance
from clone.contract.cloning import ACCURACY_DEFAULT
from clone.contract.orders import CloneOrder
from clone.core.settings import LOCAL
from clone.engine.profile import ENGINE_VERSION
from clone.storage.voice import NAME_MAX_CHARS, Voice, one_line


def request_key(order: CloneOrder, path: Path, prompt_path: Path | None, backend: str) -> str:
    """Return a hash of everything asked for: the same bytes, settings and backend give the same one.

    What has no effect makes no other request: a model or a language without a text, an accuracy without a prompt clip.

    Raises:
        OSError: a file can't be read.
    """
    speaks = order.options.text is not None
    without: dict[str, object] = {} if speaks else {"model": None}
    without |= {} if prompt_path else {"accuracy": ACCURACY_DEFAULT}
    asked: dict[str, object] = {
        "audio": _sha256(path),
        "prompt_audio": _sha256(prompt_path) if prompt_path else None,
        "prompt_text": (order.prompt_text or "").strip(),
        "options": order.options.model_dump() | without,
        "backend": backend,
    }
    if order.stretch is not None:
        asked["stretch"] = order.stretch
    if speaks and order.language is not None:
        asked["language"] = order.language
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def new_voice(order: CloneOrder, recording: Recording, key: str) -> Voice:
    """Return the voice of an order as the library will keep it, with an id of its own."""
    now = datetime.now(UTC)
    return Voice(
        voice_id=f"voice_{uuid.uuid4()}",
        owner=order.owner,
        name=one_line(order.name)[:NAME_MAX_CHARS],
        backend=order.backend,
        model=order.options.model,
        settings=order.options.model_dump()
        | {"prompt_text": order.prompt_text, "stretch": order.stretch, "language": order.language},
        reference_sha256=recording.sha256,
        request_key=key,
        consent_at=now,
        consent_by=order.owner,
        created_at=now,
        engine_version=ENGINE_VERSION if order.backend == LOCAL else "",
    )


def provenance_of(voice: Voice, model: str = "") -> Provenance:
    """Return what speech says of itself: made now by a model, or, without one, as the voice's preview."""
    if model:
        return Provenance(voice.voice_id, model, backend=voice.backend)
    return Provenance(voice.voice_id, voice.model or "", voice.created_at, voice.backend)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
