"""The command line in a pipe: text and recordings from standard input, sound and voice_ids to standard output."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from clone.audio.reader import Recording, read
from clone.cli import pipes
from clone.cli.app import main
from clone.contract.cloning import SPEECH_TASK_MAX_CHARS
from clone.core.settings import Settings
from clone.engine.backend import LocalBackend
from clone.studio.facade import Studio
from clone.studio.results import Passage
from tests.sounds import encode, speechlike, tone
from tests.studios import LONG, TURBO, last, order

ROOT = Path(__file__).parent.parent
WITHIN_S = 120.0

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def inhabited(backend: LocalBackend, examples: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one voice in it, named Ben."""
    home = tmp_path_factory.mktemp("inhabited") / "home"
    studio = Studio(Settings.at(home), backend)
    last(studio.clone(order(examples[1], owner="local", name="Ben")))
    studio.close()
    return home


@pytest.fixture
def at_home(inhabited: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMBRE_HOME", str(inhabited))


def environment(home: Path) -> dict[str, str]:
    return {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home), "TIMBRE_HOME": str(home)}


def shell(line: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a line in bash, where python is this one."""
    return subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env=environment(home), capture_output=True, text=True, check=False
    )


def pipe_in(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def read_within(fd: int, seconds: float) -> bytes:
    return os.read(fd, 1 << 16) if select.select([fd], [], [], seconds)[0] else b""


def all_of(terminal: int) -> bytes:
    """Return what a terminal shows until the program leaves it, which reads as an error."""
    shown = b""
    with suppress(OSError):
        while piece := read_within(terminal, WITHIN_S):
            shown += piece
    return shown


# real pipes


def test_speech_is_heard_while_the_rest_is_not_yet_spoken_and_an_interrupt_ends_it(inhabited: Path) -> None:
    sentences = 40
    terminal, stderr = pty.openpty()
    words = ["speak", "ben", "-", "--model", TURBO, "--out", "-"]
    process = subprocess.Popen(
        [sys.executable, "-m", "clone", *words],
        cwd=ROOT,
        env=environment(inhabited),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )
    os.close(stderr)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"The train to the coast leaves at nine, and people walk home. " * sentences)
    process.stdin.close()
    heard = b""
    while len(heard) < 20_000:
        piece = read_within(process.stdout.fileno(), WITHIN_S)
        assert piece
        heard += piece
    assert heard[:4] == b"RIFF"
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    shown = all_of(terminal)
    assert process.wait(timeout=WITHIN_S) == 130
    assert shown.endswith(b"\x1b[2KStopped.\r\n"), "the bar is gone"
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown.decode())
    told = re.findall(r"Speaking sentence (\d+) of (\d+) [━╸╺]{20} (\d+)/\2 \d:\d\d:\d\d", plain)
    assert told, shown
    assert all(int(done) == int(sentence) - 1 for sentence, _, done in told)
    assert int(told[-1][0]) < int(told[-1][1]) / 2, "only as much is spoken ahead as a pipe and a turn hold"


def test_a_reader_that_leaves_ends_it_quietly(inhabited: Path) -> None:
    speak = f"echo {LONG[:200]}. {LONG[:200]}. | python -m clone speak ben --model {TURBO} --out - --format mp3"
    done = shell(f"{speak} | head -c 100 | wc -c; echo ${{PIPESTATUS[@]}}", inhabited)
    assert done.stdout.split() == ["100", "0", "141", "0", "0"]
    assert done.stderr == ""


def test_a_voice_goes_from_command_to_command(examples: list[Path], home: Path) -> None:
    done = shell(
        f"id=$(python -m clone clone - --consent < '{examples[1]}') && python -m clone forget \"$id\" && echo $id", home
    )
    assert done.returncode == 0
    gone, voice_id = done.stdout.splitlines()
    assert gone == f"{voice_id} and its recordings are gone."
    assert done.stderr == ""
    assert list((home / "work").iterdir()) == []


def test_text_whose_reader_leaves_ends_quietly(home: Path) -> None:
    done = shell("python -m clone completion bash | true; echo ${PIPESTATUS[0]}", home)
    assert (done.stdout, done.stderr) == ("141\n", "")


# sound as it goes out


@pytest.mark.parametrize("audio_format", ["wav", "mp3", "flac"])
def test_what_is_streamed_is_a_file(audio_format: str, tmp_path: Path) -> None:
    passages = [Passage(tone(seconds, 24_000), 24_000) for seconds in (0.7, 1.3, 0.5)]
    streamed = tmp_path / "streamed"
    with streamed.open("wb") as file:
        pipes.stream((each for each in passages), audio_format, file.fileno())
    sound = read(streamed)
    assert sound.format == audio_format
    assert sound.sample_rate == 24_000
    assert sound.duration_s == pytest.approx(2.5, abs=0.1)
    whole = np.concatenate([passage.samples for passage in passages])
    assert np.sqrt(np.mean(sound.samples**2)) == pytest.approx(np.sqrt(np.mean(whole**2)), rel=0.1)


def test_each_passage_can_be_heard_before_the_next_is_there() -> None:
    reader, writer = os.pipe()
    sizes: list[int] = []

    def passages() -> object:
        for _ in range(3):
            yield Passage(tone(0.5, 24_000), 24_000)
            sizes.append(len(read_within(reader, WITHIN_S)))

    pipes.stream(passages(), "wav", writer)  # type: ignore[arg-type]
    assert sizes == [44 + 24_000, 24_000, 24_000]


def test_more_than_a_pipe_holds_is_written_whole() -> None:
    reader, writer = os.pipe()
    got: list[bytes] = []

    def listen() -> None:
        while data := os.read(reader, 1000):
            got.append(data)

    listener = threading.Thread(target=listen)
    listener.start()
    pipes.stream((each for each in [Passage(tone(5.0, 24_000), 24_000)]), "wav", writer)
    os.close(writer)
    listener.join()
    assert sum(map(len, got)) == 44 + 2 * 5 * 24_000


# what is asked of the speech


def spoken(out: Path, *options: str) -> Recording:
    assert main(["speak", "Ben", "--model", TURBO, "--out", str(out), *options]) == 0
    return read(out)


@pytest.mark.usefixtures("at_home")
def test_speed_volume_and_format_are_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    text = b"The train to the coast leaves at nine.\nSee you there.\n"
    pipe_in(text, monkeypatch)
    fast = spoken(tmp_path / "fast.flac", "--speed", "2", "--volume", "0.2", "--pitch", "-3")
    pipe_in(text, monkeypatch)
    slow = spoken(tmp_path / "slow.mp3", "--speed", "0.5", "--format", "mp3")
    assert (fast.format, slow.format) == ("flac", "mp3")
    assert slow.duration_s > 2 * fast.duration_s
    assert np.sqrt(np.mean(slow.samples**2)) > 2 * np.sqrt(np.mean(fast.samples**2))
    out, err = capsys.readouterr()
    assert "The voice is permanent." in out
    assert err == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--speed", "3"], "The speed is 3; it must be 0.5 to 2.0"),
        (["--speed", "nan"], "The speed is nan"),
        (["--volume", "0"], "The volume is 0; it must be above 0, up to 10"),
        (["--pitch", "13"], "The pitch is 13; it must be -12 to 12"),
    ],
)
@pytest.mark.usefixtures("at_home")
def test_settings_beyond_their_range_are_refused(words: list[str], expected: str, capsys: Output) -> None:
    assert main(["speak", "Ben", "Hello.", "--model", TURBO, "--out", "a.wav", *words]) == 2
    out, err = capsys.readouterr()
    assert expected in err
    assert out == ""


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        (b"", 2, "no letter"),
        ("Grüße".encode("latin-1"), 1, "not UTF-8 text, from byte 2 on"),
        (b"a " * SPEECH_TASK_MAX_CHARS, 2, f"at most {SPEECH_TASK_MAX_CHARS:,} are accepted"),
        (b"a" * (pipes.MAX_TEXT_BYTES + 1), 1, "more than 16 MB of text"),
    ],
    ids=["empty", "latin-1", "long", "endless"],
)
@pytest.mark.usefixtures("at_home")
def test_text_from_standard_input_is_refused(
    text: bytes, status: int, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    pipe_in(text, monkeypatch)
    assert main(["speak", "Ben", "-", "--model", TURBO, "--out", "a.wav"]) == status
    out, err = capsys.readouterr()
    assert expected in err
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["speak", "Ben", "Hello.", "--model", TURBO, "--out", "-", "--json"], "both need standard output"),
        (["speak", "Ben", "Hello.", "--model", TURBO, "--out", "a.mp3", "--format", "wav"], "--format is wav"),
        (["clone", "-", "--prompt-audio", "-", "--consent"], "can't both be standard input"),
        (["clone", "-", "--consent", "--text", "Hello.", "--model", TURBO, "--out", "-"], "- must end in .mp3"),
    ],
)
def test_what_can_not_be_piped_is_one_line(words: list[str], expected: str, capsys: Output) -> None:
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert expected in err
    assert out == ""


def test_a_recording_from_standard_input_is_checked(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    pipe_in(encode(speechlike(6.0), 24_000, "wav"), monkeypatch)
    assert main(["check", "-", "--json"]) == 2
    out, err = capsys.readouterr()
    assert "6.0 s long; at least 10 s" in err
    assert "too_short" in {each["code"] for each in json.loads(out)["findings"]}


def test_an_empty_standard_input_is_no_recording(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    pipe_in(b"", monkeypatch)
    assert main(["clone", "-", "--consent"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
