"""What of Gradio is changed while it runs, and why: only what no option reaches.

Made for Gradio 6.31.0. A test fails for each that Gradio no longer needs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def write_no_stubs() -> None:
    """Load Gradio, which else parses and writes stubs for editors, beside its components, whenever it is loaded.

    That takes a third of the time that loading it takes, and two that start at once write the same files.
    """
    file_of = inspect.getfile

    def file_of_others(of: Any) -> str:
        if isinstance(of, type) and of.__module__.startswith("gradio."):
            raise OSError
        return file_of(of)

    inspect.getfile = file_of_others  # type: ignore[assignment]
    try:
        import_module("gradio")
    finally:
        inspect.getfile = file_of


write_no_stubs()

import gradio as gr
import uvicorn
from gradio import http_server, processing_utils, route_utils, routes, state_holder, utils
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from clone.core.errors import disk_full
from clone.ui import strings
from clone.ui.files import UPLOAD_MAX_FILES

QUEUE_LOOK_S = 0.05
"""How often the queue is looked into; at Gradio's 1 ms that takes 7 % of a core all day, and the engine's turns."""

_Parser = route_utils.GradioMultiPartParser
_State = state_holder.SessionState
_difference: Callable[[Any, Any], list[list[Any]]] = utils.diff


def apply() -> None:
    """Apply all that does not need a running server."""
    refuse_downloads()
    bound_uploads()
    forget_inputs()
    keep_sessions_small()
    send_updates_whole()


def refuse_downloads() -> None:
    """Keep Gradio from fetching what somebody names as the path of an upload; links are for core.fetching alone.

    Gradio would do so for any input of any event, before a handler is asked, and without a limit of bytes.
    """

    async def refuse(*_: object, **__: object) -> str:
        raise gr.Error("A link is not an uploaded file.", print_exception=False)

    processing_utils.async_ssrf_protected_download = refuse
    processing_utils.async_ssrf_protected_get = refuse  # type: ignore[assignment]


class BoundedParser(_Parser):
    """Takes a few files and no fields, which would be held in memory.

    What was written of an upload that fails or breaks off is removed, and a full disk is said to be full.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options | {"max_files": UPLOAD_MAX_FILES, "max_fields": 0})

    async def parse(self) -> FormData:
        """Return the form; see above."""
        try:
            return await super().parse()
        except BaseException as error:
            for file in self._files_to_close_on_error:
                with suppress(OSError):
                    file.close()
                Path(file.name).unlink(missing_ok=True)
            full = disk_full(error)
            if full is None:
                raise
            raise HTTPException(full.status, str(full)) from None


def bound_uploads() -> None:
    """Have uploads read by BoundedParser."""
    for module in (route_utils, routes):
        module.GradioMultiPartParser = BoundedParser  # type: ignore[attr-defined]


def forget_inputs() -> None:
    """Keep Gradio from remembering, per session, what was typed, a key and the visitor's token too.

    It does so only for links to a page as it is filled in, which it writes to disk for whoever names the session; and
    it writes all of it into the log where something is missing, as from a page that was open when this was upgraded.
    """

    def check_number(_: gr.Blocks, event: Any, inputs: list[Any]) -> None:
        if len(inputs) < len(event.inputs):
            raise gr.Error(strings.OLD_PAGE, print_exception=False)

    _State._update_value_in_config = lambda *_: None  # type: ignore[method-assign]
    gr.Blocks.validate_inputs = check_number  # type: ignore[method-assign, assignment]


def keep_sessions_small() -> None:
    """Keep Gradio from making a copy of the page's whole configuration for each visit; only deep links need it."""

    class Session(_State):
        def __init__(self, blocks: Any) -> None:
            super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks={}))  # type: ignore[arg-type]

    state_holder.SessionState = Session  # type: ignore[misc]


def send_updates_whole() -> None:
    """Have each update of a component that a run changes sent whole, not as edits of the one before.

    A browser makes those edits in the update that it already has, which it may not have shown yet where it is slow: a
    button that appears with one step of a run, and is not named in the next, never appeared.
    """

    def changed(old: Any, new: Any) -> list[list[Any]]:
        if isinstance(new, str):  # one text after another, which no edit changes
            return _difference(old, new)
        return [] if old == new else [["replace", [], new]]

    utils.diff = changed


def serve_with(prepare: Callable[[uvicorn.Server], object]) -> None:
    """Have Gradio's server prepared before it takes its first connection; launch() hands it out only afterwards."""
    start: Callable[[http_server.Server], None] = http_server.Server.run_in_thread

    def run(served: http_server.Server) -> None:
        prepare(served)
        start(served)

    http_server.Server.run_in_thread = run  # type: ignore[method-assign]


def look_less_often(page: gr.Blocks) -> None:
    """Have the queue of a launched page looked into every QUEUE_LOOK_S."""
    page._queue.sleep_when_free = page._queue.progress_update_sleep_when_free = QUEUE_LOOK_S
