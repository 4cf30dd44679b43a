"""Check, clone and speak by their names: as Gradio's client asks for them, as an MCP client does, and as nobody may."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, InitializeResult, Tool

from clone.api.auth import CALLS_PER_MINUTE
from clone.audio.reader import read
from clone.contract.cloning import MODELS
from clone.core import __version__
from tests.running import COLD, App
from tests.serving import KEYS, TEXT, bearer, decoded
from tests.studios import PROMPT, TURBO

README = Path(__file__).parent.parent / "README.md"
HASTY = "third-key-for-tests"
ARGUMENTS: dict[str, list[Any]] = {"check": ["x"], "clone": ["x", True], "speak": ["voice_1", TEXT], "voices": []}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    running = App(tmp_path_factory.mktemp("named") / "home", COLD, TIMBRE_API_KEYS=",".join((*KEYS, HASTY)))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def ada(examples: list[Path]) -> Path:
    return examples[0]


@pytest.fixture(scope="module")
def client(app: App, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return client_of(app, tmp_path_factory.mktemp("downloads"))


@pytest.fixture(scope="module")
def cloned(client: Client, ada: Path) -> tuple[dict[str, Any], str]:
    said, preview = client.predict(handle_file(ada), True, TEXT, TURBO, api_name="/clone")
    return json.loads(said), preview


def client_of(app: App, folder: Path, key: str | None = KEYS[0]) -> Client:
    return Client(app.url, headers=bearer(key), download_files=folder, verbose=False, analytics_enabled=False)


def ask(app: App, name: str, data: list[Any], key: str | None = KEYS[0]) -> str:
    """Ask as curl would; return what came, which is an error unless it says “complete”."""
    defaults = {
        "clone": ["", TURBO, "", 0.0, 0.0, "", "", 0.7, False, False, "auto"],
        "speak": [TURBO, 1.0, 1.0, 0, "mp3", "auto"],
    }
    full = data + defaults.get(name, [])[len(data) - len(ARGUMENTS[name]) :]
    url = f"{app.url}/gradio_api/call/{name}"
    joined = requests.post(url, json={"data": full}, headers=bearer(key), timeout=30)
    assert joined.ok, joined.text
    return requests.get(f"{url}/{joined.json()['event_id']}", headers=bearer(key), timeout=60).text


def _aside(asked: Coroutine[Any, Any, Any]) -> Any:
    """Run in a thread of its own: the browser's tests leave a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, asked).result()


def tools(app: App) -> list[Tool]:
    async def listed(session: ClientSession) -> list[Tool]:
        return (await session.list_tools()).tools

    return _aside(_session(app, KEYS[0], listed))


def call(app: App, tool: str, key: str | None = KEYS[0], /, **arguments: Any) -> CallToolResult:
    return _aside(_session(app, key, lambda session: session.call_tool(tool, arguments)))


async def _session(app: App, key: str | None, ask: Any) -> Any:
    url = f"{app.url}/gradio_api/mcp/"
    async with (
        httpx.AsyncClient(headers=bearer(key), timeout=60) as http,
        streamable_http_client(url, http_client=http) as (reading, writing, _),
        ClientSession(reading, writing) as session,
    ):
        await session.initialize()
        return await ask(session)


def texts(result: CallToolResult) -> list[str]:
    return [part.text for part in result.content if part.type == "text"]


def data_uri(path: Path) -> str:
    return "data:audio/mpeg;base64," + base64.b64encode(path.read_bytes()).decode()


# by Gradio's client


def test_a_recording_is_checked(client: Client, ada: Path) -> None:
    report = json.loads(client.predict(handle_file(ada), api_name="/check"))
    assert {"duration", "size", "level"} <= {finding["code"] for finding in report["findings"]}
    assert all(finding["message"] for finding in report["findings"])
    assert report["segment"] is None  # it is short enough to be taken whole


def test_what_is_no_recording_is_a_finding(client: Client) -> None:
    report = json.loads(client.predict(handle_file(__file__), api_name="/check"))
    assert [finding["severity"] for finding in report["findings"]] == ["refuse"]
    assert report["segment"] is None


def test_a_voice_is_cloned_with_its_preview(cloned: tuple[dict[str, Any], str]) -> None:
    said, preview = cloned
    assert said["typical_stock"] < said["likeness"] <= 1
    n_closer = said["n_stock"] - said["n_stock_beaten"]
    assert (f"{n_closer} of {said['n_stock']} stock voices" in said["told"]) == (n_closer > 0)
    assert said["expires_at"].endswith("+00:00")
    assert read(Path(preview)).duration_s > 1


