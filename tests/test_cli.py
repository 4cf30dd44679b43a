"""The command line, by its real commands: what it prints, where, and with which exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from clone.audio.reader import read
from clone.cli.app import main
from clone.core.settings import Settings
from clone.storage.files import Store
from clone.storage.tasks import Tasks
from clone.storage.voices import Library, utc_now
from tests.faults import saying, serving
from tests.sounds import encode, speechlike, tone
from tests.voices import FILES, make_voice

ROOT = Path(__file__).parent.parent
TURBO = "speech-2.8-turbo"
TEXT = "The train to the coast leaves at nine."
PREVIEW = ["--text", TEXT, "--model", TURBO]

Output = pytest.CaptureFixture[str]


@pytest.fixture
def short(tmp_path: Path) -> Path:
    path = tmp_path / "short.wav"
    path.write_bytes(encode(speechlike(6.0), 24_000, "wav"))
    return path


@pytest.fixture(scope="module")
def kept(examples: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A home with one voice in it, its preview, and what cloning it printed."""
    folder = tmp_path_factory.mktemp("kept")
    preview = folder / "preview.wav"
    words = ["clone", str(examples[0]), "--text", TEXT, "--model", TURBO, "--consent", "--out", str(preview), "--json"]
    done = command(words, folder / "home")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder / "home", preview, done.stdout


