"""Timbre: clone a voice from one recording, in the browser. ``python app.py`` serves the page.

The page is put together from clone/ui and wired to one Studio; everything is served on one port.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.middleware import Middleware
from starlette.routing import Mount

from clone.core.errors import StoppingError, TimbreError, disk_full
from clone.core.settings import Settings, has_screen, prepare_gradio
from clone.core.signed_urls import App
from clone.ui.files import make_temporary_folder, temporary_folder

SETTINGS = Settings.from_environment()
prepare_gradio(temporary_folder(SETTINGS.home))

from clone.ui import gradio_patches

# isort: split
import gradio as gr
from gradio import routes

from clone.api import app as api_app
from clone.api import edge
from clone.api.auth import Keys, RateLimits, limits_of, load_keys
from clone.api.edge import Watched, log_to_stderr
from clone.api.worker import Background
from clone.hosted.lending import MOUNT
from clone.studio.facade import ModelStatus, Studio
from clone.ui import page, theme
from clone.ui.api import Authorize, refuse_everybody
from clone.ui.gate import Door, Gate, OwnerLink, PageCache
from clone.ui.sessions import SESSIONS_LIMIT, sweeping
from clone.ui.takes import MOUNT as TAKES
from clone.ui.takes import Takes
from clone.ui.visitors import Owners

log = logging.getLogger("timbre")

UPLOAD_LIMIT = "200mb"
LOOK_S = 0.2
OPEN = "--open"
"""Given by ``make run``: open the owner's address in a browser, where there is a screen."""
MAX_THREADS = 100
"""Handlers at work at once, nearly all of which wait: for downloads, for their turn in the studio's queue."""


def launch_options(settings: Settings, api: App | None = None, link: OwnerLink | None = None) -> dict[str, Any]:
    """Return how the page is served: nothing of a visitor is kept, shown to others or sent anywhere else.

    Args:
        settings: where.
        api: what is served beside the page, on the same port.
        link: makes a browser the owner's; one that nobody is shown where it is left out.
    """
    folder = temporary_folder(settings.home)
    ours = () if api is None else (*api_app.OURS, MOUNT)
    sockets = () if api is None else (api_app.SOCKET,)
    gate = Middleware(Gate, folder=folder, beside=ours, own=(TAKES,), sockets=sockets, on_space=settings.on_space)
    beside = [] if api is None else [Middleware(api_app.Beside, api=api)]
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
        "enable_monitoring": False,
        "state_session_capacity": SESSIONS_LIMIT,
        "share": False,
        "inbrowser": False,
        "quiet": True,
        "app_kwargs": {
            "middleware": [gate, *beside, Middleware(PageCache)],
            "lifespan": _lifespan(settings, link, sweeping(folder)),
        },
    }


def build(
    studio: Studio, settings: Settings, authorize: Authorize = refuse_everybody, takes: Takes | None = None
) -> gr.Blocks:
    """Return the page of a studio; what is said on it is found in ``takes``."""
    return page.build(studio, settings, authorize, takes or Takes())


def _lifespan(
    settings: Settings, link: OwnerLink | None, inner: Callable[[routes.App], AbstractAsyncContextManager[None]]
) -> Callable[[routes.App], AbstractAsyncContextManager[None]]:
    """Return a lifespan that puts the door before everything; Gradio puts its CORS before all other middleware."""
    owners = Owners(settings)

    @asynccontextmanager
    async def lifespan(page: routes.App) -> AsyncIterator[None]:
        assert page.middleware_stack is not None
        page.middleware_stack = Watched(Door(page.middleware_stack, owners, link or OwnerLink(owners), api_app.is_ours))
        async with inner(page):
            yield

    return lifespan


def doorman(keys: Keys, limits: RateLimits) -> Authorize:
    """Return what lets programs in: with a key of the served API, and within the limits that are counted there."""

    def authorize(authorization: str | None, work: str) -> str:
        owner = keys.owner(authorization)
        getattr(limits, work).take(owner)
        return owner

    return authorize


def stopping() -> threading.Event:
    """Return what SIGINT and SIGTERM set; the second one leaves at once."""
    asked = threading.Event()

    def stop(number: int, _: object) -> None:
        if asked.is_set():
            os._exit(128 + number)
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return asked


def get_models(studio: Studio, settings: Settings) -> None:
    """Get the engines that the settings ask for, and log what became of each."""
    for name in settings.models_not_agreed:
        log.warning("%s is not got: its terms are not accepted. Set TIMBRE_ACCEPT_TERMS=%s to do so.", name, name)
    for name in settings.models:
        try:
            got = [*studio.get_model(name)][-1]
        except StoppingError:
            return
        except TimbreError as error:
            log.warning("%s is not here. %s", name, error)
        else:
            assert isinstance(got, ModelStatus)
            log.info("%s is here%s", got.title, f", and not used. {got.verdict}" if got.verdict else ".")


def main() -> None:
    """Serve until stopped; what goes on then ends or is cancelled, and what is paid for is kept."""
    stop = stopping()
    log_to_stderr(as_json=SETTINGS.log_json)
    for library in ("httpx", "mcp", "faster_whisper"):  # they have a line for every request
        logging.getLogger(library).setLevel(logging.WARNING)
    make_temporary_folder(SETTINGS.home)
    studio = Studio(SETTINGS)
    keys, key_file = load_keys(SETTINGS)
    limits = limits_of(studio.counts())
    takes = Takes()
    demo = build(studio, SETTINGS, doorman(keys, limits), takes)
    background = Background(studio, studio.tasks(), keys.house)
    api = api_app.build(studio, SETTINGS, keys, background, limits)
    link = OwnerLink(Owners(SETTINGS))
    try:
        options = launch_options(SETTINGS, api, link)
        options["app_kwargs"]["routes"] = [Mount(MOUNT, studio.lent), Mount(TAKES, takes.route)]
        gradio_patches.serve_with(edge.bound)
        _launch(demo, options)
        gradio_patches.look_less_often(demo)
        studio.start()
        background.start()
        threading.Thread(target=get_models, args=(studio, SETTINGS), name="timbre-models", daemon=True).start()
        print(f"Timbre is at {demo.local_url}, its API at {demo.local_url}docs", flush=True)
        if key_file is not None:
            print(f"The API's key is in {key_file}", flush=True)
        if link.address:
            print(f"Its owner, in this browser, is whoever opens this first: {link.address}", flush=True)
            if OPEN in sys.argv[1:] and has_screen():
                webbrowser.open(link.address)
        while demo.is_running and not stop.wait(LOOK_S):
            pass
    finally:
        studio.drain()
        time.sleep(LOOK_S)  # the last words are on their way
        demo.close(verbose=False)
        background.close()
        studio.close()


def _launch(demo: gr.Blocks, options: dict[str, Any]) -> None:
    try:
        demo.launch(**options, prevent_thread_lock=True)
    except OSError as error:
        if error.errno is not None:
            raise
        raise TimbreError(  # Gradio has looked for a port that is free
            f"Port {options['server_port']} is taken, perhaps by a Timbre that runs already.",
            code="port_taken",
            measured=options["server_port"],
            advice="End that, or set GRADIO_SERVER_PORT to another port.",
        ) from None


if __name__ == "__main__":
    try:
        main()
    except (TimbreError, OSError) as error:
        if not (known := error if isinstance(error, TimbreError) else disk_full(error)):
            raise
        sys.exit(str(known))
    logging.shutdown()
    os._exit(0)  # compiled code may still be at work, and a download in a thread that nobody waits for
