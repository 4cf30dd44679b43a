"""What was paid for is never lost, and never paid for twice: killed at every moment, asked for twice at once."""

from __future__ import annotations

import errno
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from clone.core.errors import BusyError, DiskFull, MaybeDone, TimbreError
from clone.engine.backend import LocalBackend
from clone.hosted.client import CLONE_PATH
from clone.studio import results
from clone.studio.facade import Studio
from tests.attacks.paying import (
    KEY,
    OWNER,
    SPEECH_PATH,
    VOICE_ID,
    Cloning,
    Keeping,
    Process,
    Service,
    Speaking,
    Work,
    held,
    paid_service,
)
from tests.faults import FAULTS, body, saying
from tests.studios import files_in, last, wait_until_empty


@pytest.fixture
def service(examples: list[Path]) -> Iterator[Service]:
    with paid_service(next(path for path in examples if path.suffix == ".mp3").read_bytes()) as running:
        yield running


def opened(service: Service, home: Path, backend: LocalBackend) -> Studio:
    """Start again on a home."""
    studio = Studio(service.settings(home), backend)
    studio.start(warm=False)
    return studio


def killed(
    service: Service, home: Path, path: str, start: bytes, after_s: float = 0.0, work: Work | None = None
) -> None:
    """Clone in a process that is killed so long after it was told ``start`` of the answer of a path."""
    ready = threading.Event()

    def answer(connection: socket.socket) -> None:
        ready.wait(60)
        connection.sendall(start)
        time.sleep(after_s)
        process.kill()

    before, service.server.answers[path] = service.server.answers[path], answer
    process = Process(service.settings(home), work or Cloning(service.order()))
    ready.set()
    assert process.end() == "killed"
    service.server.answers[path] = before


def answer_of(service: Service) -> bytes:
    return body(json.dumps({"voice_id": VOICE_ID, "demo_audio_url": service.server.url("/preview.mp3")}).encode())


def refusal(events: Iterator[Any]) -> TimbreError:
    with pytest.raises(TimbreError) as refused:
        list(events)
    return refused.value


# killed


def test_killed_before_it_is_sent_nothing_was_paid(service: Service, home: Path, backend: LocalBackend) -> None:
    killed(service, home, "/voice.mp3", b"")
    with closing(opened(service, home, backend)) as studio:
        assert studio.unsettled(OWNER) == []
        assert last(studio.clone(service.order())).voice.voice_id == VOICE_ID
    assert service.n_paid() == 1


def test_room_that_others_took_since_the_first_look_is_told_and_nothing_is_paid(
    service: Service, home: Path, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(service, home, backend)) as studio:
        monkeypatch.setattr(studio._cloning, "check_room", lambda *_: None)  # there was room then
        with monkeypatch.context() as full:
            full.setattr(results, "MAX_OWNER_BYTES", 1000)
            assert refusal(studio.clone(service.order())).code == "quota_disk"
        assert service.n_paid() == 0
        assert studio.unsettled(OWNER) == []
        assert last(studio.clone(service.order())).voice.voice_id == VOICE_ID
    assert service.n_paid() == 1


