"""What is counted while Timbre works, and the id that goes with a request: never a text, a name or a voice."""

from __future__ import annotations

import json
import logging
import re
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clone.core import watch
from clone.core.errors import AudioError
from clone.core.jobs import Queue, Stage, Stop, Tell


def counted(name: str, **labels: str) -> float:
    return watch.REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize("given", ["0123abcd", "4bf92f35-77b3.a_b", "x" * 64])
def test_an_id_that_a_proxy_gave_is_taken(given: str) -> None:
    assert watch.request_id(given) == given


@pytest.mark.parametrize(
    "given", [None, "", "short", "x" * 65, "a line\nand another", "12345678\r\nX: y", "ünïcödë-id"]
)
def test_any_other_is_made_here(given: str | None) -> None:
    made = watch.request_id(given)
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert made != watch.request_id(given)


def test_a_job_is_counted_timed_and_goes_by_the_id_of_who_asked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "clone.core.jobs")
    seen: list[str] = []

    def work(tell: Tell, stop: Stop) -> str:
        for number in range(3):
            tell(Stage(f"Speaking sentence {number + 1} of 3 for a test", number, 3))
        seen.extend((watch.request_id(), str(counted("timbre_queue_running", queue="tested"))))
        return "a text of somebody's"

    def failing(tell: Tell, stop: Stop) -> None:
        raise AudioError("Somebody's recording is silent.", code="silent")

    queue, stage = Queue(name="tested"), "Speaking sentence n of n for a test"
    with watch.request("asked-by-somebody"):
        assert [*queue.run("Ada", work)][-1] == "a text of somebody's"
    assert seen == ["asked-by-somebody", "1.0"]
    with pytest.raises(AudioError):
        list(queue.run("Ada", failing))
    queue.close()
    assert counted("timbre_stage_seconds_count", stage=stage) == 3
    assert counted("timbre_queue_wait_seconds_count", queue="tested") == 2
    assert counted("timbre_queue_running", queue="tested") == counted("timbre_queue_waiting", queue="tested") == 0
    ends = [(record.end, record.queue) for record in caplog.records]  # type: ignore[attr-defined]
    assert ends == [("done", "tested"), ("silent", "tested")]
    assert not re.search("somebody|Ada", caplog.text)


def test_who_leaves_the_line_or_finds_it_closed_is_not_counted_any_more() -> None:
    begun, go = threading.Event(), threading.Event()

    def holding(tell: Tell, stop: Stop) -> None:
        begun.set()
        go.wait(10)

    queue = Queue(name="left")
    first = threading.Thread(target=lambda: list(queue.run("a", holding)))
    first.start()
    begun.wait(10)
    left = queue.run("b", holding)
    next(left)
    assert counted("timbre_queue_waiting", queue="left") == 1
    left.close()  # type: ignore[attr-defined]
    assert counted("timbre_queue_waiting", queue="left") == 0
    next(queue.run("c", holding))
    go.set()
    queue.close()
    first.join(10)
    assert counted("timbre_queue_waiting", queue="left") == counted("timbre_queue_running", queue="left") == 0


def test_everything_is_told_as_prometheus_reads_it() -> None:
    families = {family.name: family for family in text_string_to_metric_families(watch.metrics().decode())}
    assert {"timbre_clones", "timbre_characters", "timbre_errors", "timbre_stage_seconds"} <= families.keys()
    assert families["process_resident_memory_bytes"].samples[0].value > 1_000_000


def test_the_log_is_a_line_of_json_a_record() -> None:
    record = logging.makeLogRecord({"name": "clone.x", "levelname": "INFO", "msg": "A %s\nended", "args": ("job",)})
    record.queue = "speech"
    with watch.request("asked-by-somebody"):
        watch.RequestIds().filter(record)
    line = watch.JsonLines().format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert told.pop("at")
    expected = {"level": "INFO", "logger": "clone.x", "request": "asked-by-somebody", "message": "A job\nended"}
    assert told == expected | {"queue": "speech"}
