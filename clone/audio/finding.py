"""What was found of a recording: single findings, and all of them as a report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from clone.core.errors import AudioError

Severity = Literal["refuse", "warn", "info", "ok"]

_UNREADABLE = "1000 INVALID_AUDIO_FILE"
_PREDICTED = {
    "too_short": "2037 INVALID_AUDIO_FILE",
    "too_long": "2037 INVALID_AUDIO_FILE",
    "too_big": "INVALID_AUDIO_FILE",
    "not_audio": _UNREADABLE,
    "no_audio": _UNREADABLE,
    "damaged": _UNREADABLE,
}
"""What the hosted service is likely to answer: its number, where it is documented, and name. What else is refused here,
silence for one, it may well take and bill."""


@dataclass(frozen=True)
class Finding:
    """One result of the preflight.

    Attributes:
        code: short machine name; a refusal's is that of the error it becomes.
        severity: ``refuse`` stops the cloning, ``warn`` lowers its quality, ``info`` and ``ok`` are passed.
        measured: the value, in seconds, bytes or dBFS as the message says.
        limit: what it is held against.
        message: one sentence for a person.
        advice: what to do; empty when there is nothing to do.
        cure: ``noise`` or ``volume``: what may be done to the recording here, and would change it; empty for nothing.
    """

    code: str
    severity: Severity
    measured: float | str | None
    limit: float | str | None
    message: str
    advice: str = ""
    cure: str = ""

    @property
    def is_cuttable(self) -> bool:
        """Whether this stands against the whole of a recording, and not against a part of it."""
        return self.code in {"too_long", "too_big"}

    @property
    def predicts(self) -> str:
        """The hosted service's own error for this, code and name; empty where it is not known to refuse."""
        return predicted(self.code) if self.severity == "refuse" else ""


@dataclass(frozen=True)
class Report:
    """All findings about one recording, hard limits first."""

    findings: tuple[Finding, ...]

    def refusal(self) -> Finding | None:
        """Return the first finding that refuses the recording, if one does."""
        return next((finding for finding in self.findings if finding.severity == "refuse"), None)

    def cures(self) -> tuple[str, ...]:
        """Return what may be done to the recording here and would help it; nothing does where it is refused anyway."""
        refusal = self.refusal()
        if refusal and not refusal.is_cuttable:
            return ()
        return tuple(dict.fromkeys(finding.cure for finding in self.findings if finding.cure))

    def raise_if_refused(self) -> None:
        """Raise what refuses the recording, if anything does.

        Raises:
            AudioError: the first refusal, at the field ``audio``.
        """
        if finding := self.refusal():
            raise AudioError(
                finding.message,
                code=finding.code,
                field="audio",
                measured=finding.measured,
                limit=finding.limit,
                advice=finding.advice,
            )

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Return the report as what json can write: ``{"findings": [{"code": …, "severity": …, …}]}``."""
        return {"findings": [asdict(finding) | {"predicts": finding.predicts} for finding in self.findings]}


def predicted(code: str) -> str:
    """Return the hosted service's likely error, number and name, for one of our codes; empty where none is known."""
    return _PREDICTED.get(code, "")
