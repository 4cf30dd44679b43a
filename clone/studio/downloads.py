"""Recordings given by a link, downloaded beside everybody's work: a few for each who asks, and not many in all.

A server that drips keeps a thread here for as long as fetch.py lets it, and nobody else's turn.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import cast

from clone.audio.reader import MAX_INTAKE_BYTES
from clone.core.fetching import fetch
from clone.core.jobs import Queue, Stage, Stop, Tell, Waiting, steps

MAX_DOWNLOADS = 16
"""Under way at once; of one owner, and of those that wait, as many as of jobs."""

Sources = Mapping[str, Path | str]
"""Recordings by the fields they were given in: files, and links as str."""
Copy = Callable[[str, Path, str], Path | None]
"""Copies what a link of this app's own leads to, without asking itself: (link, folder, field); None for others."""


class Downloads:
    """Gets what links lead to; thread-safe.

    Args:
        own: copies what this app lent out.
        allow_private: as fetch()'s.
    """

    def __init__(self, own: Copy, allow_private: bool) -> None:
        self._own = own
        self._allow_private = allow_private
        self._queue = Queue(name="downloads", n_workers=MAX_DOWNLOADS)

    def close(self) -> None:
        """End what is under way, and take no more."""
        self._queue.close()

    def run(self, owner: str, given: Sources, folder: Path) -> Generator[Stage | Waiting, None, dict[str, Path]]:
        """Download what was given by links.

        Args:
            owner: who asks.
            given: the recordings.
            folder: for what is downloaded; the caller removes it.

        Yields:
            What is going on, as Queue.run() does; closing the iterator ends the download.

        Returns:
            The files by their fields, those that were given as files too.

        Raises:
            FetchError: what refuses or fails.
            BusyError: too much is being downloaded, by this owner or in all.
        """
        files = {field: audio for field, audio in given.items() if isinstance(audio, Path)}
        links = {field: audio for field, audio in given.items() if isinstance(audio, str)}

        def work(tell: Tell, stop: Stop) -> None:
            step = steps(tell, len(links))
            for field, link in links.items():
                step("Downloading the recording" if field == "audio" else "Downloading the prompt clip")
                files[field] = self._own(link, folder, field) or fetch(
                    link,
                    folder,
                    allow_private=self._allow_private,
                    max_bytes=MAX_INTAKE_BYTES,
                    field=field,
                    stop=stop,
                )

        if links:
            with closing(cast(Generator[object, None, None], self._queue.run(owner, work))) as under_way:
                for news in under_way:
                    if news is not None:
                        yield cast(Stage | Waiting, news)
        return files

    def path(self, owner: str, audio: Path | str, folder: Path, stop: Stop | None = None) -> Path:
        """Return the file of a recording, downloaded by then if it was given by a link.

        Raises:
            As run(); CancelledError: ``stop`` was asked.
        """
        with closing(self.run(owner, {"audio": audio}, folder)) as news:
            while True:
                try:
                    next(news)
                except StopIteration as end:
                    return cast(dict[str, Path], end.value)["audio"]
                if stop:
                    stop.check()
