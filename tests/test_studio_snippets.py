"""Requests as curl, Python and JavaScript: what they look like, and each of them run against a real service."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import playwright
import pytest
import requests

from clone.audio.reader import read
from clone.contract.cloning import CloneRequest
from clone.contract.orders import LOCAL_OWNER
from clone.contract.speech import AsyncSpeechRequest, SpeechRequest
from clone.core.errors import AudioError, ConsentError, PromptError, PublishError
from clone.core.settings import Settings
from clone.studio.facade import CloneOrder, RequestCode, Studio
from clone.studio.snippets import (
    CLIP_OPEN,
    CURL,
    JAVASCRIPT,
    OPEN,
    OWN_KEY,
    PYTHON,
    RECORDING_OPEN,
    SAID_OPEN,
    TEXT_OPEN,
    VOICE_OPEN,
    CloneDraft,
    Request,
    Snippet,
    SpeakDraft,
    clone_code,
    draft_code,
)
from tests.serving import KEYS, TEXT, WITHIN_S, Served, decoded, kept_voice, serving
from tests.studios import PROMPT, files_in, last, order

NODE = Path(playwright.__file__).parent / "driver" / "node"
"""Playwright brings its own, so the tests need no other."""

LANGUAGES = (CURL, PYTHON, JAVASCRIPT)
HOSTILE = (
    'It\'s a "test" of C:\\new\\table, $HOME, `whoami`, $(id), ${x}, {x}, %s and 100% wow!!\r\nJSON\n\tJSON\n'
    "'''\"\"\"</script><!-- \\u0041 \\\\ ${`a`} naïve 😀 👩\u200d👧 \u2028\u2029\x00\x7f\x85\u00a0\u202e\ufeff"
    "\U000e0041 the end."
)
UNTIL = datetime(2026, 11, 3, 14, 5, tzinfo=UTC)


def run(snippet: Snippet, folder: Path, key_name: str, key: str = KEYS[0]) -> subprocess.CompletedProcess[str]:
    """Run a program from a file, as somebody does who saved it."""
    name, command = {
        CURL: ("request.sh", ["bash"]),
        PYTHON: ("request.py", [sys.executable]),
        JAVASCRIPT: ("request.js", [str(NODE)]),
    }[snippet.language]
    path = folder / name
    path.write_text(snippet.code, encoding="utf-8", newline="")
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), key_name: key}
    return subprocess.run([*command, str(path)], env=env, capture_output=True, text=True, timeout=WITHIN_S, cwd=folder)


def printed(snippet: Snippet, folder: Path, key_name: str) -> list[str]:
    """Return what a program prints: of curl, which prints the answer, the answer's values."""
    done = run(snippet, folder, key_name)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    if snippet.language != CURL:
        return done.stdout.splitlines()
    return [value for name, value in json.loads(done.stdout).items() if name != "expires_at"]


def of(code: RequestCode, language: str) -> Snippet:
    return next(each for each in code.snippets if each.language == language)


# as text


def request(**body: object) -> Request:
    return Request("https://api.example", "/v3/minimax-voice-cloning", body, "NOVITA_API_KEY", UNTIL)


def test_they_read_as_a_person_would_write_them() -> None:
    prompt = {"prompt_audio_url": "https://a.example/b.mp3", "prompt_text": "Good morning."}
    asked = request(audio_url="https://a.example/a.mp3", accuracy=0.8, need_noise_reduction=True, clone_prompt=prompt)
    curl, python, javascript = (each.code for each in clone_code(asked))
    assert (
        curl
        == """# Your key is read from the environment variable NOVITA_API_KEY.
# The link to the recording works until 2026-11-03 14:05 UTC.
curl -sS --fail-with-body https://api.example/v3/minimax-voice-cloning \\
  -H "Authorization: Bearer $NOVITA_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d @- <<'JSON'
{
  "audio_url": "https://a.example/a.mp3",
  "accuracy": 0.8,
  "need_noise_reduction": true,
  "clone_prompt": {
    "prompt_audio_url": "https://a.example/b.mp3",
    "prompt_text": "Good morning."
  }
}
JSON
"""
    )
    assert (
        """
body = {
    "audio_url": "https://a.example/a.mp3",
    "accuracy": 0.8,
    "need_noise_reduction": True,
    "clone_prompt": {
        "prompt_audio_url": "https://a.example/b.mp3",
        "prompt_text": "Good morning.",
    },
}
"""
        in python
    )
    assert (
        """
  clone_prompt: {
    prompt_audio_url: "https://a.example/b.mp3",
    prompt_text: "Good morning.",
  },
};
"""
        in javascript
    )
    assert "demo_audio_url" not in python + javascript


