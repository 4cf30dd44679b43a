"""A run of the page, followed by hand: what somebody sees who asks it to stop."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import gradio as gr
import pytest

from clone.core.jobs import HEARTBEAT_S
from clone.core.settings import LOCAL, Settings
from clone.studio.facade import Studio
from clone.ui import fields, panels, strings
from clone.ui.clone_tab import CloneTab
from clone.ui.files import VisitFiles, temporary_folder
from clone.ui.form import Given, examples
from clone.ui.recording_check import Prompting, RecordingCheck
from clone.ui.running import Desk
from clone.ui.takes import Takes
from clone.ui.visitors import Owners, new_token
from clone.ui.voices_tab import voices_panel
from tests.studios import PROMPT, TEXT, TURBO

TOKEN = new_token()
VISIT = gr.Request(session_hash="one", headers={"host": "timbre.example"})


@pytest.fixture
def cloning(studio: Studio, settings: Settings) -> CloneTab:
    desk = Desk(studio, Owners(settings), VisitFiles(temporary_folder(settings.home)), Takes())
    with gr.Blocks():
        inputs, result = panels.clone_panels()
        voices = voices_panel()
    return CloneTab(desk, inputs, (result, voices))


def run(cloning: CloneTab, given: dict[Any, Any] | None = None) -> Iterator[dict[Any, Any]]:
    filled = {
        cloning.voice.source: strings.EXAMPLE,
        cloning.voice.example: examples()[0].name,
        cloning.preview.text: TEXT,
        cloning.preview.model: TURBO,
        cloning.run.consent: True,
        cloning.run.backend_choice.backend: LOCAL,
    } | (given or {})
    return cloning.clone(VISIT, TOKEN, *(filled.get(each, each.value) for each in cloning.filled()))


def follow_until(news: Iterator[dict[Any, Any]], cloning: CloneTab, told: str) -> None:
    for updates in news:
        if told in updates.get(cloning.run.progress, ""):
            return
    raise AssertionError(f"it ended before “{told}”")


def wait_for(what: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(2 * HEARTBEAT_S)


def test_a_run_ends_when_it_is_asked_to(cloning: CloneTab, studio: Studio, settings: Settings) -> None:
    news = run(cloning)
    follow_until(news, cloning, "Learning the voice")
    cloning.stop(gr.Request(session_hash="another"))
    next(news)
    cloning.stop(VISIT)
    *_, updates = news
    assert strings.STOPPED in updates[cloning.run.progress]
    assert studio.voices(Owners(settings).of(TOKEN, VISIT.headers.items())) == []
    cloning.stop(VISIT)  # nothing runs any more


def test_what_is_done_is_shown_to_who_asks_to_stop(cloning: CloneTab, studio: Studio, settings: Settings) -> None:
    news = run(cloning)
    follow_until(news, cloning, "Comparing")
    wait_for(lambda: studio.voices(Owners(settings).of(TOKEN, VISIT.headers.items())))
    cloning.stop(VISIT)
    *_, updates = news
    assert updates[cloning.result.card]["visible"]
    [voice] = studio.voices(Owners(settings).of(TOKEN, VISIT.headers.items()))
    assert updates[cloning.result.voice_id] == voice.voice_id


def test_a_transcript_that_is_known_to_fail_is_refused_at_its_field_at_once(cloning: CloneTab, clip: Path) -> None:
    prompting = Prompting(cloning._desk, cloning.closer.audio, cloning.closer.text, cloning.closer.note)
    given = {cloning.closer.audio: str(clip), cloning.closer.text: "I never liked the smell of fresh paint."}
    assert "not enough" in prompting.compare(VISIT, *given.values(), 0.7)
    [updates] = run(cloning, given)
    assert "I never" not in updates[cloning.closer.note]
    assert "move slowly" in updates[cloning.closer.note]
    assert updates[cloning.run.progress] == ""
    given[cloning.closer.text] = PROMPT
    news = run(cloning, given)
    assert "tb-progress" in next(news)[cloning.run.progress]
    news.close()


def test_a_language_that_is_not_spoken_here_is_refused_in_one_place(cloning: CloneTab, studio: Studio) -> None:
    text = "Der Zug an die Küste fährt um neun Uhr ab."
    told = fields.language_line(studio, text, "auto")
    assert "German" in told
    *_, updates = run(cloning, {cloning.preview.text: text})
    places = [each for each, said in updates.items() if "German" in str(said)]
    assert places == [cloning.preview.language.said]
    assert 'role="alert"' in updates[places[0]]


def test_both_recordings_are_copied_once_to_be_played_and_compared(cloning: CloneTab, settings: Settings) -> None:
    shown = list(run(cloning))[-1]
    links = re.findall(r"/takes/[^\"]+", shown[cloning.result.compare])
    assert len(links) == 4  # each is played, and can be saved
    assert len(set(links)) == 2
    copies = [path.name for path in temporary_folder(settings.home).rglob("*") if path.is_file()]
    assert sorted(copies) == sorted(unquote(link).rpartition("/")[2] for link in set(links))
    assert "words" in cloning.compare(VISIT, TOKEN, shown[cloning.result.voice_id])[cloning.result.said]


def test_what_a_page_says_before_it_is_drawn_takes_no_recording_away(cloning: CloneTab, clip: Path) -> None:
    desk, voice = cloning._desk, cloning.voice
    checking = RecordingCheck(desk, voice.sample, voice.note)
    secret = new_token()
    tab = desk.tabs.arrive("one", secret)
    assert tab is not None
    tab.checked = Given(strings.UPLOAD, None, str(clip), "", None), {voice.note: "what was found"}
    told = list(checking.check(VISIT, strings.UPLOAD, None, str(clip), "", None))
    assert [each[voice.note] for each in told] == ["what was found"]
    assert desk.tabs.arrive("two", secret) is tab
    anew = gr.Request(session_hash="two", headers={"host": "timbre.example"})
    assert list(checking.look(anew, strings.UPLOAD, None, None, "", None)) == [{voice.note: gr.skip()}]
    told = list(checking.look_again(anew, strings.UPLOAD, None, str(clip), "", None))
    assert [each[voice.note] for each in told] == ["what was found"]
    assert tab.given is not None
    told = list(checking.look(anew, strings.UPLOAD, None, str(clip), "", None))
    assert [each[voice.note] for each in told] == ["what was found"]
    assert list(checking.check(anew, strings.RECORD, None, None, "", None))[-1][voice.note] == ""
    assert checking.forget(anew)[voice.note] == ""
    assert (tab.given, tab.checked) == (None, None)
    told = list(checking.look_again(anew, strings.UPLOAD, None, str(clip), "", None))
    assert told == [{voice.note: gr.skip()}]  # what is given first is checked when it is given
