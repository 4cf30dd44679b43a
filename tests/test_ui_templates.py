"""The templates of the page: whatever somebody typed, named or said stays text in every one of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import UndefinedError

from clone.audio.preflight import Finding
from clone.audio.segment import Alone
from clone.audio.waveform import draw
from clone.core.likeness import Likeness
from clone.storage.journal import Entry
from clone.studio.facade import DocumentSentence, Match, ModelStatus, RequestCode, Row, SentenceTake
from clone.studio.snippets import Snippet
from clone.ui import parts
from clone.ui.takes import Sound, Take
from tests.voices import make_voice

SCRIPT = "<script>alert(1)</script>"
HOSTILE = f'</p>"\' onclick=x x=">{SCRIPT}<img src=x onerror=alert(1)>&lt;b&gt;{{{{ 7 * 7 }}}}${{7}}'
MORNING = datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
SHARED = {"macros"}


def contexts(text: str) -> dict[str, dict[str, Any]]:
    """What each template is given, with a text wherever one comes from outside."""
    voice = make_voice(voice_id=text, name=text, note=text, model=text, expires_at=MORNING)
    take = Take(text, text, text, text, f"timbre-{text}.mp3", 12.0, text)
    match = Match(text, 0.5, ((text, True), (text, False)))
    sent = {"entry_id": text, "owner": "ada", "created_at": MORNING, "voice_id": text}
    entries = [Entry(kind="clone", voice=voice, **sent), Entry(kind="keep", **sent)]
    picture = {"picture": draw(np.ones(16_000, np.float32), 16_000, [(0.1, 0.5)], [(0.2, 0.3)])}
    takes = (SentenceTake(0, text, text, 0, 1.0, 9), SentenceTake(1, text, text, 1, 1.0, 9))
    said = DocumentSentence(text, sentence_id=0, position=0, take=1, takes=takes)
    sound = Sound(text, text, 2.0, text, -3.0, text)
    picture |= {"sound": sound, "verdict": text}
    whose = {"people": [(Alone((0.0, 12.0), (0.0, 12.0)), sound), (Alone(None, (2.0, 3.0)), sound)], "needed_s": 10.0}
    picture |= {"segment": (0.0, 0.5), "spectrum": text}
    notes, alike = {"notes": [("warn", text, text), ("refuse", text, text)]}, Likeness(0.7, 0.9, 0.5, 53, 54, 2, 10)
    finding = Finding(text, "warn", 1.0, 2.0, text, text)
    report = {"predicts": text, "facts": [text], "summary": text, "findings": [finding]}
    rows = {"rows": [(voice, text, text, 0.5, True)]}
    return {
        "header": {},
        "new_voice": {"voice": voice, "told": text, "until": text, "is_free": True, "name_max_chars": 60},
        "hello": {},
        "footer": {"version": text},
        "line": {"said": text, "style": text},
        "heading": {"title": text, "advice": text},
        "notes": notes,
        "progress": {"stage": text, "percent": 1, "elapsed_s": 1.0, "left": text},
        "file_link": {"link": text, "name": text, "label": text},
        "report": picture | notes | report | whose,
        "people": whose | {"segment": (0.0, 12.0)},
        "picture": picture,
        "script": {},
        "sentences": {},
        "counter": {"n_chars": 2, "limit": 1},
        "match": {"found": match, "accuracy": 0.7},
        "hosted": {"cost": text, "way": text},
        "model": {"model": ModelStatus(text, text, 9, text, text, (text,), True, True, text)},
        "code": {"name": "code", "written": [(text, [(text, [text, text, text])] * 2, text)], "is_lent": True},
        "result": {"replayed": True, "more": text, "alike": alike, "has_preview": True},
        "likeness": {"alike": alike},
        "compare": {"sounds": [sound, sound], "blind": True},
        "player": {"sound": sound, "autoplay": True, "named": True},
        "said": {"found": match},
        "sentences_said": {"sentences": [(said, True), (said, False)], "spoken": True},
        "times": {"starts": text, "duration_s": 1.0},
        "where": {},
        "take": {"take": take},
        "take_done": {"take": take},
        "takes": {"takes": [take, take]},
        "no_voices": {},
        "batch_advice": {},
        "batch_rows": {"rows": [Row(1, text, text, text, 1.0), Row(2, text, text, text, reason=text)]},
        "voices_frame": {"name_max_chars": 80, "note_max_chars": 200, "tags_max_chars": 200},
        "voices": rows | {"now_s": 1, "keep_cost": text},
        "voice_rows": rows,
        "forgotten": {"voice": voice, "undo_s": 20},
        "pending": {"left": entries, "names": {text: text}},
    }


class Shape(HTMLParser):
    """The elements of a page with the names of their attributes, and apart from them all that can be read."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *(name for name, _ in attrs)))
        self.texts += [value for _, value in attrs if value]

    def handle_endtag(self, tag: str) -> None:
        self.elements.append((f"/{tag}",))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_every_template_is_tried() -> None:
    assert {path.name.removesuffix(".html.j2") for path in parts.TEMPLATES.iterdir()} == {*contexts("x"), *SHARED}


@pytest.mark.parametrize("template", contexts("x"))
def test_what_comes_from_outside_stays_text(template: str) -> None:
    harmless = Shape(parts.render(template, **contexts("harmless")[template]))
    hostile = Shape(parts.render(template, **contexts(HOSTILE)[template]))
    assert hostile.elements == harmless.elements
    assert harmless.elements
    shown = [any(said in text for text in page.texts) for said, page in (("harmless", harmless), (SCRIPT, hostile))]
    assert shown[0] == shown[1]


def test_what_a_template_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        parts.render("line", style="tb-facts")


def test_an_address_in_the_terms_is_a_link_and_nothing_else_is() -> None:
    terms = f'Read https://example.com/a?b=1&c\n\njavascript:alert(1) data:text/html,x {HOSTILE} https://x"onclick=y'
    page = Shape(parts.model(ModelStatus("a", "A", 9, "B", terms, ("C",), False, False, "")))
    assert [each for each in page.elements if each[0] in ("a", "img", "script")] == [("a", "href", "rel", "target")]
    assert "https://example.com/a?b=1&c" in page.texts


def test_an_id_can_not_leave_its_attribute() -> None:
    row = parts.voice(make_voice(voice_id='a" onclick="x'))
    assert 'data-voice="a&#34; onclick=&#34;x"' in row


def test_lines_of_a_template_are_no_spaces_between_buttons() -> None:
    assert "</button><button" in parts.voices_frame()
    assert "\n" not in parts.voices_frame()


def test_a_program_keeps_its_lines() -> None:
    written = RequestCode((Snippet("Python", 'a\n    b("<VOICE_ID>")\n'),))
    shown = '<pre tabindex="0">a\n    b(&#34;<mark>&lt;VOICE_ID&gt;</mark>&#34;)\n</pre>'
    assert shown in parts.code("code", [("Speak", written)])


def test_html_is_written_in_templates_which_escape_everything() -> None:
    for path in Path(parts.__file__).parent.glob("*.py"):
        code = path.read_text(encoding="utf-8")
        assert not re.search(r"\bescape\(|Markup", code), path.name
        # The page's own scripts go into its head as they are.
        assert path.name == "theme.py" or not re.search(r"""["'>]</?[a-z]+[ >]""", code), path.name
    for path in parts.TEMPLATES.iterdir():
        assert not re.search(r"\|\s*safe\b|\bautoescape\b|Markup", path.read_text(encoding="utf-8")), path.name
