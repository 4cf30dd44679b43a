"""What is kept of visits is small, bounded and ended; no visitor puts out what is another's."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex

import gradio as gr
import pytest
import requests
from gradio.state_holder import StateHolder

from clone.contract import cloning
from clone.core.errors import PromptError
from clone.ui import gradio_patches, sessions, strings, takes
from clone.ui.files import BROKEN_OFF_S, KEPT_FOR_S
from clone.ui.takes import Takes
from clone.ui.visitors import new_token
from tests.attacks.asking import Events
from tests.attacks.sockets import WITHIN_S, connected, head, memory_kb, ready
from tests.running import App

JOIN = "/gradio_api/queue/join"


def test_a_visit_takes_little_memory(public: App) -> None:
    """Gradio's own takes 289 kB of this page for each."""
    ready(public)
    config = requests.get(f"{public.url}/config", timeout=WITHIN_S).json()
    quick = next(each for each in config["dependencies"] if each["api_visibility"] == "private" and each["backend_fn"])
    with requests.Session() as session:

        def visit(name: str) -> None:
            body = {"data": [None] * len(quick["inputs"]), "fn_index": quick["id"], "session_hash": name}
            assert session.post(public.url + JOIN, json=body, timeout=WITHIN_S).status_code == 200
            asked = {"session_hash": name}
            session.get(f"{public.url}/gradio_api/queue/data", params=asked, timeout=WITHIN_S)

        for n in range(30):
            visit(f"first-{n}")
        before_kb = memory_kb(public)
        for n in range(150):
            visit(f"visit-{n}")
    assert memory_kb(public) - before_kb < 150 * 120


def holder(capacity: int) -> StateHolder:
    gradio_patches.keep_sessions_small()
    with gr.Blocks() as page:
        gr.State(0)
        gr.Textbox()
    page.state_session_capacity = capacity
    held = StateHolder()
    held.set_blocks(page)
    return held


def test_visits_are_bounded_and_idle_ones_end() -> None:
    held = holder(50)
    for n in range(200):
        assert held[f"visit-{n}"].config_values == {}
    assert len(held.session_data) == len(held.time_last_used) == 50
    now = datetime.now()
    held["visit-198"].is_closed = True
    held.time_last_used |= {
        "visit-197": now - timedelta(seconds=KEPT_FOR_S + 60),
        "visit-198": now - timedelta(seconds=BROKEN_OFF_S + 60),
        "visit-199": now - timedelta(seconds=KEPT_FOR_S - 60),
        "nobody": now - timedelta(seconds=KEPT_FOR_S + 60),
    }
    sessions.end_sessions(held, now)
    assert {"visit-197", "visit-198"}.isdisjoint(held.session_data)
    assert "visit-199" in held.session_data
    assert len(held.session_data) == len(held.time_last_used) == 48


def test_takes_of_one_visitor_put_out_nobody_elses(tmp_path: Path) -> None:
    known = Takes()
    (tmp_path / "take.mp3").write_bytes(b"take")
    others = [known.lend(tmp_path / "take.mp3", "other") for _ in range(50)]
    own = [known.lend(tmp_path / "take.mp3", "greedy") for _ in range(500)]
    assert [_known(known, link) for link in others] == [True] * 50
    assert [_known(known, link) for link in own] == [False] * (500 - takes.VISIT_LIMIT) + [True] * takes.VISIT_LIMIT


def test_takes_of_all_visits_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takes, "TAKES_LIMIT", 100)
    known = Takes()
    (tmp_path / "take.mp3").write_bytes(b"take")
    links = [known.lend(tmp_path / "take.mp3", f"visit-{n}") for n in range(300)]
    assert [_known(known, link) for link in links] == [False] * 200 + [True] * 100


def _known(known: Takes, link: str) -> bool:
    return known._answer({"method": "GET", "path": link}).status_code == 200


# what a tab finds again after a reload


