"""``models``: the engines that can be added, under which terms, and getting one. ``scale``: engines for other machines.

Those are put at the disposal of others as replicas in a cluster of Ray's.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from clone.cli.terminal import interactive, interrupts_are_raised, print_json, print_table, result, sure
from clone.core.errors import TimbreError
from clone.core.settings import Settings

if TYPE_CHECKING:
    from clone.engine.cluster import Node
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


# scale

app = typer.Typer(help="Add machines.", rich_markup_mode=None)

PORT = 6379
REPLICAS_MAX = 1000
CORES_EACH = 2
_LOOK_S = 1.0


@app.callback()
def _several() -> None:
    """Put engines on machines of their own, for any number of Timbres to speak with."""


@app.command()
def engine(
    head: str | None = typer.Option(None, metavar="HOST[:PORT]", help="join the engines of that machine"),
    replicas: str = typer.Option(
        "", metavar="MIN[:MAX]", help="engines on this machine; one for every two cores if not said", show_default=False
    ),
    interface: str | None = typer.Option(
        None, metavar="ADDRESS", help="this machine's address in the private network, by which the others reach it"
    ),
    port: int = typer.Option(PORT, min=1, max=65535, help="where others join, on the machine that they join"),
    made_by: str = typer.Option("", hidden=True),
) -> None:
    """Let other machines speak with the engine of this one, until it is stopped."""
    settings = Settings.from_environment()
    seats = _seats(replicas)
    interrupts_are_raised()
    from clone.engine import cluster

    cluster.prepare(settings.ray_token)
    node, address = cluster.opened(f"{head}:{port}" if head and ":" not in head else head, seats, interface, port)
    try:
        _serve(node, address, is_head=head is None, made_by=made_by)
    except KeyboardInterrupt:
        print("Stopping.", flush=True)
    finally:
        cluster.close(node)


def _serve(node: Node, address: str, *, is_head: bool, made_by: str) -> None:
    from clone.engine import cluster

    cluster.join(address, node)
    cluster.wait_for(node)
    interrupts_are_raised()  # Ray has taken them
    print("Ray's ports listen on every interface: this machine belongs into a private network, behind a firewall.")
    deployed = None
    for seats in cluster.watched(node, _LOOK_S):
        if is_head and seats != deployed:
            cluster.deploy(seats, made_by)
        if deployed is None:
            print(f"Ready. To speak with these engines: TIMBRE_ENGINE=ray:{address}", flush=True)
        deployed = seats
    raise TimbreError("The engines of this machine have ended, or those that they had joined.", code="engine_ended")


def _seats(given: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,4})(?::(\d{1,4}))?", given or _usual())
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not (least <= most <= REPLICAS_MAX):
        raise TimbreError(
            f"--replicas is “{given[:20]}”; it must be a number, or two such as 1:4.", code="usage", measured=given[:20]
        )
    return least, most


def _usual() -> str:
    return str(max(1, (os.cpu_count() or 1) // CORES_EACH))
