"""What is counted and timed while Timbre works, and the id that goes with a request from its edge to the engine.

Nothing in here holds text, a name or a voice: stages are told without their numbers, and errors by their codes.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
CLONES = Counter("timbre_clones", "Voices cloned, by what spoke their preview.", ["engine"], registry=REGISTRY)
CHARACTERS = Counter("timbre_characters", "Characters of text spoken.", ["engine"], registry=REGISTRY)
ERRORS = Counter("timbre_errors", "Errors that somebody was told of.", ["code"], registry=REGISTRY)
RETRIES = Counter("timbre_engine_retries", "Sentences asked of an engine once more.", registry=REGISTRY)
LEASES_LOST = Counter("timbre_leases_lost", "Tasks that another host took over.", registry=REGISTRY)
WAITING = Gauge("timbre_queue_waiting", "Jobs in line.", ["queue"], registry=REGISTRY)
RUNNING = Gauge("timbre_queue_running", "Jobs at work.", ["queue"], registry=REGISTRY)
WAITED = Histogram(
    "timbre_queue_wait_seconds", "Time in line.", ["queue"], buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60), registry=REGISTRY
)
STAGES = Histogram(
    "timbre_stage_seconds", "Time a stage took.", ["stage"], buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60), registry=REGISTRY
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HEADER = "x-request-id"

_GIVEN = re.compile(r"[A-Za-z0-9._-]{8,64}")
_NUMBER = re.compile(r"\d+")
_REQUEST: ContextVar[str] = ContextVar("request", default="")
_OWN = {"name", "msg", "args", "exc_info", "exc_text", "stack_info", "message", "request", "taskName"}
_OWN |= set(vars(logging.makeLogRecord({})))


def metrics() -> bytes:
    """Return everything that is counted, as Prometheus reads it."""
    return generate_latest(REGISTRY)


def stage(name: str) -> str:
    """Return a stage's name for counting: the same for every sentence."""
    return _NUMBER.sub("n", name)


def request_id(given: str | None = None) -> str:
    """Return the id that somebody gave, where it can be one; else that of what is being done, or a new one."""
    if given and _GIVEN.fullmatch(given):
        return given
    return _REQUEST.get() or uuid.uuid4().hex


def follow(given: str | None) -> None:
    """Do what follows in this context under an id that came with it."""
    if given:
        _REQUEST.set(request_id(given))


@contextmanager
def request(given: str | None = None) -> Iterator[str]:
    """Do something under an id."""
    token = _REQUEST.set(request_id(given))
    try:
        yield _REQUEST.get()
    finally:
        _REQUEST.reset(token)


class RequestIds(logging.Filter):
    """Gives every record of the log the id of what was being done."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let it through."""
        record.request = _REQUEST.get() or "-"
        return True


class JsonLines(logging.Formatter):
    """A record a line, with what was told beside its words."""

    def format(self, record: logging.LogRecord) -> str:
        """Return it as JSON."""
        told: dict[str, object] = {
            "at": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "request": getattr(record, "request", "-"),
            "message": record.getMessage(),
        }
        told |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)
