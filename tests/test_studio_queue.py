"""One queue for every caller: bounded, told of, left at any moment."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clone.audio import enhance
from clone.audio.reader import Recording, read
from clone.audio.writer import accepted, mp3_bytes
from clone.core.errors import CancelledError
from clone.core.jobs import HEARTBEAT_S, MAX_WAITING, MAX_WAITING_PER_OWNER, Stage, Stop, Waiting
from clone.core.settings import Settings
from clone.engine.backend import LocalBackend
from clone.studio.facade import Studio
from tests.sounds import encode, tone
from tests.studios import HD, LONG, TEXT, close, files_in, follow_to, last, order, refusal, say, wait_until_empty

SLACK_S = 4.0
"""A second is promised; these machines are busy with other things at the same time. The work left takes far longer."""


@pytest.fixture
def held(studio: Studio, examples: list[Path]) -> Iterator[Iterator[Any]]:
    """A queue that somebody else keeps busy for a long time."""
    news = studio.clone(order(examples[1], "somebody", text=LONG, model=HD))
    follow_to(news, "Speaking")
    yield news
    news.close()  # type: ignore[attr-defined]


class Trickle(http.server.BaseHTTPRequestHandler):
    """A recording that never ends."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "audio/mpeg")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"\xff" * 100)
                time.sleep(0.05)
        except OSError:
            pass

    def log_message(self, *args: Any) -> None:
        pass


def test_a_busy_queue(studio: Studio, examples: list[Path], held: Iterator[Any]) -> None:
    """All in one, since keeping a queue busy costs seconds."""
    first, second = (studio.clone(order(path, "ann")) for path in examples[:2])
    assert [next(first), next(second)] == [Waiting(1), Waiting(2)]
    more = [studio.clone(order(examples[2], "ann", name=str(i))) for i in range(MAX_WAITING_PER_OWNER - 2)]
    for each in more:
        next(each)
    refused = refusal(studio.clone(order(examples[2], "ann")))
    limit = MAX_WAITING_PER_OWNER
    assert (refused.code, refused.measured, refused.limit) == ("quota_work", limit, limit)
    assert refused.status == 429
    for each in more:
        each.close()  # type: ignore[attr-defined]
    others = [studio.clone(order(examples[2], f"owner {i}")) for i in range(MAX_WAITING - 2)]
    for other in others:
        next(other)
    full = refusal(studio.clone(order(examples[2], "one too many")))
    assert (full.code, full.limit) == ("queue_full", MAX_WAITING)
    assert next(held).name.startswith("Speaking")
    for waiting in (first, *others):
        waiting.close()  # type: ignore[attr-defined]
    assert next(second) == Waiting(1)
    held.close()  # type: ignore[attr-defined]
    assert last(second).voice.owner == "ann"
    assert studio.voices("somebody") == studio.voices("owner 0") == []


def test_a_stored_voice_is_given_while_the_queue_is_busy(studio: Studio, examples: list[Path]) -> None:
    stored = last(studio.clone(order(examples[0])))
    news = studio.clone(order(examples[1], "somebody", text=LONG, model=HD))
    follow_to(news, "Speaking")
    (again,) = studio.clone(order(examples[0]))
    assert (again.replayed, again.voice.voice_id) == (True, stored.voice.voice_id)
    news.close()  # type: ignore[attr-defined]


def test_there_is_a_word_every_quarter_of_a_second(studio: Studio, examples: list[Path]) -> None:
    gaps, stages, before = [], [], time.monotonic()
    for item in studio.clone(order(examples[2], text="The people by the harbour walk slowly home.", model=HD)):
        gaps.append(time.monotonic() - before)
        before = time.monotonic()
        stages.append(item)
    assert np.percentile(gaps, 90) <= HEARTBEAT_S + 0.15
    assert max(gaps) <= 1.5
    assert sum(isinstance(item, Stage) and item.name == "Speaking" for item in stages) > 1


@pytest.mark.parametrize("stage", ["Checking", "Learning", "Speaking sentence 1", "Speaking sentence 2", "Comparing"])
def test_a_clone_is_cancelled_in_any_stage(
    studio: Studio, settings: Settings, examples: list[Path], stage: str
) -> None:
    text = f"{TEXT} {TEXT}" if stage == "Comparing" else f"{TEXT} {LONG}"
    news = studio.clone(order(examples[0], text=text, need_noise_reduction=True))
    follow_to(news, stage)
    close(studio, news)
    wait_until_empty(settings.home / "work", SLACK_S)
    assert files_in(settings.home / "audio" / "voices") == []


def test_a_run_of_the_hd_network_is_cancelled(studio: Studio, settings: Settings, examples: list[Path]) -> None:
    news = studio.clone(order(examples[1], text=LONG, model=HD))
    follow_to(news, "Speaking")
    for _ in range(3):  # well into it
        next(news)
    news.close()  # type: ignore[attr-defined]
    wait_until_empty(settings.home / "work", SLACK_S)
    assert studio.voices("ann") == []
    assert files_in(settings.home / "audio" / "voices") == []
    after = time.monotonic()
    assert last(studio.clone(order(examples[1]))).voice.owner == "ann"
    assert time.monotonic() - after < 2 * SLACK_S


def test_a_download_is_cancelled(settings: Settings, backend: LocalBackend) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Trickle)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    studio = Studio(replace(settings, allow_private_urls=True), backend)
    news = studio.clone(order(f"http://127.0.0.1:{server.server_address[1]}/endless.mp3"))
    follow_to(news, "Downloading")
    for _ in range(3):
        next(news)
    close(studio, news)
    wait_until_empty(settings.home / "work", SLACK_S)
    server.shutdown()
    server.server_close()


def test_speaking_is_cancelled_and_the_voice_stays_temporary(studio: Studio, examples: list[Path]) -> None:
    voice = last(studio.clone(order(examples[1]))).voice
    news = studio.speak(say(voice, LONG, HD))
    follow_to(news, "Speaking")
    next(news)
    news.close()  # type: ignore[attr-defined]
    assert last(studio.clone(order(examples[2]))).voice.owner == "ann"
    assert not next(kept for kept in studio.voices("ann") if kept.voice_id == voice.voice_id).permanent


def test_long_steps_look_at_the_stop(tmp_path: Path) -> None:
    stop = Stop()
    stop.ask()
    sound = tone(12.0, 16_000)
    path = tmp_path / "sound.flac"
    path.write_bytes(encode(sound, 16_000, "flac"))
    recording = Recording(sound, 16_000, "flac", 1, "")
    for step in (
        lambda: read(path, stop=stop),
        lambda: accepted(recording, path, stop),
        lambda: mp3_bytes(sound, 16_000, stop=stop),
        lambda: enhance.reduce_noise(sound, 16_000, stop),
    ):
        with pytest.raises(CancelledError):
            step()
