"""``python -m clone``: the command line."""

import os
import signal
import sys
from typing import NoReturn

INTERRUPTED = 130


def _leave(*_: object) -> NoReturn:
    os.write(2, b"Stopped.\n")
    os._exit(INTERRUPTED)


# An interrupt inside an import of compiled code comes out as any error at all: while importing, just leave. Main
# imports what a command needs, and takes this back before it begins.
signal.signal(signal.SIGINT, _leave)
from clone.cli.app import UNREAD, main  # noqa: E402

status = main()
if status in (INTERRUPTED, UNREAD):
    os._exit(status)  # compiled code may still be at work, and dies loudly where the interpreter ends around it
sys.exit(status)
