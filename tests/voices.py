"""Voices, a clock that is set by hand, and libraries, for the tests of the library."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clone.contract.cloning import RETENTION
from clone.core.errors import VoiceError
from clone.core.settings import Settings
from clone.storage.files import Store
from clone.storage.shelf import RECORD, ROOT
from clone.storage.voice import to_record
from clone.storage.voices import Library, Voice, utc_now

START = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
FILES = {"reference.mp3": b"reference sound", "preview.mp3": b"preview", "profile.npz": b"numbers"}
MOMENT = timedelta(microseconds=1)


class Clock:
    """Set by hand; the machine's seconds go with it, but for where it is ``wrong`` by so much."""

    def __init__(self) -> None:
        self.time = START
        self.wrong = timedelta()
        self.boot = "first"

    def __call__(self) -> datetime:
        return self.time + self.wrong

    def uptime(self) -> tuple[str, float]:
        return self.boot, (self.time - START).total_seconds()


def make_voice(voice_id: str = "voice-1", owner: str = "ada", **changes: Any) -> Voice:
    voice = Voice(
        voice_id=voice_id,
        owner=owner,
        backend="local",
        reference_sha256="00" * 32,
        request_key="request",
        consent_at=START,
        consent_by="ticked by the owner",
        created_at=START,
        name="Grace – café 😀",
        model="speech-02-hd",
        settings={"text": "Hello, “you”.", "accuracy": 0.7, "prompt_text": None},
        likeness=0.8125,
        engine_version="2",
    )
    return replace(voice, **changes)


def open_library(home: Path, clock: Clock) -> Library:
    return opened(Settings.at(home), clock)


def opened(settings: Settings, clock: Clock) -> Library:
    """Open a library and purge it, as every start does: its clock is known from then on."""
    library = Library(settings, Store(settings.store_url), clock, clock.uptime)
    library.purge()
    return library


def refusal(call: Any, *args: Any) -> VoiceError:
    with pytest.raises(VoiceError) as caught:
        call(*args)
    return caught.value


def filled(settings: Settings, clock: Clock, n_voices: int = 4) -> Library:
    """A library with so many voices, the first of which is kept for good."""
    library = opened(settings, clock)
    for number in range(n_voices):
        library.add(make_voice(f"voice-{number}", name=f"Ada {number}"), FILES)
    library.keep("voice-0", "ada")
    return library


def keep(home: Path, named: list[dict[str, Any]], sound: bytes) -> None:
    """Put voices of this machine's owner into a home, the last the newest; all at once, as there may be many."""
    settings, now = Settings.at(home), utc_now()
    library = Library(settings, Store(settings.store_url))
    files = {f"{kind}.m4a": sound for kind in ("preview", "reference")}
    with library._shelf.changing() as db:
        for number, changes in enumerate(named):
            made = now - timedelta(minutes=len(named) - number)
            told = {"created_at": made, "consent_at": made, "request_key": f"request {number}"} | changes
            voice = make_voice(f"voice_{number:04}", "local", **told)
            ends = None if voice.permanent else voice.created_at + RETENTION
            voice = replace(voice, expires_at=ends, files=(*files,), n_bytes=2 * len(sound))
            folder = home / "audio" / ROOT / voice.voice_id
            folder.mkdir(parents=True, exist_ok=True)
            for name, data in (files | {RECORD: to_record(voice)}).items():
                (folder / name).write_bytes(data)
            library._shelf.insert(db, voice)
    library.close()


def lose_database(settings: Settings) -> None:
    for path in settings.home.glob("library.db*"):
        path.unlink()


BEFORE_LEASES = """
ALTER TABLE tasks DROP COLUMN holder;
ALTER TABLE tasks DROP COLUMN leased_until;
ALTER TABLE tasks DROP COLUMN done_percent;
ALTER TABLE unsettled DROP COLUMN holder;
ALTER TABLE unsettled DROP COLUMN leased_until;
ALTER TABLE paid_requests DROP COLUMN files;
DROP TABLE calls;
"""
"""Takes from a database what came when hosts could share a library."""

OLD_SCHEMA = """
CREATE TABLE schema_version (version INTEGER NOT NULL);
CREATE TABLE voices (
    voice_id VARCHAR(200) PRIMARY KEY, owner VARCHAR(200) NOT NULL, name TEXT NOT NULL, backend VARCHAR(20) NOT NULL,
    model VARCHAR(100), settings TEXT NOT NULL, reference_sha256 VARCHAR(64) NOT NULL,
    request_key VARCHAR(200) NOT NULL, consent_at VARCHAR(32) NOT NULL, consent_by TEXT NOT NULL,
    created_at VARCHAR(32) NOT NULL, expires_at VARCHAR(32), permanent_at VARCHAR(32), likeness DOUBLE PRECISION,
    ceiling DOUBLE PRECISION, engine_version TEXT NOT NULL, files TEXT NOT NULL, n_bytes BIGINT NOT NULL,
    CHECK ((expires_at IS NULL) = (permanent_at IS NOT NULL))
);
CREATE INDEX voices_by_owner ON voices (owner, created_at);
"""
OLD_COLUMNS = {
    4: ("note VARCHAR(500) NOT NULL DEFAULT ''", "forgotten_until VARCHAR(32)"),
    5: (
        "typical_stock DOUBLE PRECISION",
        *(f"{name} INTEGER" for name in ("n_stock_beaten", "n_stock", "n_pieces_reached", "n_pieces")),
    ),
}
"""Columns by the schema that brought them."""


def make_older(home: Path, version: int) -> bytes:
    """Write a library's database anew as a version from before the first release did; return its bytes."""
    path = home / "library.db"
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        rows = [dict(row) for row in db.execute("SELECT * FROM voices")]
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(OLD_SCHEMA)
        for column in (column for later, added in OLD_COLUMNS.items() if later <= version for column in added):
            db.execute(f"ALTER TABLE voices ADD COLUMN {column}")
        names = [row[1] for row in db.execute("PRAGMA table_info(voices)")]
        for row in rows:
            row["settings"] = json.dumps(json.loads(row["settings"]), ensure_ascii=False, sort_keys=True)
            db.execute(f"INSERT INTO voices VALUES ({', '.join('?' * len(names))})", [row[name] for name in names])
        db.execute("INSERT INTO schema_version VALUES (?)", [version])
        db.commit()
    for beside in (home / "audio").rglob("*") if version < 7 else ():
        if beside.name in ("library_id", "voice.json"):
            beside.unlink()
    return path.read_bytes()
