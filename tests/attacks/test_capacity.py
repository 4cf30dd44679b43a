"""What one visitor sends, keeps open or leaves behind has an end, and the others are served meanwhile."""

from __future__ import annotations

import json
import select
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from clone.ui.bodies import UPLOAD_MAX_BYTES
from clone.ui.files import BROKEN_OFF_S, KEPT_FOR_S, UPLOAD_MAX_FILES, UPLOADS_BYTES, NoRoom, Room, VisitFiles, sweep
from tests.attacks.sockets import WITHIN_S, connected, head, memory_kb, page_folder, ready, status
from tests.running import App

JOIN = "/gradio_api/queue/join"
MORE_KB = 30_000


# bodies


@pytest.mark.parametrize("path", [JOIN, "/gradio_api/call/clone", "/gradio_api/mcp/", "/gradio_api/cancel"])
def test_a_long_body_is_refused_before_any_of_it_is_sent(public: App, path: str) -> None:
    with connected(public.port, head(path, "Content-Type: application/json", "Content-Length: 200000000")) as asked:
        assert status(asked) == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "٣", "9" * 400])
def test_a_length_that_is_none_is_refused(public: App, length: str) -> None:
    with connected(public.port, head(JOIN, f"Content-Length: {length}")) as asked:
        assert status(asked) in (400, 413)


def sent_in_chunks(app: App, path: str, begin: bytes, at_most: int, *headers: str) -> tuple[int, int]:
    """Send a body without a length for as long as it is taken; return the bytes of it, and the status told."""
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    with connected(app.port, head(path, "Transfer-Encoding: chunked", *headers)) as asked:
        n_sent = 0
        try:
            asked.sendall(b"%x\r\n%b\r\n" % (len(begin), begin))
            while n_sent < at_most:
                asked.sendall(chunk)
                n_sent += 0x100000
                if select.select([asked], [], [], 0)[0]:
                    return n_sent, status(asked)
        except OSError:
            pass
        return n_sent, 0


@pytest.mark.parametrize("path", [JOIN, "/gradio_api/mcp/", "/v3/minimax-voice-cloning", "/v3/minimax-speech-02-turbo"])
@pytest.mark.parametrize("keyed", [False, True], ids=["anonymous", "keyed"])
def test_a_body_without_a_length_is_read_to_the_limit_and_no_further(public: App, path: str, keyed: bool) -> None:
    ready(public)
    key = (public.home / "api_key").read_text().strip()
    headers = ["Content-Type: application/json", *([f"Authorization: Bearer {key}"] if keyed else [])]
    before_kb = memory_kb(public)
    n_sent, told = sent_in_chunks(public, path, b"[", 200_000_000, *headers)
    assert n_sent < 30_000_000  # what the kernel holds on the way
    assert told in (0, 400, 401, 413)
    assert memory_kb(public) - before_kb < MORE_KB


def test_an_upload_without_a_length_ends_at_its_limit_and_leaves_nothing(public: App) -> None:
    ready(public)
    time.sleep(2.1)  # the room is measured again by then
    before_kb, held = memory_kb(public), set(page_folder(public).rglob("*"))
    begin = b'--b\r\nContent-Disposition: form-data; name="files"; filename="big.wav"\r\n\r\n'
    kind = "Content-Type: multipart/form-data; boundary=b"
    n_sent, told = sent_in_chunks(public, "/gradio_api/upload", begin, 2 * UPLOAD_MAX_BYTES, kind)
    assert n_sent < UPLOAD_MAX_BYTES + 30_000_000
    assert told in (0, 413)
    assert memory_kb(public) - before_kb < MORE_KB
    end = time.monotonic() + WITHIN_S
    while set(page_folder(public).rglob("*")) - held:
        assert time.monotonic() < end
        time.sleep(0.1)


