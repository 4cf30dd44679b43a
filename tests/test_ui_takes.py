"""What is said plays while it is spoken, by a link that nobody can guess, and is a whole file afterwards."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clone.audio.encoder import FileWriter
from clone.audio.reader import read
from clone.audio.writer import Provenance
from clone.ui.takes import MOUNT, Recorder, Takes, file_name
from tests.sounds import tone

RATE = 24_000
WITHIN_S = 20


def asked(
    takes: Takes, path: str, method: str = "GET", headers: tuple[tuple[bytes, bytes], ...] = ()
) -> dict[str, Any]:
    """Ask the route as a server would; return status, headers and body."""
    got: dict[str, Any] = {"body": b""}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            got["status"] = message["status"]
            got["headers"] = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            got["body"] += message.get("body", b"")

    async def receive() -> Any:
        await asyncio.sleep(WITHIN_S)
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers), "extensions": {}}
    answered = asyncio.wait_for(takes.route(scope, receive, send), WITHIN_S)
    with ThreadPoolExecutor(1) as aside:  # the browser's tests leave a loop running in this thread
        aside.submit(asyncio.run, answered).result()
    return got


def recorder(folder: Path, kind: str) -> Recorder:
    live, path = folder / "live.mp3", folder / f"take.{kind}"
    made_by = Provenance("voice_1", "speech-2.8-turbo")
    return Recorder(path if kind == "mp3" else live, path, lambda each: FileWriter(each, made_by))


@pytest.mark.parametrize("kind", ["mp3", "wav", "flac"])
def test_a_take_is_heard_while_it_grows_and_is_a_file_at_the_end(tmp_path: Path, kind: str) -> None:
    takes, recording = Takes(), recorder(tmp_path, kind)
    key = takes.begin(recording, "visit")
    recording.add(tone(1.0, RATE), RATE)
    heard: dict[str, Any] = {}
    listener = threading.Thread(target=lambda: heard.update(asked(takes, f"{MOUNT}/{key}/live.mp3")))
    listener.start()
    recording.add(tone(1.0, RATE), RATE)
    assert recording.end()[0] == pytest.approx(2.0, abs=0.01)
    listener.join(WITHIN_S)
    assert heard["status"] == 200
    (tmp_path / "heard.mp3").write_bytes(heard["body"])
    assert read(tmp_path / "heard.mp3").duration_s == pytest.approx(2.0, abs=0.1)
    file = asked(takes, f"{MOUNT}/{key}/take.{kind}")
    assert file["headers"]["cache-control"] == "private, no-store"
    assert file["body"] == (tmp_path / f"take.{kind}").read_bytes()
    assert b"AI-generated" in file["body"]
    whole = read(tmp_path / f"take.{kind}")
    assert whole.duration_s == pytest.approx(2.0, abs=0.1)
    assert np.abs(whole.samples).max() == pytest.approx(np.abs(tone(1.0, RATE)).max(), abs=0.05)
    part = asked(takes, f"{MOUNT}/{key}/take.{kind}", headers=((b"range", b"bytes=2-5"),))
    assert (part["status"], part["body"]) == (206, file["body"][2:6])


@pytest.mark.parametrize("kind", ["mp3", "wav", "flac"])
@pytest.mark.parametrize(("rate", "kept"), [(32_000, 32_000), (11_025, 16_000), (48_000, 44_100)])
def test_a_take_is_as_fast_as_it_was_spoken(tmp_path: Path, kind: str, rate: int, kept: int) -> None:
    """The hosted service speaks at another rate than this machine does."""
    recording = recorder(tmp_path, kind)
    hz = 440.0
    recording.add((0.5 * np.sin(2 * np.pi * hz * np.arange(2 * rate) / rate)).astype(np.float32), rate)
    assert recording.end()[0] == pytest.approx(2.0, abs=0.01)
    for path in (recording.live, recording.path):
        heard = read(path)
        assert heard.sample_rate == kept
        assert heard.duration_s == pytest.approx(2.0, abs=0.1)
        second = heard.samples[kept // 2 : kept // 2 + kept]
        assert np.abs(np.fft.rfft(second)).argmax() == pytest.approx(hz, abs=1)


def test_nothing_else_is_answered(tmp_path: Path) -> None:
    takes, recording = Takes(), recorder(tmp_path, "wav")
    (tmp_path / "other.wav").write_bytes(b"other")
    key = takes.begin(recording, "visit")
    recording.add(tone(1.0, RATE), RATE)
    recording.end()
    for path in (f"{MOUNT}/{key}x/live.mp3", f"{MOUNT}/{key}/other.wav", f"{MOUNT}/{key}/../other.wav", MOUNT, "/"):
        assert asked(takes, path)["status"] == 404
    assert asked(takes, f"{MOUNT}/{key}/take.wav", "POST")["status"] == 405
    (tmp_path / "take.wav").unlink()
    assert asked(takes, f"{MOUNT}/{key}/take.wav")["status"] == 404


def test_a_take_that_was_broken_off_ends(tmp_path: Path) -> None:
    takes, recording = Takes(), recorder(tmp_path, "mp3")
    key = takes.begin(recording, "visit")
    recording.add(tone(1.0, RATE), RATE)
    threading.Timer(0.2, recording.end).start()
    assert asked(takes, f"{MOUNT}/{key}/live.mp3")["status"] == 200


def test_a_page_that_is_lent_is_saved_not_shown(tmp_path: Path) -> None:
    takes = Takes()
    (tmp_path / "card.html").write_text("<p>A card")
    answer = asked(takes, takes.lend(tmp_path / "card.html", "visit"))
    assert answer["body"] == b"<p>A card"
    assert answer["headers"]["content-disposition"] == "attachment"
    assert answer["headers"]["content-type"] == "application/octet-stream"


def test_a_file_is_named_by_what_is_in_it() -> None:
    assert (
        file_name("mp3", "Zoë Müller, narrator", "It's late.\nGo home!")
        == "Zoë Müller narrator - It's late Go home.mp3"
    )
    assert file_name("html", "../../x\\y:*?") == "x y.html"
    assert file_name("wav", "", "今天天气很好，我们去公园。") == "Voice - 今天天气很好 我们去公园.wav"
    assert len(file_name("flac", "a" * 300, "b c " * 300)) < 100
