"""How the page is served: nothing private leaks, nothing foreign gets in, nothing in front of it is in the way."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from clone.contract import cloning

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real page without warm models, in a process of its own; its address."""
    home = tmp_path_factory.mktemp("served") / "home"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = (
        "import app\n"
        "studio = app.Studio(app.SETTINGS)\n"
        "demo = app.build(studio, app.SETTINGS)\n"
        "demo.launch(**app.launch_options(app.SETTINGS), prevent_thread_lock=True)\n"
        "print('up', flush=True)\n"
        "demo.block_thread()\n"
    )
    environment = dict(os.environ, TIMBRE_HOME=str(home), GRADIO_SERVER_PORT=str(port), A_SECRET="not-for-anybody")
    environment["GRADIO_SSR_MODE"] = "True"  # as the image of a Space sets it
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == b"up":
            break
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def config(served: str) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"{served}/config", timeout=30).json()
    return answer


def call(served: str, index: int, data: list[Any]) -> str:
    """Call an event as the page does, and return everything that is answered."""
    body = {"data": data, "fn_index": index, "session_hash": f"test{index}"}
    joined = requests.post(f"{served}/gradio_api/queue/join", json=body, timeout=30)
    if not joined.ok:
        return joined.text
    told = []
    with requests.get(
        f"{served}/gradio_api/queue/data", params={"session_hash": f"test{index}"}, stream=True, timeout=60
    ) as stream:
        for line in stream.iter_lines():
            told.append(line.decode())
            if "process_completed" in told[-1] or "close_stream" in told[-1]:
                break
    return "\n".join(told)


def test_every_event_of_the_page_is_private(served: str, config: dict[str, Any]) -> None:
    """What programs may ask by name is no event of the page: it needs a key; see test_ui_api.py."""
    public = [each["api_name"] for each in config["dependencies"] if each["api_visibility"] != "private"]
    assert public == ["check", "clone", "speak", "voices"]
    info = requests.get(f"{served}/gradio_api/info", timeout=30).json()
    assert list(info["named_endpoints"]) == ["/check", "/clone", "/speak", "/voices"]
    assert info["unnamed_endpoints"] == {}


def test_no_change_is_waited_for_by_two_events(config: dict[str, Any]) -> None:
    """Where two wait for the last change of one field, Gradio starts both again as one ends, and so for ever."""
    waiting = Counter(
        (target, kind)
        for event in config["dependencies"]
        if event["trigger_mode"] == "always_last" and event["backend_fn"]
        for target, kind in event["targets"]
        if kind != "load"  # comes once
    )
    assert waiting
    assert [field for field, n in waiting.items() if n > 1] == []


@pytest.mark.parametrize("path", ["/proc/self/environ", "/etc/passwd"])
def test_no_event_reads_a_file_that_was_not_uploaded(served: str, config: dict[str, Any], path: str) -> None:
    """Gradio hands any path to a handler in a page that is mounted, or has not launched."""
    kinds = {each["id"]: each["type"] for each in config["components"]}
    lie = {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "a.wav"}
    tried = 0
    for event in config["dependencies"]:
        if "audio" not in [kinds[each] for each in event["inputs"]]:
            continue
        data = [lie if kinds[each] == "audio" else None for each in event["inputs"]]
        said = call(served, event["id"], data)
        assert '"success":false' in said.replace(" ", ""), said
        assert "not-for-anybody" not in said
        tried += 1
    assert tried >= 2


@pytest.mark.parametrize("name", ["clone", "check", "listen", "predict"])
def test_no_event_called_by_its_name_does(served: str, config: dict[str, Any], name: str) -> None:
    lie = {"path": "/proc/self/environ", "meta": {"_type": "gradio.FileData"}}
    n_inputs = max(len(each["inputs"]) for each in config["dependencies"])
    joined = requests.post(f"{served}/gradio_api/call/{name}", json={"data": [lie] * n_inputs}, timeout=30)
    said = joined.text
    if joined.ok:
        said += requests.get(f"{served}/gradio_api/call/{name}/{joined.json()['event_id']}", timeout=30).text
        assert "event: error" in said
    assert "not-for-anybody" not in said


@pytest.mark.parametrize("path", ["/proc/self/environ", "/etc/passwd", str(ROOT / "app.py"), str(ROOT / ".git/config")])
def test_files_that_are_not_the_pages_own_are_not_served(served: str, path: str) -> None:
    assert requests.get(f"{served}/gradio_api/file={path}", timeout=30).status_code in {403, 404}


def test_no_other_server_stands_in_front(served: str) -> None:
    """With server-side rendering, Node answers first and knows no route but its own."""
    page = requests.get(served, timeout=30)
    assert "x-powered-by" not in page.headers
    assert "__sveltekit" not in page.text
    assert requests.post(f"{served}/v3/nothing-yet", json={}, timeout=30).status_code in {404, 405}


def test_the_page_is_the_same_from_memory(served: str) -> None:
    fresh = requests.get(served, timeout=30, cookies={"any": "thing"})
    first, second = requests.get(served, timeout=30), requests.get(served, timeout=30)
    assert first.text == second.text == fresh.text
    assert first.headers["content-type"] == fresh.headers["content-type"]


def test_a_page_made_for_one_address_is_given_at_no_other(served: str) -> None:
    for header in ("x-gradio-server", "x-forwarded-host"):
        led = requests.get(served, timeout=30, headers={header: "https://elsewhere.example"})
        assert "elsewhere.example" in led.text
        assert "elsewhere.example" not in requests.get(served, timeout=30).text


def test_nothing_is_kept_or_told_elsewhere(served: str, config: dict[str, Any]) -> None:
    assert config["analytics_enabled"] is False
    assert config["show_error"] is False
    assert not config.get("run_history")
    assert not config.get("pwa")
    assert config["footer_links"] == []


def test_the_pages_numbers_are_the_contracts(config: dict[str, Any]) -> None:
    by_id = {each["props"].get("elem_id"): each["props"] for each in config["components"]}
    assert sorted(value for _, value in by_id["model"]["choices"]) == sorted(cloning.MODELS)
    for label, value in by_id["model"]["choices"]:
        assert cloning.tier(value) in label
    assert (by_id["accuracy"]["minimum"], by_id["accuracy"]["maximum"]) == (
        cloning.ACCURACY_MIN,
        cloning.ACCURACY_MAX,
    )
    assert by_id["accuracy"]["value"] == cloning.ACCURACY_DEFAULT
    assert f"{cloning.TEXT_MAX_CHARS:,} characters" in json.dumps(config)
    assert by_id["noise"]["value"] is cloning.NOISE_REDUCTION_DEFAULT
    assert by_id["volume"]["value"] is cloning.VOLUME_NORMALIZATION_DEFAULT
    assert by_id["consent"]["value"] is False


def test_an_upload_over_the_limit_is_refused(served: str) -> None:
    size = 201 * 10**6
    with requests.post(
        f"{served}/gradio_api/upload",
        data=(b"\0" * 10**6 for _ in range(size // 10**6)),
        headers={"content-type": "multipart/form-data; boundary=x", "content-length": str(size)},
        timeout=60,
    ) as answer:
        assert answer.status_code in {400, 413}
