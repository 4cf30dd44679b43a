"""What there is of Ray: a node of a cluster, joining one, the replicas in it. Ray is loaded when it is used.

Started with RAY_AUTH_MODE=token: whoever has the token runs code on every machine, and nobody else gets in.
"""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from clone.core import __version__
from clone.core.errors import EngineError, TimbreError
from clone.core.settings import check_ray_token, prepare_ray
from clone.engine.profile import ENGINE_VERSION
from clone.engine.replica import LOCAL, Replica
from clone.engine.weights import N_THREADS

ROOT = Path(__file__).resolve().parents[2]
PORT = 6379
APP = "timbre"
DEPLOYMENT = "engine"
SEAT, LEAST = "timbre_seat", "timbre_least"
"""What a host has, as Ray's resources: how many replicas it may carry, and how many of them always run."""

STORE_BYTES = 500_000_000
"""Of shared memory a host, for what is on its way: a recording of five minutes takes 58 MB."""
AT_ONCE = 2
"""Calls in a replica: one at work, and one that is there when it ends; the router's way back would cost a third."""
QUEUED_MAX = 16
"""Calls of one front end that wait for a replica."""
UP_AFTER_S, DOWN_AFTER_S = 3.0, 300.0
"""How long calls wait before there are more replicas, and how long one is idle before there are fewer."""
REACHED_WITHIN_S, STARTS_WITHIN_S = 5.0, 60.0
ENDS_WITHIN_S = 20.0
EXTRA = "requirements-scale.txt"
_LOOK_S = 0.2
_PR_SET_PDEATHSIG = 1


def prepare(token: str) -> None:
    """Make ready to load Ray, and to start it.

    Raises:
        TimbreError: ``ray_missing``, it is not installed; ``bad_setting``, the token is none.
    """
    if importlib.util.find_spec("ray") is None:
        raise TimbreError(
            "Ray, which engines on other machines need, is not installed here.",
            code="ray_missing",
            limit=EXTRA,
            advice=f"Install it: pip install -r {EXTRA}",
        )
    check_ray_token(token)
    prepare_ray(token, N_THREADS, ROOT)


class Node:
    """One host of a cluster: Ray's processes on this machine. They end with this one, however that ends.

    Args:
        head: host:port of the cluster's head; None to be it.
        seats: how many replicas it may carry, and how many of them always run.
        interface: the address by which the others reach it; None for the one that leads to the head.
        port: of the head, where it is one.
    """

    def __init__(
        self, head: str | None, seats: tuple[int, int] = (0, 0), *, interface: str | None = None, port: int = PORT
    ) -> None:
        least, most = seats
        self.folder = tempfile.mkdtemp(prefix="timbre-ray-")
        told = ["--head", f"--port={port}"] if head is None else [f"--address={head}"]
        told += [f"--node-ip-address={interface}"] if interface else []
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *told),
            *("--num-cpus=0", f'--resources={{"{SEAT}": {most}, "{LEAST}": {least}}}'),
            *(f"--temp-dir={self.folder}", f"--object-store-memory={STORE_BYTES}"),
            *("--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"),
            *("--disable-usage-stats", "--include-log-monitor=false"),
            *(["--include-dashboard=false", "--no-monitor"] if head is None else []),
        ]
        with Path(self.folder, "start.log").open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, preexec_fn=_ends_too
            )

    @property
    def ended(self) -> bool:
        """Whether its processes are gone."""
        return self.process.poll() is not None

    def close(self) -> None:
        """End them, and remove what they wrote."""
        self.process.terminate()
        try:
            self.process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_for(node: Node) -> None:
    """Return once a node is one of the cluster that was joined; another on this machine may have been quicker.

    Raises:
        EngineError: it does not come.
    """
    import ray

    until_s = time.monotonic() + STARTS_WITHIN_S
    while not any(each["Alive"] and each["RayletSocketName"].startswith(node.folder) for each in ray.nodes()):
        if node.ended or time.monotonic() > until_s:
            raise EngineError("Ray could not be started on this machine.", code="engine_unreachable")
        time.sleep(_LOOK_S)


def joined(address: str) -> Node | None:
    """Join a cluster from this process, by a node of it on this machine; return that where it had to be made.

    Raises:
        EngineError: it can't be joined.
    """
    node = None if _has_node(address) else Node(address)
    try:
        join(address, node)
    except EngineError:
        if node is not None:
            node.close()
        raise
    return node


def join(address: str, node: Node | None = None) -> None:
    """Join a cluster from this process, by a node on this machine, as soon as that is there.

    Raises:
        EngineError: it can't be joined.
    """
    until_s = time.monotonic() + STARTS_WITHIN_S
    while True:
        if node is not None and node.ended:
            raise EngineError("Ray could not be started on this machine.", code="engine_unreachable")
        try:
            if _has_node(address):
                import ray

                ray.init(address=address, log_to_driver=False, configure_logging=False)
                return
        except EngineError:
            if time.monotonic() > until_s or node is None:
                raise
        if time.monotonic() > until_s:
            raise EngineError("It can't be joined in time.", code="engine_unreachable")
        time.sleep(_LOOK_S)


