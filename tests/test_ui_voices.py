"""What the list of voices does with whatever a browser sends, and how voices and tables are taken in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from clone.core.settings import Settings
from clone.storage.voices import utc_now
from clone.studio.facade import Studio
from clone.ui import panels
from clone.ui.batch_panel import BatchDesk
from clone.ui.files import VisitFiles, temporary_folder
from clone.ui.import_panel import Importing
from clone.ui.running import Desk
from clone.ui.speak_tab import Speaking, speak_panel
from clone.ui.takes import Takes
from clone.ui.visitors import Owners, new_token
from clone.ui.voices_tab import Voices, voices_panel
from tests.voices import FILES, make_voice

TOKEN = new_token()
VISIT = gr.Request(session_hash="one", headers={"host": "timbre.example"})
N_VOICES = 5


@pytest.fixture
def desk(studio: Studio, settings: Settings) -> Desk:
    return Desk(studio, Owners(settings), VisitFiles(temporary_folder(settings.home)), Takes())


@pytest.fixture
def voices(desk: Desk) -> Voices:
    with gr.Blocks():
        _, result = panels.clone_panels()
        voices = Voices(desk, voices_panel(), Speaking(desk, speak_panel()), result)
    for number in range(N_VOICES):
        told = {"created_at": utc_now(), "request_key": str(number)}
        voice = make_voice(f"voice-{number}", desk.owner(TOKEN, VISIT), **told)
        desk.studio._library.add(voice, FILES)
    return voices


def sent(**data: Any) -> gr.EventData:
    return gr.EventData(None, data)  # type: ignore[arg-type]


def tags(desk: Desk) -> list[tuple[str, ...]]:
    return [
        voice.tags for voice in sorted(desk.studio.voices(desk.owner(TOKEN, VISIT)), key=lambda each: each.voice_id)
    ]


def test_tags_go_to_those_that_are_still_there(voices: Voices, desk: Desk) -> None:
    desk.studio.forget("voice-4", desk.owner(TOKEN, VISIT))
    told = voices.edit(VISIT, TOKEN, "", sent(voices=["voice-0", "voice-4", "voice-2", 7, None, {}], add="a, B"))
    changed = told[voices.panel.listed]["changed"]
    assert [f"voice-{number}" in changed for number in range(N_VOICES)] == [True, False, True, False, False]
    assert tags(desk) == [("a", "B"), (), ("a", "B"), ()]
    voices.edit(VISIT, TOKEN, "", sent(voices=["voice-0", "voice-1"], add="c", remove="b"))
    assert tags(desk) == [("a", "c"), ("c",), ("a", "B"), ()]


@pytest.mark.parametrize(
    "data",
    [
        {"voices": ["voice-0"], "add": "x" * 25},
        {"voices": ["voice-0", "voice-1"], "add": ",".join("abcdefghi")},
        {"voices": ["nobody's"], "add": "a"},
        {"voices": [], "add": "a"},
        {"voices": "voice-0", "add": "a"},
        {"voice": "nobody's", "tags": "a"},
        {"voice": "voice-0", "tags": "x" * 5_000_000},
        {},
    ],
)
def test_what_is_refused_changes_nothing(voices: Voices, desk: Desk, data: dict[str, Any]) -> None:
    told = voices.edit(VISIT, TOKEN, "", sent(**data))
    assert "tb-refuse" in told[voices.panel.note]
    assert tags(desk) == [()] * N_VOICES


def test_nobody_tags_forgets_or_takes_away_what_is_anothers(voices: Voices, desk: Desk) -> None:
    other, asked = new_token(), sent(voices=["voice-0"], add="mine")
    assert "tb-refuse" in voices.edit(VISIT, other, "", asked)[voices.panel.note]
    assert "tb-refuse" in voices.export(VISIT, other, asked)
    assert "tb-refuse" in voices.forget(VISIT, asked, other, None, None, None)[voices.panel.note]
    assert "tb-refuse" in voices.restore(VISIT, other, "", asked)[voices.panel.note]
    assert tags(desk) == [()] * N_VOICES


def test_of_several_those_come_back_for_which_it_is_not_too_late(voices: Voices, desk: Desk) -> None:
    owner = desk.owner(TOKEN, VISIT)
    voices.forget(VISIT, sent(voices=["voice-0", "voice-1"]), TOKEN, None, None, None)
    desk.studio.forget("voice-2", owner)
    told = voices.restore(VISIT, TOKEN, "", sent(voices=["voice-0", "voice-2", "voice-1"]))
    assert "tb-refuse" in told[voices.panel.note]
    assert len(desk.studio.voices(owner)) == 4


def test_a_file_of_voices_goes_with_the_first_of_them_that_goes(voices: Voices, desk: Desk) -> None:
    assert "download=" in voices.export(VISIT, TOKEN, sent(voices=["voice-0", "voice-1"]))
    assert "download=" in voices.export(VISIT, TOKEN, sent(voice="voice-0"))
    assert len([*desk.files.folder.rglob("*.timbre")]) == 2
    voices.forget(VISIT, sent(voice="voice-1"), TOKEN, None, None, None)
    assert [*desk.files.folder.rglob("*.timbre")] == []


@pytest.mark.parametrize("consent", [False, None, "true", 1, [True], {"consent": True}])
def test_only_a_tick_is_consent(voices: Voices, desk: Desk, tmp_path: Path, consent: object) -> None:
    desk.studio.export_voices(["voice-0"], desk.owner(TOKEN, VISIT), tmp_path / "a.timbre")
    importing = Importing(desk, voices.panel.coming, voices.panel.listed)
    other = new_token()
    (told,) = importing.take_in(VISIT, other, str(tmp_path / "a.timbre"), consent)
    assert "Consent is not confirmed" in told[importing.panel.consent_note]
    assert desk.studio.voices(desk.owner(other, VISIT)) == []


def test_a_table_that_is_none_leaves_nothing_behind(voices: Voices, desk: Desk, tmp_path: Path) -> None:
    batch = BatchDesk(desk, voices.speaking.panel.batch)
    (tmp_path / "table.csv").write_bytes(b"\xff\x00\x01")
    for table, said in ((tmp_path / "table.csv", "table"), (tmp_path / "gone.csv", "no such file")):
        how = (None, "", "speech-2.8-turbo", 1.0, 0, 1.0, "mp3", None)
        *_, note, end = batch.speak(VISIT, TOKEN, str(table), *how)
        assert said in note[batch.panel.note]
        assert end == {batch.panel.progress: ""}
    assert [*desk.files.folder.rglob("*.zip")] == []