def test_python_is_formatted_as_the_house_formats(tmp_path: Path) -> None:
    path = tmp_path / "request.py"
    path.write_text(clone_code(request(audio_url="https://a.example/a.mp3", text=TEXT, accuracy=0.8))[1].code)
    check = ["-m", "ruff", "format", "--check", "--isolated", "--line-length", "120", str(path)]
    assert subprocess.run([sys.executable, *check], capture_output=True).returncode == 0


def test_the_same_code_without_a_time_to_say() -> None:
    for _, code in clone_code(Request("https://api.example", "/v3", {}, "NOVITA_API_KEY")):
        assert "works until" not in code


def test_every_odd_character_stays_itself() -> None:
    for n in (*range(0x300), *range(0x2000, 0x2070), 0xFEFF, 0x1F600, 0xE0041):
        text = f"a{chr(n)}'{chr(n)}\""
        curl, python, javascript = (each.code for each in clone_code(request(text=text)))
        assert all(code.replace("\n", " ").isprintable() for code in (curl, python, javascript))
        assert json.loads(curl.partition("<<'JSON'\n")[2].rpartition("JSON")[0]) == {"text": text}
        body = next(node for node in ast.parse(python).body if isinstance(node, ast.Assign))
        assert ast.literal_eval(body.value) == {"text": text}
        assert json.loads(javascript.partition("  text: ")[2].partition(",\n}")[0]) == text


def test_an_odd_address_is_quoted() -> None:
    odd = Request("http://127.0.0.1:1/$(id)'\"`x`", "/v3", {}, "TIMBRE_API_KEY")
    curl, python, javascript = (each.code for each in clone_code(odd))
    assert """curl -sS --fail-with-body 'http://127.0.0.1:1/$(id)'"'"'"`x`/v3' """ in curl
    assert '"http://127.0.0.1:1/$(id)\'\\"`x`/v3"' in python
    assert '"http://127.0.0.1:1/$(id)\'\\"`x`/v3"' in javascript


def test_before_anything_is_known_it_is_said_what_is_open() -> None:
    for draft, names in (
        (CloneDraft(has_prompt=True), (RECORDING_OPEN, CLIP_OPEN, SAID_OPEN)),
        (SpeakDraft(model="speech-2.8-hd"), (VOICE_OPEN, TEXT_OPEN)),
    ):
        curl, python, javascript = (each.code for each in draft_code(draft, "https://api.example", OWN_KEY).snippets)
        ast.parse(python)
        for code in (curl, python, javascript):
            assert sorted(OPEN.findall(code)) == sorted(names)
            assert "Put in what stands in capitals" in code
    whole = draft_code(SpeakDraft("voice_1", "Hello.", "speech-2.8-hd"), "https://api.example", OWN_KEY)
    assert all("Put in" not in code for _, code in whole.snippets)


def test_what_is_chosen_is_in_it() -> None:
    spoken = SpeakDraft("voice_1", "今天。", "speech-02-hd", speed=1.2, pitch=-2, format="wav", language="zh")
    assert spoken.body == {
        "text": "今天。",
        "voice_setting": {"voice_id": "voice_1", "speed": 1.2, "pitch": -2},
        "audio_setting": {"format": "wav"},
        "language_boost": "Chinese",
        "output_format": "url",
    }
    SpeechRequest.model_validate(spoken.body)
    asked = CloneDraft("https://a.example/a.mp3", TEXT, "speech-02-hd", 0.8, noise=True, volume=True, language="zh")
    assert CloneRequest.model_validate(asked.body).accuracy == 0.8
    code = draft_code(asked, "https://api.example", OWN_KEY)
    assert all("cloning has no field for it" in program for _, program in code.snippets)
    long = SpeakDraft("voice_1", "Word. " * 2000, "speech-02-hd")
    assert (long.path, long.shown) == ("/v3/async/minimax-speech-02-hd", ("task_id",))
    AsyncSpeechRequest.model_validate(long.body)