def command(words: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clone", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "TIMBRE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def said(capsys: Output) -> tuple[str, str]:
    """Return stdout and the one line on stderr."""
    out, err = capsys.readouterr()
    assert err.count("\n") == (1 if err else 0), err
    assert "Traceback" not in err
    return out, err.strip()


# the whole walk


def test_clone_prints_the_voice(kept: tuple[Path, Path, str]) -> None:
    answer = json.loads(kept[2])
    assert answer["voice_id"]
    assert 0 < answer["likeness"] <= 1
    assert answer["typical_stock"] < answer["likeness"] <= answer["ceiling"] + 0.1
    assert 27 < answer["n_stock_beaten"] <= answer["n_stock"] == 54
    assert 0 <= answer["n_pieces_reached"] <= answer["n_pieces"]
    assert answer["expires_at"].endswith("+00:00")
    assert answer["replayed"] is False
    assert answer["preview"] == str(kept[1])


def test_the_preview_is_speech_of_a_plausible_length(kept: tuple[Path, Path, str]) -> None:
    preview = read(kept[1])
    assert preview.format == "wav"
    assert 1 < preview.duration_s < 6
    assert np.sqrt(np.mean(preview.samples**2)) > 0.01


def test_the_voice_lives_on(
    kept: tuple[Path, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    voice_id = json.loads(kept[2])["voice_id"]
    monkeypatch.setenv("TIMBRE_HOME", str(kept[0]))

    assert main(["voices", "--json"]) == 0
    (voice,) = json.loads(said(capsys)[0])["voices"]
    assert (voice["voice_id"], voice["model"], voice["permanent"]) == (voice_id, TURBO, False)
    assert voice["expires_at"]

    out = tmp_path / "speech.mp3"
    assert main(["speak", voice_id, "See you there.", "--model", TURBO, "--out", str(out)]) == 0
    assert "permanent" in said(capsys)[0]
    assert read(out).format == "mp3"

    japanese = ["speak", voice_id, "東京大学", "--model", TURBO, "--out", str(out), "--language", "Japanese"]
    assert main(japanese) == 0
    assert read(out).duration_s > 0.5
    said(capsys)

    assert main(["voices"]) == 0
    assert f"{voice_id}  {TURBO}  permanent" in said(capsys)[0]

    assert main(["forget", voice_id]) == 0
    said(capsys)
    assert main(["voices"]) == 0
    assert said(capsys) == ("", "")
    assert main(["forget", voice_id]) == 1
    assert said(capsys)[1]
    assert main(["speak", voice_id, "Hello.", "--model", TURBO, "--out", str(out)]) == 1


# check


def test_check_of_a_good_recording(examples: list[Path], capsys: Output) -> None:
    assert main(["check", str(examples[0]), "--json"]) == 0
    out, err = said(capsys)
    assert err == ""
    findings = json.loads(out)["findings"]
    assert all(set(each) == {"code", "severity", "measured", "limit", "advice"} for each in findings)
    assert "refuse" not in {each["severity"] for each in findings}


def test_check_of_a_short_recording(short: Path, capsys: Output) -> None:
    assert main(["check", str(short), "--json"]) == 2
    out, err = said(capsys)
    assert "6.0 s long; at least 10 s" in err
    (finding,) = [each for each in json.loads(out)["findings"] if each["severity"] == "refuse"]
    assert (finding["code"], finding["measured"], finding["limit"]) == ("too_short", 6.0, 10.0)


def test_check_in_words(short: Path, capsys: Output) -> None:
    assert main(["check", str(short)]) == 2
    assert "refuse" in said(capsys)[0]


def test_check_of_what_is_no_recording(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "letter.mp3"
    path.write_text("Dear all,\n" * 500)
    assert main(["check", str(path), "--json"]) == 2
    out, err = said(capsys)
    (finding,) = json.loads(out)["findings"]
    assert finding["severity"] == "refuse"
    assert finding["advice"]
    assert err


def test_check_of_a_url(short: Path, settings: object, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    handler = partial(_Silent, directory=str(short.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/short.wav"
        assert main(["check", url]) == 2
        assert "10 s" not in said(capsys)[1]  # refused for its address, before it is looked at
        monkeypatch.setenv("TIMBRE_ALLOW_PRIVATE_URLS", "1")
        assert main(["check", url]) == 2
        assert "at least 10 s" in said(capsys)[1]
        server.shutdown()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Leave stderr to what is tested."""


# refusals by a limit: 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--text", TEXT], "no model to speak it with"),
        (["--text", TEXT, "--model", "speech-01-hd"], "no model named “speech-01-hd”"),
        (["--text", "! ?", "--model", TURBO], "no letter"),
        (["--text", "a" * 2001, "--model", TURBO], "2,001 characters; at most 2,000"),
        (["--accuracy", "1.2"], "Accuracy is 1.2; it must lie between 0 and 1"),
        (["--accuracy", "nan"], "Accuracy is nan"),
        (["--prompt-text", "Hello."], "no prompt clip"),
    ],
)
def test_clone_refuses(examples: list[Path], words: list[str], expected: str, capsys: Output) -> None:
    assert main(["clone", str(examples[0]), "--consent", *words]) == 2
    out, err = said(capsys)
    assert expected in err
    assert out == ""


def test_clone_refuses_without_consent(examples: list[Path], capsys: Output) -> None:
    assert main(["clone", str(examples[0]), "--text", TEXT, "--model", TURBO]) == 2
    assert "agree" in said(capsys)[1]


def test_clone_refuses_what_has_no_speech(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "tone.wav"
    path.write_bytes(encode(tone(12.0, 16_000), 16_000, "wav"))
    assert main(["clone", str(path), "--consent"]) == 2
    assert said(capsys)[1]


def test_a_refusal_of_the_real_process_is_one_line(short: Path, home: Path) -> None:
    done = command(["clone", str(short), "--consent"], home)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "at least 10 s" in done.stderr


# anything else: 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["sing"],
        ["clone"],
        ["speak", "some-voice"],
        ["clone", "a.mp3", "--accuracy", "much"],
        ["speak", "some-voice", "Hello.", "--model", TURBO],
    ],
)
def test_a_wrong_use_is_no_refusal(words: list[str], capsys: Output) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 1
    assert "--help" in said(capsys)[1]


@pytest.mark.parametrize(
    ("words", "help_of"),
    [
        (["--json", "voices"], "python -m clone"),
        (["speak", "some-voice", "--model"], "python -m clone speak"),
        (["pending", "some", "--keep", "--dismiss"], "python -m clone pending"),
        (["pending", "some", "--dismiss", "--keep", "voice"], "python -m clone pending"),
    ],
)
def test_a_wrong_use_is_told_where_the_right_one_is(words: list[str], help_of: str, capsys: Output) -> None:
    with pytest.raises(SystemExit):
        main(words)
    told = said(capsys)[1]
    message = json.loads(told)["error"]["message"] if "--json" in words else told
    assert message.endswith(f". See {help_of} --help.")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["clone", "missing.mp3", "--consent"], "There is no file missing.mp3"),
        (["check", "."], "There is no file ."),
        (["clone", "AUDIO", "--consent", "--out", "preview.wav"], "none without --text"),
        (["clone", "AUDIO", "--consent", *PREVIEW, "--out", "no/such/a.wav"], "no folder no/such"),
        (["clone", "AUDIO", "--consent", *PREVIEW, "--out", "a.ogg"], "must end in .mp3, .wav or .flac"),
        (["speak", "nobody", "Hello.", "--model", TURBO, "--out", "no/such/a.wav"], "no folder no/such"),
        (["speak", "nobody", "Hello.", "--model", TURBO, "--out", "a.wav"], "no voice with this voice_id"),
        (["forget", "nobody"], "no voice with this voice_id"),
    ],
)
def test_failures(examples: list[Path], words: list[str], expected: str, capsys: Output) -> None:
    assert main([str(examples[0]) if word == "AUDIO" else word for word in words]) == 1
    out, err = said(capsys)
    assert expected in err
    assert out == ""


def test_a_bad_setting_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", "many")
    assert main(["voices"]) == 1
    assert "GRADIO_SERVER_PORT is “many”" in said(capsys)[1]


def test_a_home_that_is_a_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TIMBRE_HOME", str(tmp_path / "file"))
    assert main(["voices"]) == 1
    assert said(capsys)[1]


def test_a_language_that_is_not_spoken_is_a_wrong_use(capsys: Output) -> None:
    with pytest.raises(SystemExit):
        main(["speak", "voice", "Hello.", "--model", TURBO, "--language", "Klingon"])
    assert "Klingon" in capsys.readouterr().err


def test_help_is_no_failure(capsys: Output) -> None:
    with pytest.raises(SystemExit) as left:
        main(["clone", "--help"])
    assert left.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "--consent" in told
    for limit in ("10 s to 5:00 min", "at most 20 MB", "at most 2,000 characters", "shorter than 8 s", "0 to 1; 0.7"):
        assert limit in told
    assert TURBO in told


def test_an_error_is_json_where_json_is_asked_for(short: Path, capsys: Output) -> None:
    assert main(["clone", str(short), "--consent", "--json"]) == 2
    out, err = capsys.readouterr()
    error = json.loads(err)["error"]
    assert out == ""
    assert (error["code"], error["field"], error["measured"], error["limit"]) == ("too_short", "audio", 6.0, 10.0)
    assert (error["status"], bool(error["message"]), bool(error["advice"])) == (2, True, True)
    assert main(["clone", "no such file", "--consent", "--json"]) == 1
    assert "no such file" in json.loads(capsys.readouterr().err)["error"]["message"]


def test_the_hosted_service_clones_for_who_says_yes_and_has_a_key(
    audio_url: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    words = ["clone", audio_url, "--consent", "--backend", "novita", "--name", "Ada", "--json"]
    monkeypatch.setenv("TIMBRE_ALLOW_PRIVATE_URLS", "1")
    assert main(words) == 1
    assert "--yes" in json.loads(capsys.readouterr().err)["error"]["message"]
    assert main([*words, "--yes"]) == 1
    assert "NOVITA_API_KEY" in json.loads(capsys.readouterr().err)["error"]["advice"]
    with serving() as service:
        service.answers["/v3/minimax-voice-cloning"] = saying(200, {"voice_id": "voice_hosted"})
        monkeypatch.setenv("NOVITA_BASE_URL", service.url(""))
        monkeypatch.setenv("NOVITA_API_KEY", "a-key")
        assert main([*words, "--yes"]) == 0
        assert json.loads(capsys.readouterr().out)["voice_id"] == "voice_hosted"


# other owners


def test_an_owners_voices_are_listed_and_forgotten_by_whoever_runs_timbre(home: Path, capsys: Output) -> None:
    key, other = "key-" + "0a" * 20, "key-" + "0b" * 20
    settings = Settings.at(home)
    library = Library(settings, Store(settings.store_url))
    for number, owner in enumerate((key, key, other, "local")):
        library.add(make_voice(f"voice-{number}", owner, created_at=utc_now()), FILES)
    Tasks(library.database, library.store).keep(key, "speech-02-hd", b"sound", "mp3")
    library.close()

    def listed(*words: str) -> list[str]:
        assert main(["voices", *words, "--json"]) == 0
        return sorted(voice["voice_id"] for voice in json.loads(said(capsys)[0])["voices"])

    assert listed() == ["voice-3"]
    assert listed("--owner", "key-0a") == ["voice-0", "voice-1"]
    assert listed("--all") == ["voice-0", "voice-1", "voice-2", "voice-3"]
    assert main(["voices", "--all"]) == 0
    assert said(capsys)[0].count(key) == 2

    for words in ((), ("--owner", "key-0"), ("--owner", "key-0a"), ("--owner", "nobody"), ("voice-0",)):
        assert main(["forget", *words]) == 1  # nobody is there to be asked, and nothing is guessed
        assert said(capsys)[1]
    assert len(listed("--all")) == 4
    assert main(["forget", "voice-2", "--owner", key]) == 1
    said(capsys)
    assert main(["forget", "voice-2", "--owner", other]) == 0
    assert main(["forget", "--owner", "key-0a", "--yes"]) == 0
    assert f"Everything of {key} is gone; voices: 2." in said(capsys)[0]
    assert main(["forget", "--owner", key]) == 0
    assert "voices: 0." in said(capsys)[0]
    assert listed("--all") == ["voice-3"]
    assert not list((home / "audio" / "speech").iterdir())


def begin(words: list[str], home: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *options, "-m", "clone", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home.parent), "TIMBRE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_interrupt_of_work_ends_it_cleanly(examples: list[Path], home: Path) -> None:
    words = ["--text", f"{TEXT} " * 40, "--model", "speech-2.8-hd", "--consent"]
    process = begin(["clone", str(examples[0]), *words], home)
    while not (home / "library.db").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "Stopped.\n")
    assert process.returncode == 130


INTERRUPTED_THERE = """
import sys
from sqlalchemy.pool import base
from clone.cli.app import main
def interrupted(*_, **__):
    raise KeyboardInterrupt
base._ConnectionFairy._reset = interrupted
sys.exit(main(["voices"]))
"""


def test_an_interrupt_inside_a_library_that_logs_it_ends_it_cleanly(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_THERE],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "TIMBRE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")


def test_an_interrupt_of_the_imports_ends_it_cleanly(home: Path) -> None:
    process = begin(["voices"], home, "-X", "importtime")
    assert process.stderr is not None
    while "numpy" not in process.stderr.readline():  # the interpreter tells each import once it is done
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert [line for line in err.splitlines() if not line.startswith("import time:")] == ["Stopped."]
