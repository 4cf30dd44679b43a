"""One schema, brought up to date in order and whole, and read through its indexes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from clone.core.settings import Settings
from clone.storage import database, doctor
from tests.voices import BEFORE_LEASES, FILES, Clock, make_voice, open_library


def test_migrations_run_once_in_order(home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    library = open_library(home, clock)
    voice = library.add(make_voice(), FILES)
    library.close()
    ran: list[str] = []
    later = (lambda _db: ran.append("third"), lambda _db: ran.append("fourth"))
    monkeypatch.setattr(database, "MIGRATIONS", database.MIGRATIONS + later)
    for _ in range(2):
        library = open_library(home, clock)
        assert library.get("voice-1", "ada") == voice
        library.close()
    assert ran == ["third", "fourth"]


def test_a_library_from_before_tags_goes_on_with_none(home: Path, clock: Clock) -> None:
    library = open_library(home, clock)
    voice = library.add(make_voice(), FILES)
    library.close()
    with sqlite3.connect(home / "library.db") as db:
        db.executescript(f"{BEFORE_LEASES} ALTER TABLE voices DROP COLUMN tags")
        db.execute("UPDATE schema_version SET version = 101")
    record = home / "audio" / "voices" / "voice-1" / "voice.json"
    told = json.loads(record.read_bytes())
    del told["tags"]
    record.write_text(json.dumps(told), encoding="utf-8")
    for _ in range(2):
        library = open_library(home, clock)
        assert library.get("voice-1", "ada") == voice
        library.close()
    (home / "library.db").unlink()
    assert doctor.restore(Settings.at(home)).restored == [voice]
    library = open_library(home, clock)
    assert library.describe("voice-1", "ada", tags="deep").tags == ("deep",)
    library.close()
    (home / "library.db").unlink()
    doctor.restore(Settings.at(home))
    library = open_library(home, clock)
    assert library.get("voice-1", "ada").tags == ("deep",)
    library.close()


def test_a_migration_that_fails_changes_nothing(home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    open_library(home, clock).close()

    def half(db: Any) -> None:
        db.execute(text("CREATE TABLE half (x TEXT)"))
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, half))
        with pytest.raises(RuntimeError, match="power cut"):
            open_library(home, clock)
    with sqlite3.connect(home / "library.db") as db:
        assert not db.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchall()
    open_library(home, clock)


def test_lists_are_read_through_an_index(home: Path, clock: Clock) -> None:
    open_library(home, clock).close()
    with sqlite3.connect(home / "library.db") as db:
        query = "EXPLAIN QUERY PLAN SELECT * FROM voices WHERE owner = 'ada' ORDER BY created_at DESC"
        plan = " ".join(str(row) for row in db.execute(query))
    assert "USING INDEX voices_by_owner" in plan
    assert "TEMP B-TREE" not in plan


def test_an_interrupt_is_not_taken_for_a_busy_library(home: Path) -> None:
    home.mkdir()
    engine = database.open_database(f"sqlite:///{home / 'library.db'}")
    with engine.connect() as db:

        def interrupted(*_: Any) -> None:
            raise KeyboardInterrupt

        db.dialect.do_execute = interrupted  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            db.execute(text("SELECT 1"))
    engine.dispose()
