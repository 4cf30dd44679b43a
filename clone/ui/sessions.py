"""What the framework keeps of a visit, made small, bounded and ended; and what a visit left, swept away."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from gradio import routes, state_holder
from starlette.concurrency import run_in_threadpool

from clone.ui.files import BROKEN_OFF_S, KEPT_FOR_S, sweep, wipe

SESSIONS_LIMIT = 1_500
"""Visits whose state is kept; the ones that were idle for longest are forgotten first."""
QUEUE_LIMIT = 60
"""Events that may wait, of all visits together; each may hold a body of 4.5 MB."""
SWEPT_EVERY_S = 120
_UPLOADS_KNOWN = 1_000


def end_sessions(holder: state_holder.StateHolder, now: datetime | None = None) -> None:
    """Forget visits that have been idle for as long as their files are kept, and those that were left a while ago."""
    now = now or datetime.now()
    with holder.lock:
        for visit, used in list(holder.time_last_used.items()):
            session = holder.session_data.get(visit)
            kept_for_s = BROKEN_OFF_S if session is None or session.is_closed else KEPT_FOR_S
            if now - used > timedelta(seconds=kept_for_s):
                holder.session_data.pop(visit, None)
                holder.time_last_used.pop(visit, None)


def sweeping(folder: Path) -> Callable[[routes.App], AbstractAsyncContextManager[None]]:
    """Return a lifespan for the page: it sweeps while the page is served, and wipes the folder at the end."""

    @asynccontextmanager
    async def lifespan(app: routes.App) -> AsyncIterator[None]:
        task = asyncio.create_task(_sweep_on(app, folder))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            wipe(folder)

    return lifespan


async def _sweep_on(app: routes.App, folder: Path) -> None:
    while True:
        await asyncio.sleep(SWEPT_EVERY_S)
        end_sessions(app.state_holder)
        uploads = routes.file_upload_statuses
        if len(uploads._signals) > _UPLOADS_KNOWN:  # it never forgets an upload whose progress nobody followed
            uploads._signals.clear()
            uploads._statuses.clear()
        await run_in_threadpool(sweep, folder)
        for known in app.get_blocks().temp_file_sets:
            known -= {path for path in list(known) if not os.path.exists(path)}