def bomb(kind: str) -> bytes:
    fill = {
        "lists": b"[],",
        "objects": b"{},",
        "numbers": b"1,",
        "texts": b'"a",',
        "deep": b"[" * 90_000 + b"]" * 90_000 + b",",
    }[kind]
    return b'{"data": [' + fill * (3_000_000 // len(fill)) + b'1], "fn_index": 2, "session_hash": "bomb"}'


@pytest.mark.parametrize("kind", ["lists", "objects", "numbers", "texts", "deep"])
def test_a_body_that_would_unfold_is_refused(public: App, kind: str) -> None:
    ready(public)
    before_kb = memory_kb(public)
    for _ in range(3):
        asked = requests.post(public.url + JOIN, data=bomb(kind), timeout=WITHIN_S)
        assert asked.status_code in (400, 413)
    assert memory_kb(public) - before_kb < 60_000


@pytest.mark.parametrize("body", [b"[" * 5_000, b"[" * 5_000 + b"]" * 5_000, b"", b"{", b'"\\ud800', b"\xff\xfe"])
def test_what_is_no_json_is_refused_in_words(public: App, body: bytes) -> None:
    asked = requests.post(public.url + JOIN, data=body, timeout=WITHIN_S)
    assert asked.status_code in (400, 422)
    assert "Traceback" not in asked.text


@pytest.mark.parametrize(
    "visit", ["x" * 65, "x" * 1_000_000, ["x"] * 100, {"x": 1}, 7], ids=["long", "huge", "list", "object", "number"]
)
def test_a_visit_is_not_named_by_a_text_of_any_length(public: App, visit: Any) -> None:
    body = json.dumps({"data": [], "fn_index": 2, "session_hash": "x"})[:-1]
    twice = f'{body}, "session_hash": {json.dumps(visit)}}}'  # the last one counts, here as behind the gate
    for path in (JOIN, "/gradio_api/call/check"):
        assert requests.post(public.url + path, data=twice, timeout=WITHIN_S).status_code == 413
    assert requests.get(f"{public.url}/gradio_api/heartbeat/{'x' * 65}", timeout=WITHIN_S).status_code == 404
    assert requests.get(f"{public.url}/gradio_api/queue/data?session_hash={'x' * 3000}", timeout=10).status_code == 413


# uploads


def part(name: str, file: str | None, content: bytes) -> bytes:
    named = f'; filename="{file}"' if file else ""
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + content + b"\r\n"


def uploaded(app: App, body: bytes, query: str = "") -> requests.Response:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    return requests.post(
        f"{app.url}/gradio_api/upload{query}", data=body + b"--b--\r\n", headers=headers, timeout=WITHIN_S
    )


def test_nothing_but_files_is_uploaded_and_few_of_them(public: App) -> None:
    ready(public)
    before_kb = memory_kb(public)
    for query in ("", "?upload_id=x"):
        assert uploaded(public, part("files", None, b"x" * 60_000_000), query).status_code in (400, 500)
    assert memory_kb(public) - before_kb < 60_000
    many = b"".join(part("files", f"{n}.wav", b"x") for n in range(UPLOAD_MAX_FILES + 1))
    assert uploaded(public, many).status_code == 400
    assert len(uploaded(public, part("files", "one.wav", b"x")).json()) == 1


def test_a_full_disk_is_told_and_ends(public: App) -> None:
    left = page_folder(public) / "left" / "behind.wav"
    left.parent.mkdir(parents=True)
    with left.open("wb") as file:
        file.truncate(UPLOADS_BYTES)
    time.sleep(2.1)
    told = uploaded(public, part("files", "one.wav", b"x"))
    assert told.status_code == 507
    assert "no room left" in told.text
    assert int(told.headers["retry-after"]) > 0
    assert requests.get(public.url, timeout=WITHIN_S).status_code == 200
    left.unlink()
    time.sleep(2.1)
    assert uploaded(public, part("files", "one.wav", b"x")).status_code == 200


def test_there_is_a_cap_for_all_visits_together(home: Path) -> None:
    folder = home / "page"
    files = VisitFiles(folder)
    files._room = Room(folder, 10_000_000)
    for n in range(160):  # of a byte each: the smallest counts as 64 kB
        files.new(f"visit-{n}", "take.wav").write_bytes(b"x")
    files._room._measured_s = float("-inf")  # the last look at the disk is a while ago
    with pytest.raises(NoRoom, match="no room left"):
        files.new("another", "take.wav")


def test_what_a_broken_visit_left_is_swept_by_its_age(home: Path) -> None:
    folder = home / "page"
    files = VisitFiles(folder)
    card, broken = files.new("visit", "card.html"), folder / "tmpbroken"
    for path in (card, broken):
        path.write_bytes(b"x")
    about_to_be_written = files.new("visit", "take.wav").parent
    now_s = time.time()
    sweep(folder, now_s + BROKEN_OFF_S - 60)
    assert broken.is_file()
    sweep(folder, now_s + BROKEN_OFF_S + 60)
    assert not broken.exists()
    assert card.is_file()
    sweep(folder, now_s + KEPT_FOR_S - 60)
    assert card.is_file()
    assert about_to_be_written.is_dir()
    sweep(folder, now_s + KEPT_FOR_S + 60)
    sweep(folder, time.time() + KEPT_FOR_S + 60)
    assert list(folder.iterdir()) == []
