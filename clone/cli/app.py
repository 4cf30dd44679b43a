"""One command, from its arguments to its exit status.

Exit status: 0; 2 when a limit refuses, its message on one line on stderr; 1 for anything else, likewise; 130 after an
interrupt; 141, without a word, when whoever read the output has left.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from io import UnsupportedOperation

from clone.cli.arguments import parser
from clone.cli.terminal import fail
from clone.core.errors import Refused, TimbreError, disk_full

DONE, FAILED, REFUSED, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: what follows ``python -m clone``; the process's own arguments when None.

    Returns:
        The exit status.
    """
    warnings.simplefilter("ignore")  # a library's warning is not for whoever waits for one line
    arguments = parser().parse_args(argv)
    try:
        if arguments.command == "completion":
            from clone.cli.completion import run  # the engine's libraries take seconds, and nobody waits for a tab
        elif arguments.command == "doctor":
            from clone.cli.doctor import run
        else:
            from clone.cli.commands import run
        for number in (signal.SIGINT, signal.SIGTERM):  # until here, an interrupt just leaves; see __main__
            signal.signal(number, signal.default_int_handler)
        run(arguments)
        sys.stdout.flush()
    except Refused as e:
        return fail(str(e), REFUSED)
    except TimbreError as e:
        return fail(str(e), FAILED)
    except BrokenPipeError:
        return _unread()
    except OSError as e:
        full = disk_full(e)
        return fail(str(full) if full else f"{e.filename or 'Output'}: {e.strerror or type(e).__name__}.", FAILED)
    except KeyboardInterrupt:
        return fail("Stopped.", INTERRUPTED)
    except Exception as e:  # noqa: BLE001  the last edge: nobody is shown a traceback
        return fail(f"Something unexpected went wrong ({type(e).__name__}).", FAILED)
    return DONE


def _unread() -> int:
    """Let what is still to be flushed go nowhere: the interpreter would complain of it on its way out."""
    with suppress(UnsupportedOperation, OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return UNREAD
