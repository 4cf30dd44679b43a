"""What apps are forked from: a process that has imported all that app.py does, and has started nothing.

Run by tests/running.py, which writes what to start, one a line, and reads the number of its process.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

from tests import remembered

APP = Path(__file__).parent.parent / "app.py"


def forked_for() -> dict[str, Any]:
    """Fork for every line, and return in the new process what it asks for; the old one ends with its input.

    Each is forked twice: it falls to the pytest process, as one does that was started there.
    """
    for line in sys.stdin:
        if between := os.fork():
            os.waitpid(between, 0)
            continue
        between = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == between:
            time.sleep(0.001)
        os.write(1, f"{os.getpid()}\n".encode())
        return dict(json.loads(line))
    os._exit(0)


def become(log: str, environment: dict[str, str]) -> None:
    """Take what a process is started with."""
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = [APP.name]
    for path, flags, number in ((os.devnull, os.O_RDONLY, 0), (log, os.O_WRONLY | os.O_APPEND, 1)):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.dup2(1, 2)


def prepare_gradio(folder: Path) -> None:
    """Do what is done before Gradio is imported, which here it has been."""
    prepared(folder)
    for module in list(sys.modules.values()):
        if hasattr(module, "DEFAULT_TEMP_DIR"):
            module.DEFAULT_TEMP_DIR = str(folder)


if __name__ == "__main__":
    sys.path[0] = str(APP.parent)
    runpy.run_path(str(APP), run_name="preloaded")
    remembered.install()
    order = forked_for()
    become(order["log"], order["environment"])
    from clone.core import settings

    prepared, settings.prepare_gradio = settings.prepare_gradio, prepare_gradio
    exec(order["before"], {"__name__": "__main__"})
    runpy.run_path(str(APP), run_name="__main__")
