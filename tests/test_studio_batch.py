"""A table spoken into a zip: names, voices, rows that fail, bounds, and what a stop leaves."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clone.audio.reader import read
from clone.core.errors import Refused
from clone.core.settings import Settings
from clone.studio import batch
from clone.studio.batch import read_table
from clone.studio.facade import BatchDone, BatchOrder, Row, Studio, Voice
from tests.studios import TURBO, files_in, fit_for_a_person, last, order

if TYPE_CHECKING:
    from clone.engine.backend import LocalBackend


def table(folder: Path, text: str | bytes, **how: str) -> BatchOrder:
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return BatchOrder("ann", path, TURBO, **how)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, backend: LocalBackend) -> Iterator[Studio]:
    studio = Studio(Settings.at(tmp_path_factory.mktemp("house") / "home"), backend)
    yield studio
    studio.close()


@pytest.fixture(scope="module")
def voice(house: Studio, examples: list[Path]) -> Voice:
    return last(house.clone(order(examples[0], name="Ada"))).voice  # type: ignore[no-any-return]


def report(path: Path) -> list[dict[str, str]]:
    with zipfile.ZipFile(path) as archive:
        return list(csv.DictReader(io.StringIO(archive.read(batch.REPORT).decode())))


def test_rows_are_spoken_and_one_that_fails_ends_nothing(house: Studio, voice: Voice, tmp_path: Path) -> None:
    rows = f"""text,voice,file
Come in.,ada,../../first.wav
"=SUM(A1), he said.",Bo,second
…,Ada,
"Walk, home.",{voice.voice_id},first.wav
"""
    out = tmp_path / "out.zip"
    *events, done = house.batch(table(tmp_path, rows), out)
    assert isinstance(done, BatchDone)
    assert [(row.number, row.file, bool(row.reason)) for row in done.rows] == [
        (2, "first.wav", False),
        (3, "second.mp3", True),
        (4, "row.mp3", True),
        (5, "first (2).wav", False),
    ]
    assert (done.n_failed, [event for event in events if isinstance(event, Row)]) == (2, list(done.rows))
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == ["first.wav", "first (2).wav", "report.csv"]
        archive.extract("first.wav", tmp_path)
    assert read(tmp_path / "first.wav").duration_s == pytest.approx(done.rows[0].duration_s, abs=0.01)
    told = report(out)
    assert [each["status"] for each in told] == ["spoken", "failed", "failed", "spoken"]
    assert told[1]["text"] == "'=SUM(A1), he said."
    assert "Bo" in told[1]["reason"]
    assert house.voice(voice.voice_id, "ann").permanent
    assert files_in(house._settings.home / "work") == []


def test_what_was_spoken_before_a_stop_is_in_the_zip(house: Studio, voice: Voice, tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    with closing(house.batch(table(tmp_path, "text\nCome in.\nWalk home.\n", voice="ADA"), out)) as events:
        while not isinstance(next(events), Row):
            pass
    assert [each["text"] for each in report(out)] == ["Come in."]


def test_nobody_speaks_with_the_voice_of_another(house: Studio, voice: Voice, tmp_path: Path) -> None:
    asked = BatchOrder("ben", table(tmp_path, f"text,voice\nHello.,{voice.voice_id}").table, TURBO)
    assert last(house.batch(asked, tmp_path / "out.zip")).n_failed == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_table"),
        ("text,voice\n", "bad_table"),
        ("words,voice\nx,y", "bad_table"),
        ("text\nHello.", "bad_table"),
        ('text,voice\n"Hello.,ada', "bad_table"),
        ("text,voice\n" + "Hi.,ada\n" * (batch.MAX_ROWS + 1), "too_many_rows"),
        ("text,voice\n" + (100_000 * "x" + ",ada\n") * 3, "text_too_long"),
        ("text,voice\n" + 200_000 * "x" + ",ada\n", "bad_table"),
        (b"text,voice\n\xff,ada", "bad_encoding"),
        (b"x" * (batch.TABLE_MAX_BYTES + 1), "file_too_big"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str | bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        read_table(table(tmp_path, text))
    assert fit_for_a_person(refused.value).code == code


def test_other_separators_and_orders_of_columns_are_read(tmp_path: Path) -> None:
    found = read_table(table(tmp_path, '\ufefffile; Voice ;TEXT;note\r\na.FLAC;ada;"Hello; you.";x\r\n;;;\r\n;;Bye.'))
    assert [(row.number, row.text, row.voice, row.file) for row in found] == [
        (2, "Hello; you.", "ada", "a.flac"),
        (4, "Bye.", "", "Bye.mp3"),
    ]


def test_every_row_has_a_name_of_its_own(tmp_path: Path) -> None:
    found = read_table(table(tmp_path, "text,voice,file\n" + "Hi.,a,Same\nHi.,a,same.mp3\nHi.,a,\n" * 3))
    assert len({row.file.casefold() for row in found}) == 9
    assert found[1].file == "same (2).mp3"