# run against a real service


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """This app on loopback with no settings: addresses of this machine are closed to links, its own excepted."""
    with serving(tmp_path_factory.mktemp("own") / "home", allow_private_urls=False) as served:
        yield served


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, api: Served) -> Iterator[Served]:
    """This app at a public address; its hosted service is another Timbre."""
    home = tmp_path_factory.mktemp("asking") / "home"
    with serving(home, public=True, novita_base_url=api.url) as served:
        yield served


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", [TEXT, HOSTILE], ids=["plain", "hostile"])
def test_against_this_api(own: Served, examples: list[Path], tmp_path: Path, text: str, language: str) -> None:
    code = own.studio.request_code(order(examples[0], text=text), own.url)
    voice_id, demo = printed(of(code, language), tmp_path, "TIMBRE_API_KEY")
    assert kept_voice(own, voice_id).settings["text"] == text
    assert len(decoded(requests.get(demo, timeout=10).content)[0]) > 5_000


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", [TEXT, HOSTILE], ids=["plain", "hostile"])
def test_against_the_hosted_api(
    asking: Served, api: Served, examples: list[Path], tmp_path: Path, text: str, language: str
) -> None:
    asked = order(examples[1], text=text, backend="novita", need_volume_normalization=True)
    code = asking.studio.request_code(asked, "http://127.0.0.1:7860")
    voice_id, demo = printed(of(code, language), tmp_path, "NOVITA_API_KEY")
    settings = kept_voice(api, voice_id).settings
    assert (settings["text"], settings["need_volume_normalization"]) == (text, True)
    assert len(decoded(requests.get(demo, timeout=10).content)[0]) > 5_000
    assert f"{asking.url}/lent/links/" in of(code, language).code


@pytest.mark.parametrize("language", LANGUAGES)
def test_clone_then_speak_by_drafts(own: Served, examples: list[Path], tmp_path: Path, language: str) -> None:
    """What the page shows once everything is filled in, for a model of either shape of answers."""
    [link] = own.studio.request_code(order(examples[0]), own.url).links
    cloning = own.studio.draft_code(CloneDraft(link, accuracy=0.7), "local", own.url)
    (voice_id,) = printed(of(cloning, language), tmp_path, OWN_KEY)
    for model in ("speech-02-turbo", "speech-2.8-turbo"):
        speaking = own.studio.draft_code(SpeakDraft(voice_id, HOSTILE, model, format="wav"), "local", own.url)
        done = run(of(speaking, language), tmp_path, OWN_KEY)
        assert done.returncode == 0, done.stdout + done.stderr
        answer = json.loads(done.stdout) if language == CURL else {"audio": done.stdout.strip()}
        link_said = answer.get("audio") or answer["data"]["audio"]
        assert len(decoded(requests.get(link_said, timeout=10).content)[0]) > 5_000


def test_the_owners_own_key_speaks_with_what_they_cloned_on_the_page(tmp_path: Path, examples: list[Path]) -> None:
    """By its voice_id, not by its name; and with no key that was given out."""
    with serving(tmp_path / "house", api_keys=()) as house:
        key = (tmp_path / "house" / "api_key").read_text().strip()
        mine = last(house.studio.clone(order(examples[0], owner=LOCAL_OWNER, name="Ada of the page"))).voice
        theirs = last(house.studio.clone(order(examples[0], owner="visitor-1"))).voice
        code = house.studio.draft_code(SpeakDraft(mine.voice_id, TEXT, "speech-02-turbo"), "local", house.url)
        (link,) = run(of(code, PYTHON), tmp_path, OWN_KEY, key).stdout.splitlines()
        assert len(decoded(requests.get(link, timeout=10).content)[0]) > 5_000
        assert house.studio.voice(mine.voice_id, LOCAL_OWNER).permanent
        for voice_id in (mine.name, theirs.voice_id):
            assert house.speak(voice_id, key).status_code != 200
        task = house.post("/v3/async/minimax-speech-02-turbo", SpeakDraft(mine.voice_id, "Later.").body, key).json()
        end = time.monotonic() + WITHIN_S
        while "PROCESS" in (told := house.get(f"/v3/async/task-result?task_id={task['task_id']}", key).text) or (
            "QUEUED" in told
        ):
            assert time.monotonic() < end
            time.sleep(0.1)
        assert "SUCCEED" in told
    with serving(tmp_path / "house") as given_out:
        assert given_out.speak(mine.voice_id).status_code != 200


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_key_that_is_not_known(own: Served, examples: list[Path], tmp_path: Path, language: str) -> None:
    clone = own.studio.request_code(order(examples[0]), own.url)
    refused = run(of(clone, language), tmp_path, "TIMBRE_API_KEY", "not-a-key-of-theirs")
    assert "not known here" in refused.stdout + refused.stderr
    assert refused.returncode != 0