@pytest.mark.parametrize("form", ["mp3", "wav"])
def test_it_speaks(client: Client, cloned: tuple[dict[str, Any], str], form: str) -> None:
    speech = client.predict(cloned[0]["voice_id"], TEXT, TURBO, format=form, api_name="/speak")
    assert speech.endswith(form)
    assert read(Path(speech)).duration_s > 1


def test_speed_is_real_and_has_limits(client: Client, cloned: tuple[dict[str, Any], str]) -> None:
    asked = {"voice_id": cloned[0]["voice_id"], "text": TEXT, "model": TURBO, "api_name": "/speak"}
    slow, fast = (read(Path(client.predict(**asked, speed=speed))).duration_s for speed in (0.7, 1.5))
    assert slow > 1.5 * fast
    with pytest.raises(AppError, match="speed is 9"):
        client.predict(**asked, speed=9.0)


def test_a_part_a_name_and_a_prompt_clip_are_taken(client: Client, ada: Path, clip: Path) -> None:
    said, preview = client.predict(
        handle_file(ada),
        True,
        name="Ada",
        start_s=2.0,
        end_s=20.0,
        prompt_audio=handle_file(clip),
        prompt_text=PROMPT,
        need_volume_normalization=True,
        api_name="/clone",
    )
    assert json.loads(said)["voice_id"]
    assert preview is None
    with pytest.raises(AppError, match="not inside the recording"):
        client.predict(handle_file(ada), True, start_s=2.0, end_s=2000.0, api_name="/clone")


def test_a_voice_is_the_keys_wherever_it_is_used(app: App, cloned: tuple[dict[str, Any], str], tmp_path: Path) -> None:
    voice_id = cloned[0]["voice_id"]
    body = {"text": TEXT, "voice_setting": {"voice_id": voice_id}}
    own, other = (
        requests.post(f"{app.url}/v3/minimax-speech-02-turbo", json=body, headers=bearer(key), timeout=60)
        for key in KEYS
    )
    assert len(decoded(bytes.fromhex(own.json()["audio"]))[0])
    assert other.status_code == 400
    with pytest.raises(AppError, match="no voice with this voice_id"):
        client_of(app, tmp_path, KEYS[1]).predict(voice_id, TEXT, TURBO, api_name="/speak")
    assert call(app, "speak", KEYS[1], voice_id=voice_id, text=TEXT).isError


# who may not


@pytest.mark.parametrize("name", ARGUMENTS)
def test_there_is_no_call_without_a_key_not_even_from_this_machine(app: App, name: str) -> None:
    """A page elsewhere can make the person's browser post to 127.0.0.1, but knows no key."""
    assert "No API key is given." in ask(app, name, ARGUMENTS[name], key=None)
    assert "This API key is not known here." in ask(app, name, ARGUMENTS[name], key="guessed")


def test_no_other_site_may_send_a_key_from_a_browser(app: App) -> None:
    headers = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    for path in ("call/clone", "mcp/"):
        asked = requests.options(f"{app.url}/gradio_api/{path}", headers=headers, timeout=10)
        assert asked.headers.get("Access-Control-Allow-Origin") not in ("*", headers["Origin"])


@pytest.mark.parametrize("consent", [False, None, "yes", 1])
def test_nobody_is_cloned_without_consent(app: App, ada: Path, consent: Any) -> None:
    assert "Nobody confirmed" in ask(app, "clone", [data_uri(ada), consent])


def test_a_key_has_one_count_for_both_ways(app: App) -> None:
    assert "no file that was uploaded" in ask(app, "clone", ["x", True], HASTY)
    body = {"audio_url": "http://127.0.0.1/a.mp3"}
    with requests.Session() as session:
        answers = [
            session.post(f"{app.url}/v3/minimax-voice-cloning", json=body, headers=bearer(HASTY), timeout=10)
            for _ in range(CALLS_PER_MINUTE)
        ]
    assert [answer.status_code for answer in answers] == [400] * (CALLS_PER_MINUTE - 1) + [429]
    assert f"at most {CALLS_PER_MINUTE}" in ask(app, "clone", ["x", True], HASTY)


# what may not be given


