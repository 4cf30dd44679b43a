"""The process that joins the cluster for another one: ``python -m clone.engine.connector HOST:PORT SOCKET``.

It takes calls at a socket, one a connection, and hands them to a replica and its answers back; what they say it does
not read. It ends when whoever started it does, and when the cluster's head is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import OrderedDict
from contextlib import suppress
from typing import Any

from clone.core.errors import TimbreError
from clone.core.settings import Settings
from clone.engine import cluster
from clone.engine.connection import ANSWER, DIED, END, FAILED, FRAME, FULL, MISSING, SIZE

LOOKS_EVERY_S = 2.0
"""It is known after so long that the head is gone."""
MISSED_MAX = 2
VOICES_MAX_BYTES = 128_000_000
"""Of what was learned of voices, for replicas to fetch: of 15 and more."""


def main() -> None:
    """Join, say so in one line of JSON, or why not, and take calls."""
    address, path = sys.argv[1:]
    said, node = os.dup(1), None
    os.dup2(2, 1)  # what Ray prints is no answer
    try:
        cluster.prepare(Settings.from_environment().ray_token)
        node = cluster.joined(address)
        asyncio.run(_take_calls(path, address, said, node))
    except TimbreError as error:
        _say(said, {"code": error.code, "message": error.message})
    finally:
        if node is not None:
            node.close()
        os._exit(0)  # what Ray has in the air is nobody's any more


def _say(said: int, problem: dict[str, str]) -> None:
    with suppress(OSError):
        os.write(said, json.dumps(problem).encode() + b"\n")


async def _take_calls(path: str, address: str, said: int, node: cluster.Node | None) -> None:
    server = await asyncio.start_unix_server(_Calls(cluster.calls()).take, path)
    async with server:
        _say(said, {})
        ends = [_end_of_input(), _end_of_cluster(address, node)]
        await asyncio.wait([asyncio.ensure_future(each) for each in ends], return_when=asyncio.FIRST_COMPLETED)


class _Calls:
    """Hands calls on, and keeps what was learned of the voices in them where replicas fetch it.

    Args:
        replicas: sends a call to one of them.
    """

    def __init__(self, replicas: Any) -> None:
        self._replicas = replicas
        self._voices: OrderedDict[str, tuple[Any, int]] = OrderedDict()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Do one call."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            voices = await self._given(reader, writer)
            response = self._replicas.remote(await _read(reader), voices)
            left = asyncio.ensure_future(reader.read(1))  # nothing more is sent: it ends when who asks has left
            left.add_done_callback(lambda _: asyncio.get_running_loop().run_in_executor(None, response.cancel))
            kind, word = END, ""
            try:
                async for answer in response:
                    await _write(writer, ANSWER, answer)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  it belongs to who asked
                kind, word = _described(error)
            await _write(writer, kind, word.encode())
        writer.close()

    async def _given(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[str, list[Any]]:
        """Return a reference to each of the voices in a call; those that are not here yet are asked for."""
        import ray

        names = json.loads(await _read(reader))
        found = {name: self._voices[name][0] for name in names if name in self._voices}
        missing = [name for name in names if name not in found]
        await _write(writer, MISSING, json.dumps(missing).encode())
        for name in missing:
            data = await _read(reader)
            found[name] = ray.put(data)
            self._voices[name] = found[name], len(data)
        for name in names:
            self._voices.move_to_end(name)
        while len(self._voices) > 1 and sum(n for _, n in self._voices.values()) > VOICES_MAX_BYTES:
            self._voices.popitem(last=False)
        return {name: [each] for name, each in found.items()}


async def _read(reader: asyncio.StreamReader) -> bytes:
    (n_bytes,) = SIZE.unpack(await reader.readexactly(SIZE.size))
    return await reader.readexactly(n_bytes)


async def _write(writer: asyncio.StreamWriter, kind: bytes, data: bytes) -> None:
    writer.write(FRAME.pack(kind, len(data)) + data)
    await writer.drain()


def _described(error: BaseException) -> tuple[bytes, str]:
    """Return of which kind an end is, and what is said of it."""
    from ray import exceptions as of_ray
    from ray.serve import exceptions as of_serve

    gone = (
        *(of_ray.RayActorError, of_ray.NodeDiedError, of_ray.ObjectLostError, of_ray.TaskCancelledError),
        *(of_ray.WorkerCrashedError, of_ray.LocalRayletDiedError, of_serve.RequestCancelledError),
        asyncio.CancelledError,
    )
    if isinstance(error, of_serve.BackPressureError):
        return FULL, ""
    if isinstance(error, gone):
        return DIED, ""
    return FAILED, f"An engine could not be asked ({type(error).__name__})."


async def _end_of_input() -> None:
    """Return when the process that has started this one closes what it writes to, or ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


async def _end_of_cluster(address: str, node: cluster.Node | None) -> None:
    """Return when the head does not answer any more, or this machine's node has ended."""
    host, _, port = address.rpartition(":")
    n_missed = 0
    while n_missed < MISSED_MAX and not (node and node.ended):
        await asyncio.sleep(LOOKS_EVERY_S)
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), LOOKS_EVERY_S)
            writer.close()
            n_missed = 0
        except (OSError, TimeoutError):
            n_missed += 1


if __name__ == "__main__":
    main()
