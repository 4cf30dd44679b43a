"""The command line at a terminal: what is shown there, and what is asked."""

from __future__ import annotations

import os
import pty
import re
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clone.cli.app import main
from clone.cli.terminal import progress, showing
from clone.core.jobs import Stage, Waiting
from clone.core.settings import Settings
from clone.storage.files import Store
from clone.storage.voice import Voice
from clone.storage.voices import Library, utc_now
from tests.studios import TURBO
from tests.voices import FILES, make_voice

Output = pytest.CaptureFixture[str]


class Terminal:
    """A terminal that stands for some of the standard streams."""

    def __init__(self) -> None:
        self._person, self._program = pty.openpty()
        settings = termios.tcgetattr(self._program)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(self._program, termios.TCSANOW, settings)

    def stream(self, mode: str) -> object:
        return open(os.dup(self._program), mode)

    def types(self, text: str) -> None:
        os.write(self._person, text.encode())

    def shown(self) -> str:
        os.write(self._program, b"\0")
        shown = b""
        while not shown.endswith(b"\0"):
            shown += os.read(self._person, 1 << 16)
        return shown[:-1].decode().replace("\r\n", "\n")

    def close(self) -> None:
        os.close(self._program)
        os.close(self._person)


@pytest.fixture(autouse=True)
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, *names: str) -> Iterator[Terminal]:
    """Make a terminal of some of stdin, stdout and stderr."""
    made = Terminal()
    with monkeypatch.context() as patch:
        streams = [made.stream("r" if name == "stdin" else "w") for name in names]
        for name, stream in zip(names, streams, strict=True):
            patch.setattr(sys, name, stream)
        yield made
    for stream in streams:
        stream.close()  # type: ignore[attr-defined]
    made.close()


@pytest.fixture
def voices(settings: Settings) -> list[Voice]:
    """Voices of whoever uses the command line; two share a name."""
    library = Library(settings, Store(settings.store_url))
    made = [
        library.add(make_voice(voice_id, "local", name=name, created_at=utc_now(), backend=backend), FILES)
        for voice_id, name, backend in (
            ("voice_aa11", "Ada", "local"),
            ("voice_ab22", "Ben", "local"),
            ("voice_bc33", "ben", "local"),
            ("voice_cd44", "", "novita"),
        )
    ]
    library.close()
    return made


def left(capsys: Output) -> set[str]:
    capsys.readouterr()
    assert main(["voices"]) == 0
    return {line.split()[0] for line in capsys.readouterr().out.splitlines()}


# the bar


def lines(shown: str) -> list[str]:
    """Return what stood on the line of progress, one after the other, without colours; "" where it was empty."""
    return [line.strip() for line in re.sub(r"\x1b\[[\d;?]*[A-JL-Za-z]|[\r\n]", "", shown).split("\x1b[2K")]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (80, r"Speaking sentence 4 of \[6\] ━{10}╺━{9} 3/6 0:00:0\d"),
        (48, r"Speaking sentence 4 of \[6\] [━╸╺]+ 3/6 0:00:0\d"),
        (20, r"Speaking sent.*"),
        (3, r".*"),
    ],
)
def test_a_bar_fits_its_terminal(columns: int, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with terminal(monkeypatch, "stderr") as at, progress() as show:
        show(Stage("Speaking sentence 4 of [6]", 3, 6))
        found = lines(at.shown())
    assert re.fullmatch(expected, found[-1])
    assert max(map(len, found)) <= columns


def test_a_stage_of_nobody_knows_how_many_has_no_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, "stderr") as at:
        assert list(showing([Waiting(2), "else"], ignored)) == ["else"]
        with progress() as show:
            list(showing([Waiting(2)], show))
            found = lines(at.shown())
    assert re.fullmatch(r"Waiting at place 2 ━{20} +0:00:0\d", found[-1])