@pytest.mark.parametrize(
    "path", ["/proc/self/environ", "/etc/passwd", "library.db", "page_secret", "page/../library.db"]
)
def test_no_file_is_read_that_was_not_uploaded(app: App, path: str) -> None:
    path = path if path.startswith("/") else f"{app.home}/{path}"
    before = {each for each in (app.home / "page").rglob("*") if each.is_file()}
    meta = {"_type": "gradio.FileData"}
    for given in (path, {"path": path}, {"path": path, "meta": meta}, {"path": path, "meta": meta, "is_stream": True}):
        for name, data in (("check", [given]), ("clone", [given, True])):
            told = ask(app, name, data)
            assert "event: error" in told
            assert "findings" not in told
            assert not any(key in told for key in KEYS)
    assert {each for each in (app.home / "page").rglob("*") if each.is_file()} == before


def test_no_prompt_clip_is_either(app: App, ada: Path) -> None:
    given = [data_uri(ada), True, "", TURBO, "", 0.0, 0.0, "/etc/passwd", "Root.", 0.7, False, False, "auto"]
    assert "no file that was uploaded" in ask(app, "clone", given)


@pytest.mark.parametrize("link", ["http://127.0.0.1/a.mp3", "http://169.254.169.254/latest", "http://[::1]:8080/"])
def test_no_private_address_is_asked(app: App, link: str) -> None:
    for name, data in (("check", [link]), ("clone", [link, True])):
        assert "private" in ask(app, name, data)


@pytest.mark.parametrize("link", ["http://127.0.0.1/a.mp3", "https://example.com/a.mp3"])
def test_gradio_downloads_nothing_by_itself(app: App, link: str) -> None:
    """It would, for what says that it is an upload, before anybody asks for a key."""
    given = {"path": link, "meta": {"_type": "gradio.FileData"}}
    assert "A link is not an uploaded file." in ask(app, "check", [given], key=None)


@pytest.mark.parametrize(
    "given", ["", None, 7, [], {}, "data:audio/mpeg,plain", "data:;base64,%", "file:///etc/passwd", "\0"]
)
def test_what_is_no_recording_at_all_is_refused_in_words(app: App, given: Any) -> None:
    told = ask(app, "check", [given])
    assert "event: error" in told
    assert len(json.loads(told.partition("data: ")[2])["error"]) > 20
    assert str(app.home) not in told


@pytest.mark.parametrize(
    ("field", "value"), [(2, 7), (3, "loud"), (4, ["x"]), (4, "x" * 101), (5, "1"), (8, {}), (9, 2)]
)
def test_every_parameter_is_checked(app: App, ada: Path, field: int, value: Any) -> None:
    given = [data_uri(ada), True, "Good morning.", TURBO, "", 0.0, 0.0, "", "", 0.7, False, False, "auto"]
    given[field] = value
    told = ask(app, "clone", given)
    assert "event: error" in told
    assert "Something unexpected" not in told


# by an MCP client


def test_there_are_four_tools_and_all_of_them_is_described(app: App) -> None:
    listed = {tool.name: tool for tool in tools(app)}
    assert list(listed) == ["check", "clone", "speak", "voices"]
    for tool in listed.values():
        assert tool.description
        assert tool.annotations
        assert tool.annotations.title
        assert tool.annotations.readOnlyHint == (tool.name in ("check", "voices"))
        assert tool.outputSchema
        for parameter in tool.inputSchema["properties"].values():
            assert parameter["description"]
            assert parameter.get("type") or parameter.get("enum")
    assert listed["clone"].inputSchema["required"] == ["recording", "consent"]
    assert "request" not in listed["clone"].inputSchema["properties"]
    speed, pitch = (listed["speak"].inputSchema["properties"][name] for name in ("speed", "pitch"))
    assert (speed["minimum"], speed["maximum"], pitch["minimum"], pitch["maximum"]) == (0.5, 2.0, -12, 12)
    assert listed["speak"].inputSchema["properties"]["model"]["enum"] == list(MODELS)
    assert "Japanese" in listed["clone"].inputSchema["properties"]["language"]["enum"]


