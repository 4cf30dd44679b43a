"""A full disk, odd folders, two at once, a kill, a hostile mirror: a model comes whole all the same, or not at all."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clone.core import fetching
from clone.core.errors import CancelledError, DiskFull
from clone.core.jobs import Stop
from clone.engine import models as engine_models
from tests.faults import gzip_bomb
from tests.getting import assert_nothing_half, assert_whole, get, of, part_of_main, refusal
from tests.mirror import CONTENT, MAIN, N_BYTES, NAME, Mirror, for_ever, mirroring, put

ROOT = Path(__file__).parent.parent
N_MAIN = len(CONTENT["main.onnx"])
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with mirroring() as running:
        yield running


# The disk


def test_room_is_looked_for_before_anything_is_fetched(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 5000, 5000))  # type: ignore[attr-defined]
    error = refusal(of(mirror, tmp_path), tmp_path)
    assert (error.code, error.measured, error.limit) == ("disk_full", 5000, N_BYTES)
    assert mirror.asked == []


def test_a_disk_that_fills_up_keeps_nothing_of_the_file(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fetching._Visit._write

    def full(*given: Any) -> None:
        real(*given)
        raise OSError(errno.ENOSPC, "No space left on device", "/secret/path")

    monkeypatch.setattr(fetching._Visit, "_write", full)
    with pytest.raises(DiskFull):
        get(of(mirror, tmp_path))
    assert {path.name for path in (tmp_path / "models" / NAME).iterdir()} == {".lock"}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk on which half of the model has room."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)], capture_output=True, check=False
    ).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("source", ["", "stick"])
def test_a_disk_that_is_really_full(
    mirror: Mirror, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    models = of(mirror, small, source=str(put(tmp_path / source)) if source else "")
    assert refusal(models, small).code == "disk_full"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, 10**9))  # type: ignore[attr-defined]
    with pytest.raises(DiskFull):  # others fill it meanwhile
        get(models)
    assert {path.name for path in (small / "models" / NAME).iterdir()} == {".lock"}
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    assert refusal(models, small).code == "unwritable"


def test_a_folder_that_may_not_be_written_is_told(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/secret/path")

    monkeypatch.setattr(engine_models, "make_private_folder", denied)
    error = refusal(of(mirror, tmp_path), tmp_path)
    assert (error.code, mirror.asked) == ("unwritable", [])
    monkeypatch.undo()
    monkeypatch.setattr(os, "open", denied)
    assert refusal(of(mirror, tmp_path), tmp_path).code == "unwritable"


def test_a_planted_link_is_not_written_through_nor_a_pipe_waited_for(mirror: Mirror, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    part = part_of_main(tmp_path)
    part.parent.mkdir(parents=True)
    part.symlink_to(victim)
    assert refusal(of(mirror, tmp_path), tmp_path).code == "unwritable"
    assert victim.read_text() == "precious"
    part.unlink()
    os.mkfifo(part)
    assert refusal(of(mirror, tmp_path), tmp_path).code == "unwritable"
    part.unlink()
    (part.parent / f"{part.name}.etag").symlink_to(victim)
    get(of(mirror, tmp_path))
    assert victim.read_text() == "precious"


# A folder as the source


def test_a_folder_without_a_file_or_with_half_of_it_is_told(tmp_path: Path) -> None:
    source = put(tmp_path / "stick")
    models = of(None, tmp_path, source=str(source))
    (source / NAME / "main.onnx").write_bytes(b"half")
    error = refusal(models, tmp_path)
    assert (error.code, error.measured, error.limit) == ("weights_damaged", 4, N_MAIN)
    (source / NAME / "main.onnx").write_bytes(bytes(N_MAIN))
    assert "sha256" in refusal(models, tmp_path).message
    (source / NAME / "main.onnx").unlink()
    assert "TIMBRE_MODELS_DIR has no pocket/main.onnx" in refusal(models, tmp_path).message
    assert refusal(of(None, tmp_path, source=str(tmp_path / "nowhere")), tmp_path).code == "weights_missing"


def test_links_and_odd_things_in_a_folder_bring_nothing_else_and_no_wait(tmp_path: Path) -> None:
    source = put(tmp_path / "stick")
    main = source / NAME / "main.onnx"
    main.rename(tmp_path / "blob")
    main.symlink_to(tmp_path / "blob")  # as the hub's own cache has it
    get(of(None, tmp_path / "linked", source=str(source)))
    assert_whole(of(None, tmp_path / "linked"), tmp_path / "linked")
    for number, to in enumerate(["/dev/zero", "/etc/passwd", "../../../../../etc/passwd", "main.onnx", "."]):
        main.unlink()
        main.symlink_to(to)
        folder = tmp_path / str(number)
        assert refusal(of(None, folder, source=str(source)), folder).code in ("weights_damaged", "weights_missing")
    main.unlink()
    os.mkfifo(main)
    assert refusal(of(None, tmp_path / "pipe", source=str(source)), tmp_path / "pipe").code == "weights_damaged"


def test_its_own_folder_as_the_source_harms_nothing(mirror: Mirror, tmp_path: Path) -> None:
    get(of(mirror, tmp_path))
    models = of(None, tmp_path, source=str(tmp_path / "models"))
    get(models)
    assert_whole(models, tmp_path)
    models.path(NAME, "main.onnx").write_bytes(b"damaged")
    refusal(models, tmp_path)


def test_a_stop_is_obeyed_while_copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_models, "_CHUNK_BYTES", 10_000)
    stop = Stop()
    models = of(None, tmp_path, source=str(put(tmp_path / "stick")))
    with pytest.raises(CancelledError):
        models.get(NAME, stop, lambda done, _: stop.ask() if done > 50_000 else None)
    assert_nothing_half(tmp_path)
    get(models)
    assert_whole(models, tmp_path)


# Two at once, and a kill


def test_two_threads_get_it_once(mirror: Mirror, tmp_path: Path) -> None:
    mirror.pause_s = 0.01
    errors: list[BaseException] = []

    def work() -> None:
        try:
            get(of(mirror, tmp_path))
        except BaseException as error:  # noqa: BLE001  told below
            errors.append(error)

    both = [threading.Thread(target=work) for _ in range(3)]
    for each in both:
        each.start()
    for each in both:
        each.join(30)
    assert errors == []
    assert sum(mirror.sent.values()) == N_BYTES
    assert_whole(of(mirror, tmp_path), tmp_path)


def test_one_that_waits_for_another_can_be_stopped(mirror: Mirror, tmp_path: Path) -> None:
    mirror.pause_s = 0.05
    first, second = Stop(), Stop()
    begun = threading.Event()

    def work() -> None:
        with pytest.raises(CancelledError):
            of(mirror, tmp_path).get(NAME, first, lambda *_: begun.set())

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(10)
    with pytest.raises(CancelledError):
        of(mirror, tmp_path).get(NAME, second, lambda *_: second.ask())
    assert thread.is_alive()
    first.ask()
    thread.join(10)


PROGRAM = """
import sys
from pathlib import Path
from clone.core.jobs import Stop
from clone.engine.models import Models
from tests.mirror import NAME, stand_in
models = Models(Path(sys.argv[2]) / "models", (stand_in(sys.argv[1]),), allow_private=True)
models.get(NAME, Stop(), lambda done, total: print(done, flush=True))
"""


def begin(mirror: Mirror, folder: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", PROGRAM, mirror.url, str(folder)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE)


def test_two_processes_get_it_once(mirror: Mirror, tmp_path: Path) -> None:
    mirror.pause_s = 0.02
    both = [begin(mirror, tmp_path) for _ in range(2)]
    told = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all(each.split()[-1] == str(N_BYTES).encode() for each in told)
    assert sum(mirror.sent.values()) == N_BYTES
    assert_whole(of(mirror, tmp_path), tmp_path)


def test_a_kill_leaves_a_part_that_is_gone_on_with(mirror: Mirror, tmp_path: Path) -> None:
    mirror.pause_s = 0.02
    process = begin(mirror, tmp_path)
    assert process.stdout is not None
    while int(process.stdout.readline()) < 150_000:
        pass
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    assert_nothing_half(tmp_path)
    n_here = part_of_main(tmp_path).stat().st_size
    assert n_here >= 100_000
    mirror.pause_s = 0.0
    time.sleep(0.2)  # the server notices
    mirror.sent.clear()
    get(of(mirror, tmp_path))
    assert mirror.sent[MAIN] == N_MAIN - n_here
    assert_whole(of(mirror, tmp_path), tmp_path)


# What a hostile mirror does


@pytest.mark.parametrize(
    "start", [OK + b"\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n", OK + b"Content-Length: 99999999999\r\n\r\n"]
)
def test_endless_bytes_end_at_the_length_that_is_known(mirror: Mirror, tmp_path: Path, start: bytes) -> None:
    block = bytes(10_000)
    part = b"%x\r\n%s\r\n" % (len(block), block) if b"chunked" in start else block
    mirror.instead[MAIN] = for_ever(start, part)
    error = refusal(of(mirror, tmp_path), tmp_path)
    assert (error.code, error.limit) == ("url_too_big", N_MAIN)
    assert not part_of_main(tmp_path).exists()


def test_a_gzip_bomb_is_not_unpacked(mirror: Mirror, tmp_path: Path) -> None:
    bomb = gzip_bomb(60_000_000)
    mirror.instead[MAIN] = lambda it: it.answer(200, bomb, {"Content-Encoding": "gzip"})
    assert refusal(of(mirror, tmp_path), tmp_path).code == "url_too_big"
    assert not part_of_main(tmp_path).exists()


def test_a_file_that_comes_compressed_though_plain_was_asked_for_comes_all_the_same(
    mirror: Mirror, tmp_path: Path
) -> None:
    packed = gzip.compress(CONTENT["vocab.json"])
    mirror.instead[f"/{NAME}/vocab.json"] = lambda it: it.answer(200, packed, {"Content-Encoding": "gzip"})
    get(of(mirror, tmp_path))
    assert_whole(of(mirror, tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("file:///etc/passwd", "url_scheme"),
        ("http://169.254.169.254/latest/meta-data", "url_private"),
        ("http://me:secret@example.com/", "url_credentials"),
        ("http://127.0.0.1:22/", "url_port"),
        (MAIN, "url_redirects"),
    ],
)
def test_a_mirror_leads_nowhere_else(mirror: Mirror, tmp_path: Path, to: str, code: str) -> None:
    mirror.instead[MAIN] = lambda it: it.answer(302, b"", {"Location": to})
    error = refusal(of(mirror, tmp_path), tmp_path)
    assert error.code == code
    assert "secret" not in str(error)


def test_this_machine_is_no_mirror_unless_that_is_set(mirror: Mirror, tmp_path: Path) -> None:
    error = refusal(of(mirror, tmp_path, allow_private=False), tmp_path)
    assert error.code == "url_private"
    assert "TIMBRE_ALLOW_PRIVATE_URLS" in error.advice
    assert mirror.asked == []