def ignored(stage: Stage) -> None:
    """Show nothing."""


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"])
def test_no_bar_is_in_a_file(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    monkeypatch.setenv(name, "1")
    with progress() as show:
        show(Stage("Speaking", 3, 6))
    assert capsys.readouterr() == ("", "")


def test_a_terminal_that_can_not_move_its_cursor_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with terminal(monkeypatch, "stderr") as at:
        with progress() as show:
            show(Stage("Speaking", 3, 6))
        assert at.shown() == ""


def test_a_check_shows_its_stages_and_takes_them_away(
    examples: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    with terminal(monkeypatch, "stderr") as at:
        assert main(["check", str(examples[0])]) == 0
        found = lines(at.shown())
    stages = [line.split(" ━")[0].split(" ╺")[0].split(" ╸")[0] for line in found if line]
    assert list(dict.fromkeys(stages)) == ["Looking at the recording", "Listening for speakers and language"]
    assert found[-1] == ""
    assert "One person speaks" in capsys.readouterr().out


# which voice is meant


@pytest.mark.parametrize(
    ("given", "voice_id"),
    [("voice_aa11", "voice_aa11"), ("voice_aa", "voice_aa11"), ("ada", "voice_aa11"), ("voice_c", "voice_cd44")],
)
@pytest.mark.usefixtures("voices")
def test_a_voice_has_names(given: str, voice_id: str, capsys: Output) -> None:
    assert main(["forget", given, "--yes"]) == 0
    assert voice_id not in left(capsys)


@pytest.mark.parametrize("given", ["voice_a", "BEN"])
@pytest.mark.usefixtures("voices")
def test_one_of_several_is_not_guessed(given: str, capsys: Output) -> None:
    assert main(["forget", given, "--yes"]) == 1
    out, err = capsys.readouterr()
    assert f"“{given}” may be any of 2 voices: " in err
    assert "voice_ab22 (Ben)" in err
    assert err.count("\n") == 1
    assert out == ""
    assert len(left(capsys)) == 4


@pytest.mark.usefixtures("voices")
def test_nothing_is_no_prefix(capsys: Output) -> None:
    assert main(["forget", "", "--yes"]) == 1
    assert "no voice with this voice_id" in capsys.readouterr().err


# keep and forget


@pytest.mark.usefixtures("voices")
def test_a_voice_is_kept(capsys: Output) -> None:
    assert main(["keep", "Ada"]) == 0
    assert capsys.readouterr() == ("voice_aa11 is permanent.\n", "")
    assert main(["voices"]) == 0
    assert "permanent" in next(line for line in capsys.readouterr().out.splitlines() if "voice_aa11" in line)


@pytest.mark.usefixtures("voices")
def test_what_costs_something_is_not_kept_unasked(capsys: Output) -> None:
    assert main(["keep", "voice_cd44"]) == 1
    assert "costs something" in capsys.readouterr().err


@pytest.mark.usefixtures("voices")
def test_a_script_forgets_by_whole_ids_alone(capsys: Output) -> None:
    assert main(["forget", "voice_ab22", "voice_aa"]) == 1
    assert "not the whole voice_id (voice_aa11)" in capsys.readouterr().err
    assert len(left(capsys)) == 4
    assert main(["forget", "voice_ab22", "voice_aa11", "voice_ab22"]) == 0
    assert left(capsys) == {"voice_bc33", "voice_cd44"}


@pytest.mark.parametrize("answer", ["y", "Yes", "n", "", "\x04"])
@pytest.mark.usefixtures("voices")
def test_a_person_is_asked(answer: str, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    with terminal(monkeypatch, "stdin", "stderr") as at:
        at.types(answer if answer == "\x04" else f"{answer}\n")
        status = main(["forget", "ada", "voice_bc"])
        shown = at.shown()
    assert shown.startswith("Remove voice_aa11 (Ada), voice_bc33 (ben) and all recordings of them? [y/N] ")
    if answer.lower() in {"y", "yes"}:
        assert status == 0
        assert left(capsys) == {"voice_ab22", "voice_cd44"}
    else:
        assert status == 1
        assert shown.endswith("Nothing was done.\n")
        assert len(left(capsys)) == 4


@pytest.mark.usefixtures("voices")
def test_yes_is_said_ahead(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    with terminal(monkeypatch, "stdin", "stderr") as at:
        assert main(["forget", "ada", "--yes"]) == 0
        assert at.shown() == ""
    assert "voice_aa11" not in left(capsys)


# what is for a terminal, and what is not


@pytest.mark.usefixtures("voices")
def test_sound_is_not_printed(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    with terminal(monkeypatch, "stdout") as at:
        assert main(["speak", "Ada", "Hello.", "--model", TURBO, "--out", "-"]) == 1
        assert at.shown() == ""
    assert "would print sound to the terminal" in capsys.readouterr().err


@pytest.mark.usefixtures("voices")
def test_text_and_recordings_are_not_waited_for(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    with terminal(monkeypatch, "stdin"):
        assert main(["speak", "Ada", "--model", TURBO, "--out", "a.wav"]) == 1
        assert "There is no text" in capsys.readouterr().err
        assert main(["clone", "-", "--consent"]) == 1
        assert "Standard input is a terminal" in capsys.readouterr().err


def test_a_clone_is_a_table_at_a_terminal_and_a_voice_id_in_a_pipe(
    examples: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    assert main(["clone", str(examples[1]), "--consent"]) == 0
    (voice_id,) = capsys.readouterr().out.split()
    with terminal(monkeypatch, "stdout") as at:
        assert main(["clone", str(examples[1]), "--consent"]) == 0
        shown = at.shown()
    assert shown.startswith(f"voice_id    {voice_id}\n")
    assert "replayed    True" in shown