def test_a_prompt_and_a_part_go_along(own: Served, examples: list[Path], clip: Path, tmp_path: Path) -> None:
    asked = order(examples[0], prompt_audio=clip, prompt_text=PROMPT, segment=(1.0, 12.0))
    code = own.studio.request_code(asked, own.url)
    (voice_id,) = printed(of(code, PYTHON), tmp_path, "TIMBRE_API_KEY")
    voice = kept_voice(own, voice_id)
    assert voice.settings["prompt_text"] == PROMPT
    reference = own.studio.audio(voice_id, voice.owner, "reference")
    assert read(reference).duration_s == pytest.approx(11.0, abs=0.1)


def test_a_link_that_has_ended_says_so(own: Served, examples: list[Path], tmp_path: Path) -> None:
    code = own.studio.request_code(order(examples[0]), own.url)
    own.studio._calls.publisher.close()
    refused = run(of(code, PYTHON), tmp_path, "TIMBRE_API_KEY")
    assert "has ended" in refused.stderr
    assert "60 minutes" in refused.stderr


# what is lent, and what is refused


def test_neither_key_nor_place_is_in_it(home: Path, examples: list[Path]) -> None:
    settings = Settings.at(
        home, novita_api_key="sk-of-the-owner", api_keys=("invited-key",), public_url="https://t.example"
    )
    with closing(Studio(settings)) as studio:
        code = studio.request_code(order(examples[0], backend="novita", api_key="sk-entered"))
        assert code.expires_at is not None
        assert 3500 < (code.expires_at - datetime.now(UTC)).total_seconds() <= 3600
        for _, program in code.snippets:
            assert "NOVITA_API_KEY" in program
            for private in ("sk-of-the-owner", "sk-entered", "invited-key", str(home), examples[0].name, "/tmp"):
                assert private not in program
        assert len(files_in(home / "lent")) == 1
    assert files_in(home / "lent") == []


def test_a_link_is_passed_on_as_it_is(studio: Studio, home: Path) -> None:
    link = "https://a.example/a b.mp3?x=1&y='$(id)'"
    for backend in ("local", "novita"):
        code = studio.request_code(order(link, backend=backend))
        assert code.expires_at is None
        assert all(link in program for _, program in code.snippets)
    assert not (home / "lent").exists()


def test_by_default_it_is_asked_where_it_is_served(studio: Studio, examples: list[Path]) -> None:
    for _, program in studio.request_code(order(examples[0])).snippets:
        assert "http://127.0.0.1:7860/v3/minimax-voice-cloning" in program
        assert "http://127.0.0.1:7860/lent/links/" in program


def refusals(examples: list[Path], clip: Path) -> Iterator[tuple[CloneOrder, type[Exception], str]]:
    ada = examples[0]
    yield order(ada, consent=False), ConsentError, "agreed"
    yield order(ada, backend="novita"), PublishError, "TIMBRE_PUBLIC_URL"
    yield order("https://a.example/a.mp3", segment=(0.0, 15.0), backend="novita"), PublishError, "TIMBRE_STORE_URL"
    yield order(ada, segment=(0.0, 5.0)), AudioError, "5"
    yield order(ada, prompt_audio=ada, prompt_text=PROMPT), PromptError, "8"
    yield order(ada, prompt_text=PROMPT), PromptError, "clip"
    yield order(clip), AudioError, "10"


def test_what_cloning_would_refuse_is_refused_and_not_lent(
    studio: Studio, home: Path, examples: list[Path], clip: Path
) -> None:
    for asked, error, said in refusals(examples, clip):
        with pytest.raises(error, match=said):
            studio.request_code(asked)
    assert not (home / "lent").exists()