class Reloaded:
    """A tab that was given a recording, driven over sockets."""

    def __init__(self, app: App, recording: Path) -> None:
        self.app, self.events = app, Events(app)
        self._headers = [("Host", f"127.0.0.1:{app.port}")]
        self.secret, self.page, self._visitor = new_token(), token_hex(8), new_token()
        assert self.path_in(self.arrive(self.page, self.secret)) is None
        with recording.open("rb") as file:
            self.path = requests.post(f"{app.url}/gradio_api/upload", files={"files": file}, timeout=WITHIN_S).json()[0]
        check = self.events.find("change", of="uploaded", changes="voice-note")
        sound = {"path": self.path, "meta": {"_type": "gradio.FileData"}}
        data = [strings.UPLOAD, None, sound, None, None]
        assert self.events.ask(check, data, self._headers, visit=self.page).status == 200

    def arrive(self, page: str, secret: object) -> str:
        """Return what a page is told that comes with a secret."""
        event = self.events.find("load", changes="uploaded")
        return self.events.ask(event, [self._visitor, secret], self._headers, visit=page).text

    def path_in(self, told: str) -> str | None:
        assert "process_completed" in told
        return next(iter(re.findall(r'"path":"([^"]+)"', told.replace(" ", ""))), None)


def test_a_recording_is_told_to_nobody_but_its_tab(public: App, clip: Path) -> None:
    tab = Reloaded(public, clip)
    digest = hashlib.sha256(tab.secret.encode()).hexdigest()
    guesses = [
        None,
        "",
        tab.page,
        f"tab {digest}",
        digest,
        digest[:43],
        tab.secret[:-1],
        tab.secret + "a",
        tab.secret[::-1],
    ]
    for guess in [*guesses, new_token(), [tab.secret], {"secret": tab.secret}, 0]:
        told = tab.arrive(token_hex(8), guess)
        assert clip.name not in told
        assert Path(tab.path).parent.name not in told
    theirs = new_token()
    assert clip.name not in tab.arrive(tab.page, theirs)  # nor does a session that is known of become another tab's
    assert clip.name not in tab.arrive(token_hex(8), theirs)
    assert tab.path_in(tab.arrive(token_hex(8), tab.secret)) == tab.path


def test_a_page_that_goes_leaves_the_recording_to_the_next_one(public: App, clip: Path) -> None:
    tab = Reloaded(public, clip)
    with connected(public.port, head(f"/gradio_api/heartbeat/{tab.page}", method="GET")) as heart:
        assert heart.recv(65_536)
    assert tab.path_in(tab.arrive(token_hex(8), tab.secret)) == tab.path
    served = requests.get(f"{public.url}/gradio_api/file={tab.path}", timeout=WITHIN_S)
    assert served.content == clip.read_bytes()


# texts


@pytest.mark.parametrize("text", ["word " * 101, "x" * 501, "字" * 501, "x" * 10_000_000])
def test_a_transcript_has_a_length(text: str) -> None:
    with pytest.raises(PromptError, match="at most 500") as refused:
        cloning.check_prompt_text(f"{text.strip()}.")
    assert (refused.value.code, refused.value.field) == ("prompt_text_too_long", "prompt_text")
    assert cloning.check_prompt_text("word " * 99 + "word.").endswith("word.")


def test_it_has_one_wherever_it_is_given(own: App) -> None:
    key = {"Authorization": f"Bearer {(own.home / 'api_key').read_text().strip()}"}
    prompt = {"prompt_audio_url": "https://example.com/a.mp3", "prompt_text": "word " * 200 + "end."}
    body = {"audio_url": "https://example.com/a.mp3", "clone_prompt": prompt}
    told = requests.post(f"{own.url}/v3/minimax-voice-cloning", json=body, headers=key, timeout=WITHIN_S)
    assert told.status_code == 400
    assert told.json()["metadata"]["code"] == "prompt_text_too_long"


def test_comparing_one_takes_no_time_at_all(own: App, clip: Path) -> None:
    """On the page it is compared with what is heard as it is typed, which costs the product of their lengths."""
    config = requests.get(f"{own.url}/config", timeout=WITHIN_S).json()
    named = {each["props"].get("elem_id"): each["id"] for each in config["components"]}
    event = next(e for e in config["dependencies"] if [named["prompt-audio"], named["prompt-text"]] == e["inputs"][:2])
    with clip.open("rb") as file:
        path = requests.post(f"{own.url}/gradio_api/upload", files={"files": file}, timeout=WITHIN_S).json()[0]
    sound = {"path": path, "meta": {"_type": "gradio.FileData"}}
    data = [sound, "word " * 150_000, 0.7, *[None] * (len(event["inputs"]) - 3)]
    body = {"data": data, "fn_index": event["id"], "session_hash": "long"}
    assert requests.post(own.url + JOIN, json=body, timeout=WITHIN_S).status_code == 200
    told = requests.get(f"{own.url}/gradio_api/queue/data?session_hash=long", timeout=WITHIN_S).text
    assert "at most 500" in told