def test_the_server_says_who_it_is(app: App) -> None:
    async def greeted(url: str) -> InitializeResult:
        async with (
            httpx.AsyncClient(headers=bearer(KEYS[0]), timeout=60) as http,
            streamable_http_client(url, http_client=http) as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            return await session.initialize()

    said = _aside(greeted(f"{app.url}/gradio_api/mcp/"))
    assert (said.serverInfo.name, said.serverInfo.version) == ("timbre", __version__)
    assert "consent" in said.instructions or "agreed" in said.instructions


def test_an_agent_checks_clones_and_speaks(app: App, ada: Path) -> None:
    recording = data_uri(ada)
    assert json.loads(texts(call(app, "check", recording=recording))[0])["findings"]
    cloning = call(app, "clone", recording=recording, consent=True, text="Good evening.", model=TURBO, name="Eve")
    said, preview = texts(cloning)
    assert cloning.structuredContent == json.loads(said) | {"preview": preview}
    by_id, by_name = (
        call(app, "speak", voice_id=word, text=TEXT, model=TURBO, format="wav")
        for word in (json.loads(said)["voice_id"], "eve")
    )
    for link in (preview, *texts(by_id), *texts(by_name)):
        assert link.startswith(f"{app.url}/gradio_api/file=")
        assert str(app.home) not in link
        assert len(decoded(requests.get(link, timeout=10).content)[0]) > 10_000
    assert by_id.structuredContent == {"speech": texts(by_id)[0]}
    listed = call(app, "voices")
    assert listed.structuredContent == json.loads(texts(listed)[0])
    assert listed.structuredContent["voices"][0]["name"] == "Eve"
    assert call(app, "voices", KEYS[1]).structuredContent == {"voices": []}


def test_there_is_no_none_in_an_answer(app: App, ada: Path) -> None:
    silent = call(app, "clone", recording=data_uri(ada), consent=True, name="Silent")
    assert len(texts(silent)) == 1
    assert "None" not in texts(silent)[0]
    assert silent.structuredContent["preview"] is None


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("speak", {"voice_id": "x", "text": TEXT, "speed": 9}, "maximum"),
        ("speak", {"voice_id": "x", "text": TEXT, "model": "speech-9"}, "speech-9"),
        ("speak", {"voice_id": "nobody", "text": TEXT}, "no voice"),
        ("speak", {"voice_id": "x", "text": TEXT, "else": 1}, "else"),
        ("voices", {"else": 1}, "else"),
    ],
)
def test_an_agent_is_held_to_the_schemas(app: App, name: str, arguments: dict[str, Any], told: str) -> None:
    result = call(app, name, **arguments)
    assert result.isError
    assert told in texts(result)[0]


def test_an_agent_may_upload_first(app: App, ada: Path) -> None:
    with ada.open("rb") as file:
        uploaded = requests.post(f"{app.url}/gradio_api/upload", files={"files": file}, timeout=10).json()
    assert json.loads(texts(call(app, "check", recording=uploaded[0]))[0])["findings"]


def test_an_agent_is_told_in_words_what_is_wrong(app: App, ada: Path) -> None:
    for key, arguments, told in (
        (None, {"recording": "x"}, "No API key is given. Send the header Authorization: Bearer YOUR_KEY."),
        ("guessed", {"recording": "x"}, "This API key is not known here. Check the key."),
        (KEYS[0], {"recording": "/proc/self/environ"}, "This is no file that was uploaded here."),
        (KEYS[0], {"recording": "http://10.0.0.1/a.mp3"}, "private"),
        (KEYS[0], {"recording": {"path": "/etc/passwd"}}, "not of type 'string'"),
    ):
        result = call(app, "check", key, **arguments)
        assert result.isError
        assert told in texts(result)[0]
    refused = call(app, "clone", recording=data_uri(ada), consent=False)
    assert refused.isError
    assert texts(refused)[0].startswith("Nobody confirmed")


def test_what_readme_says_to_an_agent_works(app: App) -> None:
    said = README.read_text(encoding="utf-8").partition("```json\n")[2].partition("```")[0]
    server = json.loads(said)["mcpServers"]["timbre"]
    assert server["url"].replace("http://127.0.0.1:7860", app.url) == f"{app.url}/gradio_api/mcp/"
    assert server["headers"] == bearer("YOUR_KEY")


def test_nothing_of_a_call_is_in_the_log_or_left_behind(app: App, client: Client, ada: Path) -> None:
    client.predict(data_uri(ada), api_name="/check")
    assert not list((app.home / "page").rglob("recording"))
    log = app.log.read_text()
    for private in (*KEYS, HASTY, TEXT, PROMPT, "Good morning.", "base64,"):
        assert private not in log
