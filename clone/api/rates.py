"""How often one key may ask: so many calls in any minute."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from clone.core.errors import BusyError

CALLS_PER_MINUTE = 60
"""For cloning, and as many for speech. Source: the hosted service's own limit."""
_WINDOW_S = 60.0


class RateLimit:
    """Counts calls of each owner over a sliding minute.

    Args:
        n_calls: how many are let through in any minute.
        now: the clock, in seconds.
    """

    def __init__(self, n_calls: int = CALLS_PER_MINUTE, now: Callable[[], float] = time.monotonic) -> None:
        self._n_calls = n_calls
        self._now = now
        self._lock = threading.Lock()
        self._calls: dict[str, deque[float]] = {}

    def take(self, owner: str) -> None:
        """Count a call.

        Raises:
            BusyError: ``rate_limit``; it is not counted, and ``retry_after_s`` says when the next one will be.
        """
        now = self._now()
        with self._lock:
            calls = self._calls.setdefault(owner, deque())
            while calls and calls[0] <= now - _WINDOW_S:
                calls.popleft()
            if len(calls) < self._n_calls:
                calls.append(now)
                return
            wait_s = max(1, math.ceil(calls[0] + _WINDOW_S - now))
        raise BusyError(
            f"This key has made {self._n_calls} calls in the last minute; at most {self._n_calls} are taken.",
            code="rate_limit",
            measured=self._n_calls,
            limit=self._n_calls,
            advice=f"Try again in {wait_s} s.",
            retry_after_s=wait_s,
        )


@dataclass(frozen=True)
class Limits:
    """How often a key may have each kind of work done: one for all ways in, so that it is counted together."""

    check: RateLimit = field(default_factory=RateLimit)
    clone: RateLimit = field(default_factory=RateLimit)
    speak: RateLimit = field(default_factory=RateLimit)
