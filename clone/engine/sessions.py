"""ONNX sessions that share two cores and obey a stop."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort

from clone.core.errors import CancelledError
from clone.core.jobs import Stop

N_THREADS = 2


def open_session(model: bytes) -> ort.InferenceSession:
    """Open a model from memory; the session may be shared between threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = N_THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads would take the second core from whoever else works while this session idles.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def give_back_memory() -> None:
    """Return freed memory to the system: glibc keeps hundreds of MB after a long sentence. Elsewhere, do nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def run(session: ort.InferenceSession, inputs: Mapping[str, np.ndarray], stop: Stop | None = None) -> list[Any]:
    """Run a model; a stop interrupts it inside the run.

    Raises:
        CancelledError: somebody asked to stop.
    """
    stop = stop or Stop()
    stop.check()
    options = ort.RunOptions()
    # What the longest sentence took is given back; without the arena the same run would take four times as much.
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    stop.on_stop(lambda: setattr(options, "terminate", True))
    try:
        return session.run(None, dict(inputs), options)  # type: ignore[no-any-return]
    except Exception as e:
        if stop.asked:
            raise CancelledError("Stopped.", code="cancelled") from e
        raise
