"""Timbre: a voice cloned from one recording, over the MiniMax Quick Voice Cloning contract.

The public face is loaded when it is first used: ``from clone import Studio, CloneOrder, CloneOptions, SpeakOrder``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clone.contract.cloning import CloneOptions
    from clone.contract.orders import CloneOrder, SpeakOrder
    from clone.core import __version__
    from clone.core.settings import Settings
    from clone.studio.facade import Studio

__all__ = ["CloneOptions", "CloneOrder", "Settings", "SpeakOrder", "Studio", "__version__"]

_PLACES = {
    "__version__": "clone.core",
    "CloneOptions": "clone.contract.cloning",
    "CloneOrder": "clone.contract.orders",
    "Settings": "clone.core.settings",
    "SpeakOrder": "clone.contract.orders",
    "Studio": "clone.studio.facade",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for by name, and only then: the engine's libraries take seconds."""
    if name not in _PLACES:
        raise AttributeError(f"module 'clone' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