@pytest.mark.parametrize("half", [False, True])
def test_killed_while_it_is_answered_it_is_not_sent_again_before_somebody_looked(
    service: Service, home: Path, backend: LocalBackend, half: bool
) -> None:
    killed(service, home, CLONE_PATH, answer_of(service)[:-20] if half else b"", 0.05)
    with closing(opened(service, home, backend)) as studio:
        [left] = studio.unsettled(OWNER)
        assert (left.kind, left.state, left.voice_id) == ("clone", "sent", "")
        error = refusal(studio.clone(service.order(name="Another name is the same request")))
        assert (type(error), error.code) == (MaybeDone, "maybe_paid")
        assert refusal(studio.clone(service.order())).code == "maybe_paid"
        assert studio.unsettled("somebody else") == []
        for wrong in ("", "two\nlines", "x" * 201):
            with pytest.raises(TimbreError) as refused:
                studio.settle(left.entry_id, OWNER, wrong)
            assert refused.value.code == "no_voice_id"
        files = files_in(home.parent)
        for entry_id, owner in ((left.entry_id, "somebody else"), ("../../x", OWNER), ("", OWNER), ("x\0", OWNER)):
            with pytest.raises(TimbreError, match="no such request"):
                studio.dismiss(entry_id, owner)
        assert files_in(home.parent) == files
        assert service.n_paid() == 1
        if half:
            studio.dismiss(left.entry_id, OWNER)
            assert not list((home / "audio").rglob("reference*"))
            assert last(studio.clone(service.order())).voice.voice_id == VOICE_ID
        else:
            kept = studio.settle(left.entry_id, OWNER, f" {VOICE_ID} ")
            assert studio.audio(kept.voice_id, OWNER, "reference").is_file()
            again = last(studio.clone(service.order()))
            assert (again.voice.voice_id, again.replayed) == (VOICE_ID, True)
            assert "preview could not be had" in again.note
        assert service.n_paid() == 1 + half
        assert studio.unsettled(OWNER) == []


@pytest.mark.parametrize("after_s", [0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2])
def test_killed_after_the_answer_it_is_there_or_asked_about(
    service: Service, home: Path, backend: LocalBackend, after_s: float
) -> None:
    killed(service, home, CLONE_PATH, answer_of(service), after_s)
    with closing(opened(service, home, backend)) as studio:
        there = [voice.voice_id for voice in studio.voices(OWNER)] == [VOICE_ID]
        assert there or len(studio.unsettled(OWNER)) == 1
        assert there or after_s < 0.2
        if there:
            assert last(studio.clone(service.order())).replayed
        else:
            assert refusal(studio.clone(service.order())).code == "maybe_paid"
    assert service.n_paid() == 1


def test_killed_while_its_preview_comes_it_is_there_and_the_preview_comes_later(
    service: Service, home: Path, backend: LocalBackend
) -> None:
    killed(service, home, "/preview.mp3", body(bytes(5000))[:1000], 1.5)
    with closing(opened(service, home, backend)) as studio:
        assert [voice.voice_id for voice in studio.voices(OWNER)] == [VOICE_ID]
        assert studio.unsettled(OWNER) == []
        wait_until_empty(home / "audio" / "paid", 30)
        assert studio.audio(VOICE_ID, OWNER, "preview").is_file()
        assert studio.audio(VOICE_ID, OWNER, "reference").is_file()
    assert service.n_paid() == 1


def test_a_voice_that_is_forgotten_does_not_come_back_with_its_preview(
    service: Service, home: Path, backend: LocalBackend
) -> None:
    killed(service, home, "/preview.mp3", b"", 0.05)
    service.server.answers["/preview.mp3"] = FAULTS["/no-answer"]
    with closing(Studio(service.settings(home), backend)) as studio:  # not started yet
        studio.forget(VOICE_ID, OWNER)
    with closing(opened(service, home, backend)) as studio:
        wait_until_empty(home / "audio" / "voices", 10)
        assert studio.voices(OWNER) == []
        assert last(studio.clone(service.order())).voice.voice_id == VOICE_ID  # it was told to be gone: a new request
    assert service.n_paid() == 2


def test_killed_while_a_voice_is_kept_or_speaks_it_is_not_said_again(
    service: Service, home: Path, backend: LocalBackend
) -> None:
    with closing(opened(service, home, backend)) as studio:
        last(studio.clone(service.order()))
    for work in (Keeping(), Speaking("A secret text.")):
        killed(service, home, SPEECH_PATH, b"", work=work)
    assert b"A secret text." not in b"".join((home / name).read_bytes() for name in files_in(home))
    with closing(opened(service, home, backend)) as studio:
        speech, keep = studio.unsettled(OWNER)
        assert (speech.kind, keep.kind, keep.voice_id) == ("speech", "keep", VOICE_ID)
        assert refusal(studio.keeping(VOICE_ID, OWNER, KEY)).code == "maybe_paid"
        assert refusal(Speaking("A secret text.")(studio)).code == "maybe_paid"
        assert service.n_paid(SPEECH_PATH) == 2
        studio.dismiss(speech.entry_id, OWNER)
        assert not studio.voice(VOICE_ID, OWNER).permanent
        assert studio.settle(keep.entry_id, OWNER).permanent
        assert last(studio.keeping(VOICE_ID, OWNER, KEY)).permanent
        assert service.n_paid(SPEECH_PATH) == 2
        list(Speaking("A secret text.")(studio))
        assert service.n_paid(SPEECH_PATH) == 3


