"""Documents, tables and files of voices on the command line: what is printed, written, and refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from clone.cli.app import main
from clone.core.settings import Settings
from clone.studio import facade
from clone.studio.facade import Studio
from tests.studios import TURBO, last, order

if TYPE_CHECKING:
    from clone.engine.backend import LocalBackend

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def inhabited(backend: LocalBackend, examples: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one voice in it, named Ben."""
    home = tmp_path_factory.mktemp("inhabited") / "home"
    studio = Studio(Settings.at(home), backend)
    last(studio.clone(order(examples[1], owner="local", name="Ben")))
    studio.close()
    return home


@pytest.fixture(autouse=True)
def at_home(inhabited: Path, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line, in that home and with the engine that is loaded already."""
    monkeypatch.setenv("TIMBRE_HOME", str(inhabited))
    monkeypatch.setattr(facade, "LocalBackend", lambda *_: backend)


def run(capsys: Output, *words: str | Path, status: int = 0) -> str:
    """Run a command; return what it prints on stdout, or the one line on stderr where it fails."""
    assert main([str(word) for word in words]) == status
    out, err = capsys.readouterr()
    assert err.count("\n") == (1 if status else 0), err
    return err.strip() if status else out.strip()


def test_a_text_becomes_a_document_and_an_audiobook(capsys: Output, tmp_path: Path) -> None:
    text = tmp_path / "The harbour.md"
    text.write_text("# One\nCome in.\n\n# Two\nBen: Walk home.", encoding="utf-8")
    made = run(capsys, "document", "new", "ben", text, "--model", TURBO, "--dialogue")
    assert run(capsys, "document", "speak", made[:12]).startswith("4 of 4 sentences, ")
    (listed,) = json.loads(run(capsys, "document", "list", "--json"))["documents"]
    assert (listed["document_id"], listed["title"], listed["n_spoken"]) == (made, "The harbour", 4)
    assert "Come in." in run(capsys, "document", "show", "the harbour")
    book = tmp_path / "book.m4b"
    assert run(capsys, "document", "export", made, "--out", book, "--loudness", "audiobook") == str(book)
    with av.open(str(book)) as file:
        assert [each["metadata"]["title"] for each in file.chapters()] == ["One", "Two"]
    assert run(capsys, "document", "edit", made, "2", "Come in, please.").startswith("3 of 4")
    told = json.loads(run(capsys, "document", "show", made, "--json"))["sentences"]
    assert [(each["text"], each["edited"]) for each in told][1:] == [
        ("Come in, please.", True),
        ("Two", False),
        ("Walk home.", False),
    ]
    assert run(capsys, "document", "speak", made, "--sentence", "2").endswith("2 takes.")
    assert run(capsys, "document", "rename", made, "Harbour") == "Harbour"
    one = run(capsys, "document", "new", "ben", text, "--model", TURBO, "--chapter", "2", "--name", "Two")
    assert one != made
    assert "Say --yes" in run(capsys, "document", "forget", "Two", status=1)
    run(capsys, "document", "forget", "Two", "--yes")
    assert "no longer kept" in run(capsys, "document", "show", one, status=1)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["document", "new", "ben", "gone.txt", "--model", TURBO], 2, "no such file"),
        (["document", "new", "ben", "gone.pdf", "--model", TURBO], 2, ".epub"),
        (["document", "export", "nothing", "--out", "a.mp3"], 1, "no longer kept"),
        (["document", "export", "nothing", "--out", "gone/a.mp3"], 1, "no folder"),
        (["batch", "gone.csv", "--model", TURBO, "--out", "a.zip"], 2, "no such file"),
        (["batch", "gone.csv", "--model", TURBO, "--out", "a.mp3"], 1, ".zip"),
        (["export", "nobody", "--out", "a.timbre"], 1, "no voice"),
        (["export", "ben", "--out", "a.zip"], 1, ".timbre"),
        (["import", "gone.timbre"], 2, "agreed"),
        (["import", "gone.timbre", "--consent"], 2, "no such file"),
    ],
)
def test_what_is_wrong_is_one_line(
    capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], status: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in run(capsys, *words, status=status)
    assert not list(tmp_path.glob("a.*"))


def test_a_table_is_spoken_and_failed_rows_are_told(capsys: Output, tmp_path: Path) -> None:
    table, out = tmp_path / "table.csv", tmp_path / "out.zip"
    table.write_text("text,voice\nCome in.,ben\nHello.,nobody", encoding="utf-8")
    assert main(["batch", str(table), "--model", TURBO, "--out", str(out), "--format", "wav"]) == 1
    printed, err = capsys.readouterr()
    assert "1 of 2 rows failed" in err
    assert "Come in.wav" in printed
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == ["Come in.wav", "report.csv"]


def test_voices_are_taken_from_one_home_to_another(
    capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ben.timbre"
    assert run(capsys, "export", "ben", "--out", file) == str(file)
    assert file.stat().st_mode & 0o077 == 0
    monkeypatch.setenv("TIMBRE_HOME", str(tmp_path / "elsewhere"))
    (came,) = json.loads(run(capsys, "import", file, "--consent", "--json"))["voices"]
    assert came["name"] == "Ben"
    assert came["voice_id"] in run(capsys, "voices")
