"""``scale``: the engines of this machine put at the disposal of others, as replicas in a cluster of Ray's."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import typer

from clone.cli.terminal import interrupts_are_raised
from clone.core.errors import TimbreError
from clone.core.settings import Settings

if TYPE_CHECKING:
    from clone.engine.cluster import Node

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
