"""``models``: the engines that can be added, under which terms, and getting one."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from clone.cli.terminal import interactive, print_json, print_table, result, sure
from clone.core.errors import TimbreError

if TYPE_CHECKING:
    from clone.studio.facade import ModelStatus, Studio


def tell(studio: Studio, *, as_json: bool) -> None:
    """List the engines."""
    there = studio.engines()
    if as_json:
        print_json({"models": [asdict(each) for each in there]})
        return
    print_table([(m.name, m.title, m.size, m.licence, ", ".join(m.languages), _state(m)) for m in there])


def get(studio: Studio, name: str, *, accepted: bool) -> None:
    """Get an engine, once its terms are accepted.

    Raises:
        TimbreError: they are not, or it can't be got.
    """
    from clone.studio.facade import ModelStatus

    there = {each.name: each for each in studio.models()}
    if name not in there:
        raise TimbreError(f"There is no engine named “{name[:40]}”.", advice=f"There is: {', '.join(there)}.")
    model = there[name]
    if not accepted:
        # Where somebody is asked, beside the question; elsewhere standard error is for the one line.
        where = sys.stderr if interactive() else sys.stdout
        print(f"{model.title}, {model.size}, {model.licence}\n\n{model.terms}\n", file=where)
    if not sure(f"Accept these terms and get {model.size}?", accepted):
        raise TimbreError(
            f"The terms of {model.title} are not accepted.",
            code="terms_not_accepted",
            advice="Read them above, and say --accept-terms if you do.",
        )
    got = result(studio.get_model(name), ModelStatus)
    print(f"{got.title} is here." if not got.verdict else f"{got.title} is here, and not used. {got.verdict}")


def _state(model: ModelStatus) -> str:
    if not model.is_here:
        return "not here"
    return f"here, not used: {model.verdict}" if model.verdict else "here"