# twice


def test_two_processes_with_one_home_send_the_same_request_once(
    service: Service, home: Path, backend: LocalBackend
) -> None:
    answer = threading.Event()
    service.server.answers[CLONE_PATH] = held(answer, service.cloned())
    processes = [Process(service.settings(home), Cloning(service.order())) for _ in range(2)]
    service.wait_for(1)
    with closing(opened(service, home, backend)) as studio:
        assert studio.unsettled(OWNER) == []  # somebody works on it
        assert refusal(studio.clone(service.order())).code == "same_request"
        for each in (home / "paid").glob("*.lock"):
            with pytest.raises(BusyError):
                studio.dismiss(each.stem, OWNER)
    time.sleep(1.0)
    answer.set()
    assert {process.end() for process in processes} <= {VOICE_ID, "same_request"}
    assert service.n_paid() == 1


@pytest.mark.parametrize("work", [Keeping(), Speaking("Twice at once.")])
def test_kept_or_spoken_twice_at_once_is_paid_once(
    service: Service, home: Path, backend: LocalBackend, work: Work
) -> None:
    answer = threading.Event()
    service.server.answers[SPEECH_PATH] = held(answer, service.spoken())
    with closing(opened(service, home, backend)) as studio:
        last(studio.clone(service.order()))
        first = work(studio)
        next(first)
        service.wait_for(1, SPEECH_PATH)
        second = refusal(work(studio))
        assert (type(second), second.code) == (BusyError, "same_request")
        other = Process(service.settings(home), work)
        assert other.end() == "same_request"
        answer.set()
        list(first)
        assert service.n_paid(SPEECH_PATH) == 1
        list(work(studio))  # afterwards, a voice is kept already, and another take is another request
        assert service.n_paid(SPEECH_PATH) == (1 if isinstance(work, Keeping) else 2)


# what is known to have failed


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_can_be_sent_again_at_once(service: Service, home: Path, backend: LocalBackend, status: int) -> None:
    service.server.answers[CLONE_PATH] = saying(status, {"message": "no"})
    with closing(opened(service, home, backend)) as studio:
        for n in (1, 2):
            assert type(refusal(studio.clone(service.order()))) is not MaybeDone
            assert service.n_paid() == n
        assert studio.unsettled(OWNER) == []
        assert not list((home / "audio").rglob("reference*"))


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("full", ["add", "answered"])
def test_a_journal_that_can_not_be_written_costs_no_voice(
    service: Service, home: Path, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    with closing(opened(service, home, backend)) as studio:
        monkeypatch.setattr(studio._calls._journal, full, no_space)
        events = studio.clone(service.order())
        if full == "add":  # nothing is sent that is not written down
            with pytest.raises(DiskFull):
                list(events)
            assert service.n_paid() == 0
        else:
            assert last(events).voice.voice_id == VOICE_ID
            assert service.n_paid() == 1
        assert studio.unsettled(OWNER) == []


def test_what_is_answered_and_can_not_be_kept_is_kept_by_the_next_try(
    service: Service, home: Path, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(service, home, backend)) as studio:
        with monkeypatch.context() as full:
            full.setattr(studio._library, "add", no_space)
            error = refusal(studio.clone(service.order()))
        assert (error.code, VOICE_ID in error.message) == ("not_kept", True)
        assert last(studio.clone(service.order())).voice.voice_id == VOICE_ID
    assert service.n_paid() == 1
