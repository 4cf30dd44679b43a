"""The command ``models``: what is listed, whose terms are asked for, and how getting an engine ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clone.cli.app import main
from clone.engine.models import POCKET, Model, Models
from clone.studio import facade
from tests.getting import part_of_main
from tests.mirror import CONTENT, MAIN, N_BYTES, NAME, TERMS, Mirror, mirroring, stand_in
from tests.test_cli_terminal import Terminal, terminal

ROOT = Path(__file__).parent.parent
Output = pytest.CaptureFixture[str]

WORSE = "It says 9 % of the words wrong, and the engine here 2 %."


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with mirroring() as running:
        yield running


@pytest.fixture
def models(mirror: Mirror, home: Path, monkeypatch: pytest.MonkeyPatch) -> Models:
    """A stand-in at a mirror, which the command line has instead of the real engine."""
    made = Models(home / "models", (stand_in(mirror.url),), allow_private=True)
    monkeypatch.setattr(facade, "models_of", lambda settings, _judge: made)
    return made


def said(capsys: Output) -> tuple[str, str]:
    """Return stdout and the one line on stderr."""
    out, err = capsys.readouterr()
    assert err.count("\n") == (1 if err else 0), err
    return out, err.strip()


def test_the_engines_are_listed(capsys: Output) -> None:
    assert main(["models"]) == 0
    out, err = said(capsys)
    pocket, kokoro, hibari = (re.split(" {2,}", line) for line in out.splitlines())
    assert pocket == ["pocket", "Pocket TTS", "217 MB", "CC-BY-4.0", "English", "not here"]
    assert (kokoro[0], kokoro[-1], hibari[0], hibari[-1], err) == ("kokoro", "here", "hibari", "here", "")
    assert main(["models", "--json"]) == 0
    listed, *_ = json.loads(said(capsys)[0])["models"]
    assert listed == {
        "name": "pocket",
        "title": "Pocket TTS",
        "n_bytes": POCKET.n_bytes,
        "licence": "CC-BY-4.0",
        "terms": POCKET.terms,
        "languages": ["English"],
        "is_here": False,
        "is_judged": False,
        "verdict": "",
    }


def test_an_engine_is_got_with_its_terms_accepted(models: Models, capsys: Output) -> None:
    assert main(["models", "get", NAME, "--accept-terms"]) == 0
    assert said(capsys) == ("Stand-in TTS is here.\n", "")
    assert models.is_usable(NAME)
    assert main(["models"]) == 0
    assert said(capsys)[0].endswith("  here\n")


def test_without_an_answer_the_terms_are_told_and_nothing_is_fetched(
    models: Models, mirror: Mirror, capsys: Output
) -> None:
    assert main(["models", "get", NAME]) == 1
    out, err = said(capsys)
    assert TERMS in out
    assert err.endswith("say --accept-terms if you do.")
    assert mirror.asked == []
    assert not models.is_here(NAME)


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1), ("", 1)])
def test_at_a_terminal_the_terms_are_asked_for(
    models: Models, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, answer: str, status: int
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with terminal(monkeypatch, "stdin", "stderr") as there:
        there.types(f"{answer}\n")
        assert main(["models", "get", NAME]) == status
        shown = there.shown()
    assert TERMS in shown
    assert "Accept these terms and get 0.49 MB? [y/N]" in shown
    assert ("Getting Stand-in TTS:" in shown) == (status == 0)
    assert models.is_here(NAME) == bool(mirror.asked) == (status == 0)


def test_a_bar_shows_how_far_it_is(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with terminal(monkeypatch, "stderr") as there:
        assert isinstance(there, Terminal)
        assert main(["models", "get", NAME, "--accept-terms"]) == 0
        assert "━" in there.shown()


def test_why_an_engine_is_not_used_is_told(
    mirror: Mirror, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    judged: list[Model] = []

    def judge(model: Model) -> str:
        judged.append(model)
        return WORSE

    made = Models(home / "models", (stand_in(mirror.url),), judge=judge, allow_private=True)
    monkeypatch.setattr(facade, "models_of", lambda settings, _judge: made)
    assert main(["models", "get", NAME, "--accept-terms"]) == 0
    assert said(capsys)[0] == f"Stand-in TTS is here, and not used. {WORSE}\n"
    assert main(["models"]) == 0
    assert WORSE in said(capsys)[0]
    assert len(judged) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["get", "nobody", "--accept-terms"], "There is no engine named “nobody”. There is: pocket."),
        (["get", "../../etc", "--accept-terms"], "There is no engine named “../../etc”."),
        (["get"], "Which engine? There is: pocket."),
    ],
)
def test_failures(models: Models, words: list[str], expected: str, capsys: Output) -> None:
    assert main(["models", *words]) == 1
    out, err = said(capsys)
    assert out == ""
    assert expected in err


def test_what_goes_wrong_is_one_line(models: Models, mirror: Mirror, capsys: Output) -> None:
    mirror.has[MAIN] = bytes(len(CONTENT["main.onnx"]))
    assert main(["models", "get", NAME, "--accept-terms"]) == 1
    out, err = said(capsys)
    assert out == ""
    assert "main.onnx of Stand-in TTS is not that file" in err
    assert not models.is_here(NAME)


def test_the_settings_say_where_it_comes_from(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setenv("TIMBRE_MODELS_DIR", str(tmp_path / "stick"))
    assert main(["models", "get", "pocket", "--accept-terms"]) == 1
    assert "TIMBRE_MODELS_DIR has no pocket/lm_main.int8.onnx" in said(capsys)[1]
    monkeypatch.delenv("TIMBRE_MODELS_DIR")
    monkeypatch.setenv("TIMBRE_MODELS_URL", "http://127.0.0.1:8000")
    assert main(["models", "get", "pocket", "--accept-terms"]) == 1
    assert "http://127.0.0.1:8000/pocket/lm_main.int8.onnx points into a private network" in said(capsys)[1]
    monkeypatch.setenv("TIMBRE_MODELS_URL", "file:///etc")
    assert main(["models"]) == 1
    assert "TIMBRE_MODELS_URL must begin with http" in said(capsys)[1]


PROGRAM = """
import sys
from clone.studio import facade
from clone.engine.models import Models
from tests.mirror import stand_in
there = (stand_in(sys.argv.pop(1)),)
facade.models_of = lambda settings, _judge: Models(settings.home / "models", there, allow_private=True)
import clone.__main__
"""


def test_an_interrupt_leaves_what_is_gone_on_with(mirror: Mirror, home: Path) -> None:
    mirror.pause_s = 0.05
    words = [sys.executable, "-c", PROGRAM, mirror.url, "models", "get", NAME, "--accept-terms"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TIMBRE_HOME": str(home)}
    process = subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while mirror.sent[MAIN] < 150_000:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("", "Stopped.\n")
    assert process.returncode == 130
    n_here = part_of_main(home).stat().st_size
    assert 0 < n_here < len(CONTENT["main.onnx"])
    mirror.pause_s = 0.0
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Stand-in TTS is here.\n", "")
    (again,) = [headers for path, headers in mirror.asked[1:] if path == MAIN]
    assert again["Range"] == f"bytes={n_here}-"
    assert sum(path.stat().st_size for path in (home / "models" / NAME).iterdir()) == N_BYTES
