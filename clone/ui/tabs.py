"""What a browser's tab finds again when its page is loaded anew: its recording, and the clone under way."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from clone.core.jobs import Stop
from clone.ui.fields import Updates
from clone.ui.form import Given
from clone.ui.visitors import is_token

LEFT_S = 60.0
"""How long files are kept and a clone goes on while no page of their tab is there."""
_LOOK_S = 0.5
"""How often a page that follows a run gets a word, and so the chance to leave."""
_TABS_LIMIT = 500
"""Tabs whose recording and report are kept, at about 60 kB each."""
_PAGES_LIMIT = 10_000
_LINK_MAX_CHARS = 4_000


class Run:
    """What a handler does, in a thread of its own, so that it outlives the page that began it.

    Args:
        owner: whose it is; nobody else joins it.
        stop: what ends it.

    Attributes:
        outcome: what came of it; None where that is nothing.
    """

    def __init__(self, owner: str, stop: Stop) -> None:
        self.owner = owner
        self.stop = stop
        self.outcome: Any = None
        self.over = self.seen = False
        self._changed = threading.Condition()
        self._shown: Updates = {}
        self._last: Updates = {}
        self._n_updates = self._n_pages = 0
        self._followed_s = time.monotonic()

    def begin(self, updates: Iterator[Updates]) -> None:
        """Start working; ``updates`` is what the page is to show as the work goes on, and handles its own errors."""
        threading.Thread(target=self._work, args=(updates,), name="timbre-run", daemon=True).start()

    @property
    def abandoned(self) -> bool:
        """Whether no page has followed it for too long."""
        return time.monotonic() - self._followed_s > LEFT_S

    @property
    def is_past(self) -> bool:
        """Whether nothing came of it, and a page has said so."""
        return self.seen and self.outcome is None

    def follow(self) -> Generator[Updates, None, None]:
        """Yield all that is shown so far, then what changes, to the end, or until another page follows."""
        with self._changed:
            self._n_pages += 1
            page, seen, n_seen = self._n_pages, Updates(), 0
            self._changed.notify_all()
        while True:
            with self._changed:
                if self._n_updates == n_seen and not self.over and page == self._n_pages:
                    self._changed.wait(_LOOK_S)
                if page < self._n_pages:
                    return
                self._followed_s = time.monotonic()
                shown, last, n_seen, over = dict(self._shown), self._last, self._n_updates, self.over
            changed = {slot: value for slot, value in shown.items() if slot not in seen or seen[slot] is not value}
            if changed or last:
                yield changed or last
            if over:
                self.seen, self._shown, self._last = True, {}, {}  # what came of it is in ``outcome``
                return
            seen = shown

    def _work(self, updates: Iterator[Updates]) -> None:
        try:
            for each in updates:
                with self._changed:
                    self._shown |= each
                    self._last = each
                    self._n_updates += 1
                    self._changed.notify_all()
                if self.abandoned:
                    self.stop.ask()
        finally:
            with self._changed:
                self.over = True
                self._changed.notify_all()


@dataclass
class Tab:
    """What one tab has."""

    name: str
    page: str = ""
    """The session of the page that it shows; the last one to arrive."""
    left_s: float | None = None
    given: Given | None = None
    prompt: tuple[str | None, str] = (None, "")
    checked: tuple[Given, Updates] | None = None
    """A recording, and all that was found out about it."""
    part: tuple[bool, float | None, float | None] | None = None
    run: Run | None = None
    spoken: str = ""
    """The document that is spoken in it."""

    def keep(self, given: Given) -> None:
        """Keep which recording was given."""
        if len(given.link or "") <= _LINK_MAX_CHARS:
            self.given = given


class Tabs:
    """Every tab, by a secret that its browser keeps for it alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: OrderedDict[str, str] = OrderedDict()
        self._tabs: OrderedDict[str, Tab] = OrderedDict()

    def arrive(self, page: str | None, secret: object) -> Tab | None:
        """Return the tab that a page was loaded in; None where it has none, or has arrived before.

        What a session belongs to is settled once: who learns of another's can't take it over.
        """
        if not page or not is_token(secret):
            return None
        # Longer than any session's hash may be, so that none is taken for it.
        name = "tab " + hashlib.sha256(str(secret).encode()).hexdigest()
        with self._lock:
            if self._bound(page, name) != name:
                return None
            tab = self._tab(name)
            known, tab.page, tab.left_s = tab.page == page, page, None
        return None if known else tab

    def name(self, page: str | None) -> str | None:
        """Return under which name things of a page are kept: its tab's, or its session's where it has no tab."""
        tab = self.of(page)
        return tab.name if tab else page

    def of(self, page: str | None) -> Tab | None:
        """Return the tab of a page; None where it has none."""
        if not page:
            return None
        with self._lock:
            name = self._bound(page, page)
            if name == page:
                return None
            tab = self._tab(name)
            tab.page = tab.page or page
            if tab.page == page:
                tab.left_s = None
            return tab

    def leave(self, page: str | None) -> Tab | None:
        """Note that a page is gone; return its tab, unless that shows another page by now or was left before."""
        with self._lock:
            tab = self._tabs.get(self._names.get(page or "", ""))
            if tab is None or tab.page != page or tab.left_s is not None:
                return None
            tab.left_s = time.monotonic()
        return tab

    def has_left(self, page: str | None) -> bool:
        """Tell whether a page is gone whose tab may come back."""
        with self._lock:
            tab = self._tabs.get(self._names.get(page or "", ""))
            return tab is not None and (tab.page != page or tab.left_s is not None)

    def is_left(self, tab: Tab) -> bool:
        """Tell whether no page of a tab is there, and it was not ended yet."""
        return tab.left_s is not None and self._tabs.get(tab.name) is tab

    def end(self, tab: Tab) -> bool:
        """Forget a tab that was left for good; False while its page may come back, or still follows its run."""
        with self._lock:
            if not self.is_left(tab) or time.monotonic() - (tab.left_s or 0.0) < LEFT_S:
                return False
            if tab.run is not None and not (tab.run.over or tab.run.abandoned):
                return False
            del self._tabs[tab.name]
            self._names.pop(tab.page, None)
        return True

    def _bound(self, page: str, name: str) -> str:
        name = self._names.setdefault(page, name)
        if len(self._names) > _PAGES_LIMIT:
            self._names.popitem(last=False)
        return name

    def _tab(self, name: str) -> Tab:
        if name not in self._tabs and len(self._tabs) >= _TABS_LIMIT:
            empty = (each for each, tab in self._tabs.items() if tab.given is None and tab.run is None)
            del self._tabs[next(empty, next(iter(self._tabs)))]
        tab = self._tabs.setdefault(name, Tab(name))
        self._tabs.move_to_end(name)
        return tab
