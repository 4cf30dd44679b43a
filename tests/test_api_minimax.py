"""MiniMax's own dialect, over HTTP and a WebSocket, with the real engine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from clone.api import minimax_socket
from clone.api.minimax import code_of
from clone.contract.cloning import MODELS
from clone.core.errors import AudioError, BusyError, PromptMismatch, TimbreError
from clone.core.workspace import Workspace
from clone.storage import uploads
from clone.storage.uploads import Uploads
from tests.serving import KEYS, WITHIN_S, Served, bearer, decoded, owner_of, serving

TEXT = "Good morning."
TURBO = MODELS[-1]
CHOSEN = "AdaVoice01"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("api") / "home", background=False) as served:
        yield served


def upload(api: Served, data: bytes, key: str | None = KEYS[0], **fields: str) -> dict[str, Any]:
    sent = {"purpose": "voice_clone"} | fields
    url, files = f"{api.url}/v1/files/upload", {"file": ("../../../etc/x.mp3", data)}
    return dict(requests.post(url, sent, headers=bearer(key), files=files, timeout=WITHIN_S).json())


def asked(api: Served, path: str, key: str = KEYS[0], **body: Any) -> dict[str, Any]:
    answer = api.post(path, body, key)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Trace-Id"]
    return dict(answer.json())


def code(answer: dict[str, Any]) -> int:
    assert answer["base_resp"]["status_msg"]
    return int(answer["base_resp"]["status_code"])


@pytest.fixture(scope="module")
def file_id(api: Served, examples: list[Path]) -> int:
    answer = upload(api, examples[1].read_bytes())
    assert code(answer) == 0
    assert 10**14 <= answer["file"]["file_id"] < 2**53
    return int(answer["file"]["file_id"])


@pytest.fixture(scope="module")
def voice(api: Served, file_id: int) -> str:
    more = {"text": TEXT, "model": TURBO, "clone_prompt": None, "language_boost": None, "accuracy": None}
    answer = asked(api, "/v1/voice_clone", file_id=file_id, voice_id=CHOSEN, need_volume_normalization=True, **more)
    assert code(answer) == 0, answer
    assert len(decoded(requests.get(answer["demo_audio"], timeout=10).content)[0]) > 1000
    return CHOSEN


def speech(voice_id: str, **changes: Any) -> dict[str, Any]:
    return {"model": TURBO, "text": TEXT, "voice_setting": {"voice_id": voice_id}} | changes


def test_a_voice_goes_by_the_id_that_its_owner_chose(api: Served, voice: str, file_id: int) -> None:
    kept = api.studio.find(voice, owner_of(KEYS[0]))
    assert kept.voice_id != CHOSEN
    assert kept.consent_by == owner_of(KEYS[0])
    assert not kept.permanent
    listed = asked(api, "/v1/get_voice", voice_type="all")["voice_cloning"]
    assert [(each["voice_id"], each["voice_name"]) for each in listed] == [(CHOSEN, CHOSEN)]
    assert asked(api, "/v1/get_voice", KEYS[1])["voice_cloning"] == []
    assert asked(api, "/v1/get_voice", voice_type="system")["voice_cloning"] == []
    again = {"file_id": str(file_id), "voice_id": CHOSEN}
    assert code(asked(api, "/v1/voice_clone", **again)) == 2039
    assert code(asked(api, "/v1/t2a_v2", KEYS[1], **speech(voice))) == 2054
    for path in ("/v1/t2a_v2?GroupId=1", "/v3/minimax-en/v1/t2a_v2"):
        answer = asked(api, path, **speech(voice, output_format=None, subtitle_enable=True))
        assert code(answer) == 0
        assert answer["extra_info"]["audio_size"] == len(bytes.fromhex(answer["data"]["audio"]))
        assert requests.get(answer["data"]["subtitle_file"], timeout=10).json()[0]["text"] == TEXT
    assert api.studio.find(voice, owner_of(KEYS[0])).permanent
    link = asked(api, "/v1/t2a_v2", **speech(voice, output_format="url"))["data"]["audio"]
    assert requests.get(link, timeout=10).status_code == 200


@pytest.mark.parametrize("excluded", [False, True])
def test_a_stream_ends_with_the_whole_unless_it_is_left_out(api: Served, voice: str, excluded: bool) -> None:
    options = {"stream_options": {"exclude_aggregated_audio": excluded}}
    pcm = {"format": "pcm", "sample_rate": 16000}
    answer = api.post("/v1/t2a_v2", speech(voice, stream=True, audio_setting=pcm, **options))
    events = [json.loads(line[6:]) for line in answer.text.split("\n") if line]
    assert [each["data"]["status"] for each in events] == [1] * (len(events) - 1) + [2]
    pieces = "".join(each["data"]["audio"] for each in events[:-1])
    assert events[-1]["data"]["audio"] == ("" if excluded else pieces)
    assert events[-1]["extra_info"]["audio_length"] == pytest.approx(len(pieces) / 4 / 16, abs=1)


def test_another_owner_may_choose_the_same_id(api: Served, voice: str, examples: list[Path]) -> None:
    theirs = upload(api, examples[1].read_bytes(), KEYS[1])["file"]["file_id"]
    assert code(asked(api, "/v1/voice_clone", file_id=theirs, voice_id=CHOSEN)) == 2013  # a file of another key
    assert code(asked(api, "/v1/voice_clone", KEYS[1], file_id=theirs, voice_id=CHOSEN)) == 0
    assert api.studio.find(CHOSEN, owner_of(KEYS[1])).voice_id != api.studio.find(CHOSEN, owner_of(KEYS[0])).voice_id
    assert code(asked(api, "/v1/delete_voice", KEYS[1], voice_type="voice_cloning", voice_id=CHOSEN)) == 0
    assert code(asked(api, "/v1/delete_voice", KEYS[1], voice_id=CHOSEN)) == 2054
    assert api.studio.find(CHOSEN, owner_of(KEYS[0]))


@pytest.mark.parametrize(
    ("change", "expected", "said"),
    [
        ({"voice_id": "short"}, 2013, "8 to 256"),
        ({"voice_id": "a" * 257}, 2013, "8 to 256"),
        ({"voice_id": "../../etc/passwd"}, 2013, "8 to 256"),
        ({"voice_id": "voice/with/slashes"}, 2013, "8 to 256"),
        ({"voice_id": "endswith-"}, 2013, "8 to 256"),
        ({"voice_id": None}, 2013, "voice_id"),
        ({"file_id": 1}, 2013, "no file"),
        ({"file_id": "x"}, 2013, "must be a number"),
        ({"file_id": -1}, 2013, "must be a number"),
        ({"file_id": [1]}, 2013, "file_id"),
        ({"model": "speech-01-hd", "text": TEXT}, 2013, MODELS[0]),
        ({"text": TEXT}, 2013, "model"),
        ({"accuracy": 2}, 2013, "between 0 and 1"),
        ({"clone_prompt": {"prompt_audio": 1, "prompt_text": "Hello."}}, 2013, "no file"),
        ({"clone_prompt": {"prompt_audio": 1, "prompt_text": "Hello"}}, 2013, "punctuation"),
        ({"text_validation": "Elephants never forget their umbrellas."}, 1043, "at least"),
    ],
)
def test_what_is_wrong_with_a_clone(
    api: Served, file_id: int, change: dict[str, Any], expected: int, said: str
) -> None:
    answer = asked(api, "/v1/voice_clone", **{"file_id": file_id, "voice_id": "OtherVoice01", **change})
    assert (code(answer), said in answer["base_resp"]["status_msg"]) == (expected, True), answer


def test_every_answer_has_base_resp(api: Served, voice: str) -> None:
    for path in ("/v1/t2a_v2", "/v1/voice_clone", "/v1/get_voice", "/v1/delete_voice", "/v1/files/upload"):
        for key in (None, "wrong"):
            answer = api.post(path, {}, key)
            assert (answer.status_code, code(answer.json())) == (200, 1004)
    assert api.get("/v1/t2a_v2").status_code == 405
    assert code(api.get("/v1/t2a_v2").json()) == 2013
    assert code(api.get("/v1/files/list").json()) == 2013
    assert code(asked(api, "/v1/t2a_v2", **speech(voice, text="x" * 10_000))) == 2013
    assert code(asked(api, "/v1/t2a_v2", **speech(voice, model="speech-9"))) == 2013
    assert code(asked(api, "/v1/t2a_v2", **speech(voice, stream=True, audio_setting={"format": "wav"}))) == 2013
    assert (
        code(asked(api, "/v1/voice_clone", file_id=upload(api, b"no sound")["file"]["file_id"], voice_id="Nothing01"))
        == 20132
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AudioError("x", code="too_short"), 2037),
        (AudioError("x", code="silent"), 20132),
        (PromptMismatch("x"), 1044),
        (BusyError("x"), 1002),
        (TimbreError("x"), 1000),
    ],
)
def test_errors_have_minimaxs_codes(error: TimbreError, expected: int) -> None:
    assert code_of(error) == expected


# uploads


def test_uploads_are_bounded_and_their_owners_alone(api: Served, file_id: int) -> None:
    assert code(upload(api, b"x", purpose="else")) == 2013
    assert code(upload(api, b"")) == 20132
    assert code(upload(api, b"x" * 20_000_001)) == 20132
    assert code(upload(api, b"x" * 22_000_000)) == 2013
    name = upload(api, b"x", KEYS[1])["file"]["filename"]
    assert name == "../../../etc/x.mp3"  # told as it came, and used for nothing
    many = [code(upload(api, b"x", KEYS[1])) for _ in range(uploads.MAX_PER_OWNER + 1)]
    assert many[-1] == 1002
    assert not list(api.settings.home.rglob("x.mp3"))


def test_an_upload_is_kept_for_a_while(tmp_path: Path, examples: list[Path]) -> None:
    now = [1000.0]
    (tmp_path / "home").mkdir()
    kept = Uploads(Workspace(tmp_path / "home" / "work"), lambda: now[0])
    with examples[0].open("rb") as file:
        one = kept.add("ada", "voice_clone", "a/../b", file)
    assert one.path.parent.parent == tmp_path / "home" / "work"
    assert kept.get(one.file_id, "ada").path.read_bytes() == examples[0].read_bytes()
    with pytest.raises(AudioError):
        kept.get(one.file_id, "eve")
    now[0] += uploads.KEPT_S + 1
    with pytest.raises(AudioError):
        kept.get(one.file_id, "ada")
    assert one.path.exists()
    assert kept.purge() == 1
    assert not one.path.exists()
    with examples[0].open("rb") as file:
        other = kept.add("ada", "voice_clone", "", file)
    assert kept.forget("eve") == 0
    assert kept.forget("ada") == 1
    assert not other.path.exists()


# the WebSocket


def opened(api: Served, key: str | None = KEYS[0]) -> ClientConnection:
    return connect(f"ws{api.url[4:]}{minimax_socket.PATH}", additional_headers=bearer(key), open_timeout=20)


def heard(socket: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(socket.recv(timeout=WITHIN_S)))


def say(socket: ClientConnection, event: str, **more: Any) -> None:
    socket.send(json.dumps({"event": event, **more}))


def failed(socket: ClientConnection) -> int:
    told = heard(socket)
    while told["event"] != "task_failed":
        told = heard(socket)
    with pytest.raises(ConnectionClosed):
        socket.recv(timeout=10)
    return code(told)


def test_texts_are_spoken_as_they_come(api: Served, voice: str) -> None:
    pcm = {"format": "pcm", "sample_rate": 16000}
    with opened(api) as socket:
        assert heard(socket)["event"] == "connected_success"
        say(socket, "task_start", model=TURBO, voice_setting={"voice_id": voice}, audio_setting=pcm)
        assert heard(socket)["event"] == "task_started"
        say(socket, "task_continue", text="Good morning.")
        say(socket, "task_continue", text="!")
        say(socket, "task_continue", text="Good night.")
        say(socket, "task_finish")
        told = [heard(socket)]
        while told[-1]["event"] != "task_finished":
            told.append(heard(socket))
        finals = [each for each in told if each.get("is_final")]
        assert len(finals) == 3
        assert finals[1]["data"]["audio"] == ""
        assert sum(len(bytes.fromhex(each["data"]["audio"])) for each in told[:-1]) / 32000 > 0.8
        assert {code(each) for each in told} == {0}
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=10)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"event": "task_continue", "text": TEXT}], 2013),
        ([{"event": "task_start", "model": "none", "voice_setting": {"voice_id": CHOSEN}}], 2013),
        ([{"event": "task_start", "model": TURBO, "voice_setting": {"voice_id": "somebody-elses"}}], 2054),
        (
            [
                {
                    "event": "task_start",
                    "model": TURBO,
                    "voice_setting": {"voice_id": CHOSEN},
                    "audio_setting": {"format": "wav"},
                }
            ],
            2013,
        ),
        (
            [{"event": "task_start", "model": TURBO, "voice_setting": {"voice_id": CHOSEN}}, {"event": "task_start"}],
            2013,
        ),
        (
            [
                {"event": "task_start", "model": TURBO, "voice_setting": {"voice_id": CHOSEN}},
                {"event": "task_continue"},
            ],
            2013,
        ),
        (["no json"], 2013),
        (["[]"], 2013),
        (["[" * 100_000], 2013),
    ],
)
def test_what_is_wrong_ends_the_task(api: Served, voice: str, messages: list[Any], expected: int) -> None:
    with opened(api) as socket:
        for message in messages:
            socket.send(message if isinstance(message, str) else json.dumps(message))
        assert failed(socket) == expected


def test_a_socket_needs_a_key(api: Served) -> None:
    for key in (None, "wrong"):
        with opened(api, key) as socket:
            assert failed(socket) == 1004


def test_who_sends_nothing_is_not_waited_for_and_who_opens_many_is_refused(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        many = [stack.enter_context(opened(api)) for _ in range(minimax_socket.AT_ONCE_PER_OWNER)]
        assert {heard(each)["event"] for each in many} == {"connected_success"}
        with opened(api) as one_more:
            assert failed(one_more) == 1002
        with opened(api, KEYS[1]) as theirs:
            assert heard(theirs)["event"] == "connected_success"
    monkeypatch.setattr(minimax_socket, "START_S", 0.2)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:  # the others' places are free as soon as they are noticed to have gone
        with opened(api) as silent:
            told = heard(silent)
            if told["event"] == "connected_success":
                break
    with opened(api) as silent:
        assert failed(silent) == 2013


def test_who_leaves_in_the_middle_ends_the_work(api: Served, voice: str) -> None:
    long = "The harbour was quiet this morning, and nobody went ashore before noon. " * 60
    with opened(api) as socket:
        say(socket, "task_start", model=TURBO, voice_setting={"voice_id": voice})
        say(socket, "task_continue", text=long)
        while heard(socket)["event"] != "task_continued":
            pass
    begun = time.monotonic()
    assert code(asked(api, "/v1/t2a_v2", **speech(voice))) == 0
    assert time.monotonic() - begun < 30  # all of it would take minutes
