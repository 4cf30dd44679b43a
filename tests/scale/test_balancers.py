"""The recipes of docs/scale.md, as they stand there: nginx and Caddy before two front ends that share a library."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from playwright.sync_api import Page, sync_playwright
from websockets.sync.client import connect

from tests.browser.driving import CHROMIUM, FLAGS, WAIT_MS, choose_source, choose_turbo, go
from tests.running import App
from tests.scale.servers import S3, SECRET, Cluster, answers, free_port

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "assets" / "examples" / "ada.m4a"
READY = "from clone.studio import facade; facade.Studio._warm_up = lambda studio: studio._warm.set()"
"""Run before an app that says at once that it can be asked, and loads its models when it is."""
KEY = {"Authorization": "Bearer key-for-balancers"}
N_VISITORS, N_UPLOADS = 12, 3
STARTS_WITHIN_S = 30
MUCH = 25_000_000
LONG = "One sentence after the other is spoken here, and each of them is heard as soon as it is there. " * 12

NGINX = """daemon off; pid {folder}/pid; error_log stderr; events {{}}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{recipe} }}"""


@dataclass(frozen=True)
class Balanced:
    url: str
    fronts: tuple[App, App]


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def fronts(
    postgresql: Cluster, s3: S3, port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[App, App]]:
    bucket, database, folder = (
        s3.bucket(f"b{uuid4().hex[:12]}"),
        postgresql.database(),
        tmp_path_factory.mktemp("fronts"),
    )
    shared = {
        "TIMBRE_DATABASE_URL": str(database),
        "TIMBRE_STORE_URL": bucket.url,
        "TIMBRE_SECRET": SECRET,
        "TIMBRE_API_KEYS": "key-for-balancers",
        "TIMBRE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        **bucket.environment,
    }
    running = App(folder / "a", READY, **shared), App(folder / "b", READY, **shared)
    for each in running:
        each.start()
    yield running
    for each in running:
        each.stop()


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def balanced(
    request: pytest.FixtureRequest, fronts: tuple[App, App], port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Balanced]:
    """A balancer at the port that both front ends take for their address."""
    kind: str = request.param
    folder = tmp_path_factory.mktemp(kind)
    (recipe,) = re.findall(rf"^(?i:{kind}):\n\n```\w*\n(.*?)```", (ROOT / "docs" / "scale.md").read_text(), re.S | re.M)
    for n, front in zip((11, 12), fronts, strict=True):
        assert f"10.0.0.{n}:7860" in recipe
        recipe = recipe.replace(f"10.0.0.{n}:7860", f"127.0.0.1:{front.port}")
    config = folder / "config"
    if kind == "nginx":
        config.write_text(NGINX.format(folder=folder, recipe=recipe.replace("listen 80;", f"listen 127.0.0.1:{port};")))
        program = ["/usr/sbin/nginx", "-p", str(folder), "-c", str(config)]
    else:
        config.write_text(
            "{\n admin off\n grace_period 1s\n}\n" + recipe.replace(":80 {", f"http://127.0.0.1:{port} {{")
        )
        program = [str(shutil.which("caddy")), "run", "--config", str(config), "--adapter", "caddyfile"]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(program, env={"HOME": str(folder)}, stdout=log, stderr=log)
    end = time.monotonic() + STARTS_WITHIN_S
    while not (answers(port) and requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200):
        assert running.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < end, (folder / "log").read_text()
        time.sleep(0.1)
    yield Balanced(f"http://127.0.0.1:{port}", fronts)
    running.terminate()
    running.wait(10)


def uploaded(visitor: requests.Session, at: str, data: bytes = b"RIFF") -> str:
    """Return where a front end put what a visitor of the page gave it."""
    visitor.get(at, timeout=20)  # where the cookie comes from
    answer = visitor.post(f"{at}/gradio_api/upload", files={"files": ("x.wav", data)}, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()[0])


def test_who_began_at_one_stays_there(balanced: Balanced) -> None:
    homes = []
    for _ in range(N_VISITORS):
        with requests.Session() as visitor:
            places = {uploaded(visitor, balanced.url) for _ in range(N_UPLOADS)}
            at = {str(front.home) for front in balanced.fronts for place in places if place.startswith(str(front.home))}
            assert len(at) == 1
            homes += at
            (cookie,) = [each for each in visitor.cookies if each.name == "front"]
            assert cookie.value
            assert len(cookie.value) >= 16
    assert {*homes} == {str(front.home) for front in balanced.fronts}


def test_a_long_recording_passes(balanced: Balanced) -> None:
    with requests.Session() as visitor:
        assert Path(uploaded(visitor, balanced.url, b"\0" * MUCH)).stat().st_size == MUCH


def test_a_voice_of_any_front_end_speaks_at_any(balanced: Balanced) -> None:
    """A program brings no cookie: each of its requests may reach another front end."""
    at = balanced.url
    sent = requests.post(
        f"{at}/v1/files/upload",
        data={"purpose": "voice_clone"},
        files={"file": ("ada.m4a", EXAMPLE.read_bytes())},
        headers=KEY,
        timeout=60,
    )
    assert sent.json()["base_resp"]["status_code"] == 0, sent.text
    with requests.Session() as program:  # a file that is on its way is where it was sent to
        program.cookies.update(sent.cookies)
        body = {"file_id": sent.json()["file"]["file_id"], "voice_id": f"Ada{uuid4().hex[:12]}"}
        made = program.post(f"{at}/v1/voice_clone", json=body, headers=KEY, timeout=120)
    assert made.json()["base_resp"]["status_code"] == 0, made.text
    for front in balanced.fronts:
        body = {"text": "Here I am.", "voice_setting": {"voice_id": body["voice_id"]}, "output_format": "url"}  # type: ignore[dict-item]
        said = requests.post(f"{front.url}/v3/minimax-speech-02-turbo", json=body, headers=KEY, timeout=120).json()
        assert said["audio"].startswith(f"{at}/")
        for _ in range(4):  # whoever is asked for it
            fetched = requests.get(said["audio"], timeout=20)
            assert fetched.headers["content-type"] == "audio/mpeg"
            assert len(fetched.content) > 1_000
        body["voice_id"] = body["voice_setting"]["voice_id"]  # type: ignore[index]
    streamed(at, str(body["voice_id"]))
    spoken_over_a_socket(at)


def test_a_visitor_has_the_same_voices_wherever_the_page_comes_from(balanced: Balanced) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(balanced.url)
        choose_source(page, "Example")
        page.locator("#examples label").first.click()
        page.wait_for_selector("#voice-note .tb-ok")
        page.fill("#text textarea", "This is heard wherever I am.")
        choose_turbo(page)
        page.check("#consent input")
        page.click("#clone")
        page.wait_for_selector("#result:visible")
        before = front_of(page, balanced)
        for _ in range(40):
            page.context.clear_cookies(name="front")
            page.goto(balanced.url)
            if front_of(page, balanced) is not before:
                break
        else:
            raise AssertionError("the other one is never asked")
        go(page, "Voices")
        row = page.locator("#voices [data-voice]").first
        row.get_by_role("button", name="Play preview").click()
        page.wait_for_selector("#voice-player a[download]")
        row.get_by_role("button", name="Speak").click()
        page.fill("#speak-text textarea", "And so it is.")
        page.click("#speak")
        page.wait_for_selector("#take-done a[download]")
        browser.close()


def front_of(page: Page, balanced: Balanced) -> App:
    """Return the front end that a page is of: where it puts what is given to it."""
    given = {"files": {"name": "x.wav", "mimeType": "audio/wav", "buffer": b"RIFF"}}
    (path,) = page.request.post(f"{balanced.url}/gradio_api/upload", multipart=given).json()
    return next(front for front in balanced.fronts if str(path).startswith(f"{front.home}/"))


def streamed(at: str, voice_id: str) -> None:
    body = {"text": LONG, "stream": True, "voice_setting": {"voice_id": voice_id}}
    with requests.Session() as program:
        program.get(at, timeout=20)
        answer = program.post(f"{at}/v3/minimax-speech-02-turbo", json=body, headers=KEY, stream=True, timeout=120)
        events = answer.iter_lines()
        assert next(events).startswith(b"data: ")
        counted = program.get(f"{at}/metrics", headers=KEY, timeout=20).text  # of the same front end, by the cookie
        assert 'timbre_queue_running{queue="speech"} 1.0' in counted  # what came first did not wait for the last
        assert sum(line.startswith(b"data: ") for line in events) > 10


def spoken_over_a_socket(at: str) -> None:
    with connect(f"{at.replace('http', 'ws')}/ws/v1/t2a_v2", additional_headers=KEY) as socket:
        assert json.loads(socket.recv(20))["event"] == "connected_success"
