"""Timbre: clone a voice from one recording, in the browser. ``python app.py`` serves the page.

The page is put together from clone/ui and wired to one Studio; everything is served on one port.
"""

from __future__ import annotations

import logging
from typing import Any

from starlette.middleware import Middleware
from starlette.routing import Mount

from clone.settings import Settings, prepare_gradio
from clone.ui.files import temporary_folder, wipe

SETTINGS = Settings.from_environment()
prepare_gradio(temporary_folder(SETTINGS.home))

import gradio as gr

from clone import server
from clone.background import Background
from clone.keys import Keys, load_keys
from clone.publish import MOUNT
from clone.rates import Limits
from clone.studio import Studio
from clone.ui import page, theme
from clone.ui.api import Authorize, refuse_everybody
from clone.ui.cache import PageCache
from clone.ui.takes import MOUNT as TAKES
from clone.ui.takes import Takes

UPLOAD_LIMIT = "200mb"
MAX_THREADS = 100
"""Handlers at work at once, nearly all of which wait: for downloads, for their turn in the studio's queue."""
QUEUE_LOOK_S = 0.05
"""How often Gradio looks into its queue; at its own 1 ms it takes 7 % of a core all day, and the engine's turns."""


def launch_options(settings: Settings, api: server.App | None = None) -> dict[str, Any]:
    """Return how the page is served: nothing of a visitor is kept, shown to others or sent anywhere else.

    Args:
        settings: where.
        api: what is served beside the page, on the same port.
    """
    middleware = [Middleware(PageCache)]
    if api is not None:
        middleware.insert(0, Middleware(server.Beside, api=api))
    return {
        "server_name": settings.server_name,
        "server_port": settings.server_port,
        "theme": theme.theme(),
        "css": theme.css(),
        "head": theme.head(),
        "ssr_mode": False,  # Node in front of the app would answer for routes it does not know
        "footer_links": [],
        "run_history": False,  # it would keep recordings in the browser
        "max_file_size": UPLOAD_LIMIT,
        "max_threads": MAX_THREADS,
        "show_error": False,
        "pwa": False,
        "mcp_server": True,
        "share": False,
        "inbrowser": False,
        "quiet": True,
        "app_kwargs": {"middleware": middleware},
    }


def build(
    studio: Studio, settings: Settings, authorize: Authorize = refuse_everybody, takes: Takes | None = None
) -> gr.Blocks:
    """Return the page of a studio; what is said on it is found in ``takes``."""
    return page.build(studio, settings, authorize, takes or Takes())


def doorman(keys: Keys, limits: Limits) -> Authorize:
    """Return what lets programs in: with a key of the served API, and within the limits that are counted there."""

    def authorize(authorization: str | None, work: str) -> str:
        owner = keys.owner(authorization)
        getattr(limits, work).take(owner)
        return owner

    return authorize


def main() -> None:
    """Serve until stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    for library in ("httpx", "mcp", "faster_whisper"):  # they have a line for every request
        logging.getLogger(library).setLevel(logging.WARNING)
    wipe(temporary_folder(SETTINGS.home))
    studio = Studio(SETTINGS)
    keys, key_file = load_keys(SETTINGS)
    limits = Limits()
    takes = Takes()
    demo = build(studio, SETTINGS, doorman(keys, limits), takes)
    background = Background(studio, studio.tasks())
    api = server.build(studio, SETTINGS, keys, background, limits)
    try:
        options = launch_options(SETTINGS, api)
        options["app_kwargs"]["routes"] = [Mount(MOUNT, studio.calls.publisher.route), Mount(TAKES, takes.route)]
        demo.launch(**options, prevent_thread_lock=True)
        demo._queue.sleep_when_free = demo._queue.progress_update_sleep_when_free = QUEUE_LOOK_S
        studio.start()
        background.start()
        print(f"Timbre is at {demo.local_url}, its API at {demo.local_url}docs", flush=True)
        if key_file is not None:
            print(f"The API's key is in {key_file}", flush=True)
        demo.block_thread()
    finally:
        background.close()
        studio.close()


if __name__ == "__main__":
    main()
