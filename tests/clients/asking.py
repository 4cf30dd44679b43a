"""Clients that nobody here wrote ask a server; run in an environment of their own, which has no part of Timbre.

``python asking.py URL KEY RECORDING RECORDING_URL CLIENT...`` prints, as JSON by client, what each was answered, or its
error as text. A voice is cloned first; its name and its id are what the others speak with.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TEXT = "Good morning. The ferry came in."
CHOSEN = "AdaOfTheTests"
MODULES = {
    "openai": "openai",
    "elevenlabs": "elevenlabs",
    "minimax-mcp": "minimax_mcp",
    "novita": "novita_cli",
    "litellm": "litellm",
    "pipecat": "pipecat",
    "livekit": "livekit.plugins.minimax",
}


@dataclass(frozen=True)
class Server:
    """What is asked: its address, a key, a recording as a file and by a link."""

    url: str
    key: str
    recording: Path
    recording_url: str


def ask_openai(server: Server) -> dict[str, Any]:
    """Speak, whole, streamed and as events; the models; what is refused."""
    import openai

    client = openai.OpenAI(api_key=server.key, base_url=f"{server.url}/v1", max_retries=0)
    whole = client.audio.speech.create(model="tts-1", voice=CHOSEN, input=TEXT).content
    kinds = {}
    for kind in ("opus", "aac", "flac", "wav", "pcm"):
        kinds[kind] = len(
            client.audio.speech.create(model="tts-1", voice=CHOSEN, input="Yes.", response_format=kind).content
        )  # type: ignore[arg-type]
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice=CHOSEN, input=TEXT
    ) as answer:
        chunks = [len(chunk) for chunk in answer.iter_bytes()]
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice=CHOSEN, input=TEXT, stream_format="sse", response_format="pcm"
    ) as answer:
        events = [json.loads(line[6:])["type"] for line in answer.iter_lines() if line.startswith("data: ")]
    try:
        client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT)
    except openai.BadRequestError as error:
        refused = str(error)
    try:
        openai.OpenAI(api_key="wrong", base_url=f"{server.url}/v1", max_retries=0).models.list()
    except openai.AuthenticationError as error:
        keyless = str(error)
    heard = client.audio.transcriptions.create(model="whisper-1", file=("x.mp3", whole), language="en").text
    models = [model.id for model in client.models.list()]
    return {
        "mp3": whole[:3].hex(), "kinds": kinds, "chunks": chunks, "events": events, "refused": refused,
        "keyless": keyless, "heard": heard, "models": models,
    }  # fmt: skip


def ask_elevenlabs(server: Server) -> dict[str, Any]:
    """Clone from a file, list, speak, stream, and delete."""
    from elevenlabs.client import ElevenLabs
    from elevenlabs.core import ApiError

    client = ElevenLabs(api_key=server.key, base_url=server.url)
    with server.recording.open("rb") as file:
        voice_id = client.voices.ivc.create(name="Eleven", files=[file], remove_background_noise=True).voice_id
    asked = {"voice_id": voice_id, "text": TEXT, "model_id": "eleven_flash_v2_5"}
    whole = b"".join(client.text_to_speech.convert(**asked))
    chunks = [len(chunk) for chunk in client.text_to_speech.stream(**asked, output_format="pcm_16000")]
    listed = [voice.name for voice in client.voices.get_all().voices]
    found = [voice.voice_id for voice in client.voices.search(search="eleven").voices]
    try:
        ElevenLabs(api_key="wrong", base_url=server.url).voices.get_all()
    except ApiError as error:
        status = error.status_code
    client.voices.delete(voice_id)
    return {"mp3": whole[:3].hex(), "chunks": chunks, "listed": listed, "found": found == [voice_id], "status": status}


def ask_minimax_mcp(server: Server) -> dict[str, Any]:
    """Clone from a file with a preview, list, and speak; with and without a link."""
    os.environ |= {"MINIMAX_API_KEY": server.key, "MINIMAX_API_HOST": server.url, "MINIMAX_API_RESOURCE_MODE": "local"}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MINIMAX_MCP_BASE_PATH"] = folder
        from minimax_mcp import server as mcp

        cloned = mcp.voice_clone(CHOSEN, str(server.recording), TEXT, folder).text
        spoken = mcp.text_to_audio(TEXT, folder, CHOSEN, model="speech-2.8-turbo").text
        files = sorted(path.suffix for path in Path(folder).iterdir() if path.stat().st_size > 1000)
        mcp.resource_mode = "url"
        linked = mcp.text_to_audio(TEXT, folder, CHOSEN, model="speech-2.8-turbo").text
        listed = mcp.list_voices().text
        refused = {}
        for name, call in {
            "model": lambda: mcp.text_to_audio(TEXT, folder, CHOSEN, model="speech-9"),
            "again": lambda: mcp.voice_clone(CHOSEN, str(server.recording), "Else.", folder),
        }.items():
            refused[name] = call().text
    return {"cloned": cloned, "spoken": spoken, "files": files, "linked": linked, "listed": listed, "refused": refused}


def ask_novita(server: Server) -> dict[str, Any]:
    """Clone by a link and speak, as its command line does; its address is the one thing changed."""
    from novita_cli import novita_cli
    from novita_cli.core import client

    client.BASE_URL = server.url
    said = {}
    with tempfile.TemporaryDirectory() as folder:
        speech = f"{folder}/speech.mp3"
        for name, words in {
            "cloned": ["audio", "voice-clone", server.recording_url, "--text", TEXT],
            "spoken": ["audio", "tts", TEXT, "--voice", CHOSEN, "--emotion", "happy", "-o", speech],
            "refused": ["audio", "tts", TEXT, "--voice", "nobody"],
        }.items():
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), contextlib.suppress(SystemExit):
                novita_cli.cli(["--api-key", server.key, *words])
            said[name] = out.getvalue()
        return {**said, "n_bytes": Path(speech).stat().st_size}


def ask_litellm(server: Server) -> dict[str, Any]:
    """Speak as MiniMax's client and as OpenAI's."""
    import litellm

    litellm.suppress_debug_info = True
    theirs = litellm.speech(
        model="minimax/speech-2.8-turbo", voice=CHOSEN, input=TEXT, api_base=server.url, api_key=server.key
    )
    openais = litellm.speech(
        model="openai/tts-1", voice=CHOSEN, input=TEXT, api_base=f"{server.url}/v1", api_key=server.key
    )
    return {"minimax": theirs.content[:3].hex(), "openai": openais.content[:3].hex()}


async def ask_pipecat(server: Server) -> dict[str, Any]:
    """Speak, streamed, as in a pipeline."""
    import aiohttp
    from pipecat.frames.frames import TTSAudioRawFrame
    from pipecat.services.minimax.tts import MiniMaxHttpTTSService

    async with aiohttp.ClientSession() as session:
        service = MiniMaxHttpTTSService(
            api_key=server.key,
            base_url=f"{server.url}/v1/t2a_v2",
            group_id="1",
            aiohttp_session=session,
            sample_rate=24000,
            settings=MiniMaxHttpTTSService.Settings(model="speech-2.8-turbo", voice=CHOSEN),
        )
        service._sample_rate = service._audio_sample_rate = 24000  # what a pipeline's start sets
        frames = [frame async for frame in service.run_tts(TEXT, "1")]
    sizes = [len(frame.audio) for frame in frames if isinstance(frame, TTSAudioRawFrame)]
    return {"n_frames": len(sizes), "duration_s": sum(sizes) / 48000, "n_others": len(frames) - len(sizes)}


async def ask_livekit(server: Server) -> dict[str, Any]:
    """Speak over HTTP and over a WebSocket, text by text."""
    import aiohttp
    from livekit.plugins import minimax

    lengths = {}
    async with aiohttp.ClientSession() as session:
        for audio_format in ("mp3", "pcm"):
            tts = minimax.TTS(
                model="speech-2.8-turbo",
                voice=CHOSEN,
                audio_format=audio_format,
                api_key=server.key,
                base_url=server.url,
                http_session=session,
            )
            frame = await tts.synthesize(TEXT).collect()
            lengths[f"http {audio_format}"] = frame.duration
            stream = tts.stream()
            for word in f"{TEXT} Nobody went ashore at all.".split(" "):
                stream.push_text(f"{word} ")
            stream.end_input()
            lengths[f"socket {audio_format}"] = sum([event.frame.duration async for event in stream])
            await stream.aclose()
            await tts.aclose()
    return lengths


CLIENTS: dict[str, Callable[[Server], dict[str, Any] | Awaitable[dict[str, Any]]]] = {
    "minimax-mcp": ask_minimax_mcp,  # the first: the others speak with the voice that it clones
    "openai": ask_openai,
    "elevenlabs": ask_elevenlabs,
    "novita": ask_novita,
    "litellm": ask_litellm,
    "pipecat": ask_pipecat,
    "livekit": ask_livekit,
}


def installed(client: str) -> bool:
    """Tell whether a client is here."""
    try:
        return find_spec(MODULES[client]) is not None
    except ModuleNotFoundError:
        return False


def answer_of(client: str, server: Server) -> Any:
    """Return what a client was answered, or how it failed."""
    try:
        answer = CLIENTS[client](server)
        return asyncio.run(answer) if asyncio.iscoroutine(answer) else answer
    except Exception:  # noqa: BLE001  told to the test
        return traceback.format_exc()


def main() -> None:
    """Let every client that is here ask."""
    url, key, recording, recording_url = sys.argv[1:5]
    server = Server(url, key, Path(recording), recording_url)
    answers = {client: answer_of(client, server) for client in CLIENTS if installed(client)}
    print(json.dumps(answers))  # noqa: T201


if __name__ == "__main__":
    main()
