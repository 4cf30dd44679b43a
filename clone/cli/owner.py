"""Which voice is meant: by its voice_id, its name, or the first characters of its voice_id; and whose."""

from __future__ import annotations

import re
from collections.abc import Sequence

from clone.contract.orders import LOCAL_OWNER
from clone.core.errors import TimbreError
from clone.studio.facade import Voice

SHOWN = 5
_OWNER = re.compile(r"(key|visitor)-[0-9a-f]{40}|" + LOCAL_OWNER)


def voice_id(given: str, voices: Sequence[Voice]) -> str:
    """Return the voice_id that is meant; as given where no voice is found, so that the library says why.

    Raises:
        TimbreError: ``ambiguous_voice``, it may be one of several.
    """
    by_id = [voice for voice in voices if voice.voice_id == given]
    by_name = [voice for voice in voices if voice.name and voice.name.casefold() == given.casefold()]
    by_prefix = [voice for voice in voices if given and voice.voice_id.startswith(given)]
    found = by_id or by_name or by_prefix
    if len(found) > 1:
        shown = ", ".join(f"{v.voice_id} ({v.name})" if v.name else v.voice_id for v in found[:SHOWN])
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise TimbreError(
            f"“{given}” may be any of {len(found)} voices: {shown}{more}.",
            code="ambiguous_voice",
            field="voice_id",
            measured=len(found),
            limit=1,
            advice="Give more of the voice_id.",
        )
    return found[0].voice_id if found else given


def owner(given: str | None, voices: Sequence[Voice], *, whole: bool = False) -> str:
    """Return the owner that is meant: the person at this machine where none is given.

    Args:
        given: an owner, whole even one without voices, or its first characters.
        voices: everybody's.
        whole: first characters will not do.

    Raises:
        TimbreError: ``unknown_owner`` or ``ambiguous_owner``.
    """
    if given is None:
        return LOCAL_OWNER
    owners = {voice.owner for voice in voices}
    if given in owners or _OWNER.fullmatch(given):
        return given
    found = [each for each in sorted(owners) if given and each.startswith(given)]
    if len(found) != 1 or whole:
        raise TimbreError(
            f"“{given}” is not the whole name of an owner." if found else f"No voice here is owned by “{given}”.",
            code="ambiguous_owner" if found else "unknown_owner",
            measured=len(found),
            limit=1,
            advice="python -m clone voices --all lists the owners.",
        )
    return found[0]
