"""A run of the page, followed by hand: what somebody sees who asks it to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
import pytest

from clone.jobs import HEARTBEAT_S
from clone.settings import LOCAL, Settings
from clone.studio import Studio
from clone.ui import outcomes, panels, words
from clone.ui.cloning import Cloning
from clone.ui.examples import examples
from clone.ui.files import VisitFiles, temporary_folder
from clone.ui.running import Desk
from clone.ui.takes import Takes
from clone.ui.visitors import Owners, new_token
from clone.ui.voices import voices_panel
from tests.studios import TEXT, TURBO

TOKEN = new_token()
VISIT = gr.Request(session_hash="one", headers={"host": "timbre.example"})


@pytest.fixture
def cloning(studio: Studio, settings: Settings) -> Cloning:
    desk = Desk(studio, Owners(settings), VisitFiles(temporary_folder(settings.home)), Takes())
    with gr.Blocks():
        inputs = (*panels.voice_panel(), panels.preview_panel(), panels.run_panel())
        outputs = (outcomes.result_panel(), voices_panel())
    return Cloning(desk, inputs, outputs)


def run(cloning: Cloning) -> Iterator[dict[Any, Any]]:
    filled = {
        cloning.voice.source: words.EXAMPLE,
        cloning.voice.example: examples()[0].name,
        cloning.preview.text: TEXT,
        cloning.preview.model: TURBO,
        cloning.run.consent: True,
        cloning.run.hosting.backend: LOCAL,
    }
    return cloning.clone(VISIT, TOKEN, *(filled.get(each, each.value) for each in cloning.filled()))


def follow_until(news: Iterator[dict[Any, Any]], cloning: Cloning, told: str) -> None:
    for updates in news:
        if told in updates[cloning.run.progress]:
            return
    raise AssertionError(f"it ended before “{told}”")


def wait_for(what: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(2 * HEARTBEAT_S)


def test_a_run_ends_when_it_is_asked_to(cloning: Cloning, studio: Studio, settings: Settings) -> None:
    news = run(cloning)
    follow_until(news, cloning, "Learning the voice")
    cloning.stop(gr.Request(session_hash="another"))
    next(news)
    cloning.stop(VISIT)
    [updates] = news
    assert words.STOPPED in updates[cloning.run.progress]
    assert studio.voices(Owners(settings).of(TOKEN, VISIT.headers.items())) == []
    cloning.stop(VISIT)  # nothing runs any more


def test_what_is_done_is_shown_to_who_asks_to_stop(cloning: Cloning, studio: Studio, settings: Settings) -> None:
    news = run(cloning)
    follow_until(news, cloning, "Comparing")
    wait_for(lambda: studio.voices(Owners(settings).of(TOKEN, VISIT.headers.items())))
    cloning.stop(VISIT)
    [updates] = news
    assert updates[cloning.result.card]["visible"]
    [voice] = studio.voices(Owners(settings).of(TOKEN, VISIT.headers.items()))
    assert updates[cloning.result.voice_id] == voice.voice_id