def _has_node(address: str) -> bool:
    """Tell whether a node of a cluster is on this machine.

    Raises:
        EngineError: ``engine_refused``, the token is not the cluster's; ``engine_unreachable``.
    """
    host, _, port = address.rpartition(":")
    try:  # Ray's own way to find that out takes 40 s
        socket.create_connection((host.strip("[]"), int(port)), REACHED_WITHIN_S).close()
    except OSError:
        raise EngineError("Nothing answers there.", code="engine_unreachable") from None
    from ray._private.services import find_node_ids
    from ray._raylet import GcsClient
    from ray.exceptions import AuthenticationError

    try:
        there = GcsClient(address=address).get_all_node_info(timeout=REACHED_WITHIN_S)
    except AuthenticationError:
        raise EngineError("They refuse this TIMBRE_RAY_TOKEN.", code="engine_refused") from None
    except Exception as error:  # noqa: BLE001  Ray has an exception for every way to fail
        if "authenti" in str(error).lower():
            raise EngineError("They refuse this TIMBRE_RAY_TOKEN.", code="engine_refused") from None
        raise EngineError("What answers there is no head of theirs.", code="engine_unreachable") from None
    alive = {node_id.hex() for node_id, node in there.items() if node.state == node.ALIVE}
    return bool(alive & set(find_node_ids()))


def calls() -> Any:
    """Return what calls replicas of the cluster that was joined: its ``remote`` gives a stream of answers."""
    from ray import serve

    return serve.get_deployment_handle(DEPLOYMENT, APP).options(method_name="call", stream=True)


def deploy(seats: tuple[int, int], made_by: str = "") -> None:
    """Have at least and at most so many replicas in the cluster that was joined, as the queue demands.

    Args:
        seats: of all hosts together.
        made_by: what makes a replica's backend, as module:function; by default the engine of its machine.
    """
    from ray import serve

    least, most = seats
    scaled = {
        "min_replicas": least,
        "max_replicas": max(1, most),
        "target_ongoing_requests": 1,
        "upscale_delay_s": UP_AFTER_S,
        "downscale_delay_s": DOWN_AFTER_S,
        "metrics_interval_s": 1,
        "look_back_period_s": UP_AFTER_S,
    }
    engine = serve.deployment(
        Replica,
        name=DEPLOYMENT,
        max_ongoing_requests=AT_ONCE,
        max_queued_requests=QUEUED_MAX,
        autoscaling_config=scaled,
        ray_actor_options={"num_cpus": 0, "resources": {SEAT: 1}},
        health_check_period_s=5,
        graceful_shutdown_timeout_s=ENDS_WITHIN_S,
        logging_config={"log_level": "WARNING", "enable_access_log": False},
    )
    serve.start(proxy_location="Disabled")
    application = engine.bind(made_by or LOCAL)
    # Of its own, Serve takes every deployment for new code, and would start all replicas anew at a new number.
    application._bound_deployment._version = f"{__version__} {ENGINE_VERSION}"
    serve.run(application, name=APP, route_prefix=None, _local_testing_mode=False)


def seats() -> tuple[int, int]:
    """Return how many replicas all hosts of the cluster want to run always, and how many they may carry."""
    import ray

    offered = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    least, most = (int(sum(each.get(name, 0) for each in offered)) for name in (LEAST, SEAT))
    return min(least, most), most


def opened(head: str | None, on_this: tuple[int, int], interface: str | None, port: int) -> tuple[Node, str]:
    """Start this machine's node, and return it and the address of the head.

    Args:
        head: host:port of the head; None to be it.
        on_this: how many replicas always run on this machine, and how many may.
        interface: as of Node.
        port: as of Node.

    Raises:
        TimbreError: ``port_taken``; EngineError: the head can't be joined.
    """
    if head is not None:
        _has_node(head)
        return Node(head, on_this, interface=interface), head
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("", port))
        except OSError:
            raise TimbreError(
                f"Port {port} is taken, perhaps by engines that run already.",
                code="port_taken",
                measured=port,
                advice="End those, or give --port another one.",
            ) from None
    return Node(None, on_this, interface=interface, port=port), f"{interface or '127.0.0.1'}:{port}"


def watched(node: Node, every_s: float) -> Iterator[tuple[int, int]]:
    """Yield seats() again and again, until this machine's node has ended."""
    while not node.ended:
        yield seats()
        time.sleep(every_s)


def close(node: Node) -> None:
    """Leave the cluster, and end this machine's part in it."""
    import ray

    with suppress(Exception):  # it may be gone already
        ray.shutdown()
    node.close()


def _ends_too() -> None:
    """Have a child end when this process does, even by a kill."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
