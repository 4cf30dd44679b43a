"""Two front ends and one library: whatever is asked of one may be asked of the other."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
import requests
from gradio_client import Client, handle_file

from clone.studio.admission import MAX_JOBS_PER_OWNER
from tests.running import COLD, App
from tests.scale import racing, simulated
from tests.scale.racing import Host
from tests.scale.servers import S3, SECRET, Bucket, Cluster, Postgres, shared
from tests.serving import bearer, decoded, files, owner_of
from tests.studios import order

KEYS = tuple(f"{each}-key-for-tests" for each in ("first", "second", "third", "fourth"))
COUNTED = "key-whose-calls-are-counted"
TEXT = "The harbour was quiet this morning."
MODEL = "speech-02-turbo"
LEASE_S = 3.0
BEFORE = f"from tests.scale import simulated; simulated.install({LEASE_S})\n{COLD}"
WITHIN_S = 60


class Two:
    """The front ends, and what they share."""

    def __init__(self, root: Path, postgresql: Cluster, s3: S3) -> None:
        self.postgres: Postgres = postgresql.database()
        self.bucket: Bucket = s3.bucket(f"b{uuid4().hex[:12]}")
        self.finished = root / "finished"
        environment = s3.environment | {
            "TIMBRE_DATABASE_URL": self.postgres,
            "TIMBRE_STORE_URL": self.bucket.url,
            "TIMBRE_SECRET": SECRET,
            "TIMBRE_API_KEYS": ",".join((*KEYS, COUNTED)),
            "TIMBRE_ALLOW_PRIVATE_URLS": "1",
            simulated.FINISHED: str(self.finished),
        }
        self.root, self.environment = root, environment
        self.apps = [App(root / name, BEFORE, **environment) for name in "ab"]
        for app in self.apps:
            app.start()

    def post(self, i: int, path: str, body: object, key: str = KEYS[0]) -> requests.Response:
        return requests.post(self.apps[i].url + path, json=body, headers=bearer(key), timeout=WITHIN_S)

    def get(self, i: int, path: str, key: str = KEYS[0]) -> requests.Response:
        return requests.get(self.apps[i].url + path, headers=bearer(key), timeout=WITHIN_S)

    def speak(self, i: int, voice_id: str, key: str = KEYS[0], **more: object) -> requests.Response:
        return self.post(i, f"/v3/minimax-{MODEL}", {"text": TEXT, "voice_setting": {"voice_id": voice_id}} | more, key)

    def at(self, i: int, link: str) -> str:
        """Return a link as the other front end would give it out."""
        return self.apps[i].url + link.removeprefix(self.apps[0].url).removeprefix(self.apps[1].url)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, postgresql: Cluster, s3: S3) -> Iterator[Two]:
    running = Two(tmp_path_factory.mktemp("two"), postgresql, s3)
    yield running
    for app in running.apps:
        app.stop()


@pytest.fixture(scope="module")
def voice_id(two: Two, examples: list[Path]) -> Iterator[str]:
    """A voice that was cloned at A."""
    audio = next(path for path in examples if path.suffix == ".mp3")
    with files(audio.parent) as url:
        answer = two.post(0, "/v3/minimax-voice-cloning", {"audio_url": f"{url}/{audio.name}"})
        assert answer.status_code == 200, answer.text
        again = two.post(1, "/v3/minimax-voice-cloning", {"audio_url": f"{url}/{audio.name}"})
        assert again.json()["voice_id"] == answer.json()["voice_id"]
        yield str(answer.json()["voice_id"])


def test_a_voice_of_one_speaks_at_the_other(two: Two, voice_id: str) -> None:
    for i in range(2):
        answer = two.speak(i, voice_id)
        assert answer.status_code == 200, answer.text
        assert answer.json()["audio"]


def test_the_page_at_one_and_the_api_at_the_other(two: Two, examples: list[Path], tmp_path: Path) -> None:
    page = Client(
        two.apps[0].url, headers=bearer(KEYS[1]), download_files=tmp_path, verbose=False, analytics_enabled=False
    )
    said, _ = page.predict(handle_file(examples[0]), True, api_name="/clone")
    cloned = json.loads(said)["voice_id"]
    answer = two.speak(1, cloned, KEYS[1])
    assert answer.status_code == 200, answer.text
    assert len(decoded(bytes.fromhex(answer.json()["audio"]))[0]) > 1000
    assert cloned in page.predict(api_name="/voices")
    assert requests.delete(f"{two.apps[1].url}/v3/voices/{cloned}", headers=bearer(KEYS[1]), timeout=60).ok
    assert cloned not in page.predict(api_name="/voices")
    assert not [key for key in two.bucket.files() if cloned in key]


def test_a_link_of_one_is_good_at_the_other_and_leads_into_the_bucket(two: Two, voice_id: str) -> None:
    link = two.speak(0, voice_id, output_format="url").json()["audio"]
    for i in range(2):
        answer = requests.get(two.at(i, link), timeout=WITHIN_S, allow_redirects=False)
        assert answer.status_code == 307
        assert "no-store" in answer.headers["Cache-Control"]
        led = urlsplit(answer.headers["Location"])
        assert int(parse_qs(led.query)["X-Amz-Expires"][0]) <= 3600
        assert "not-a-secret" not in answer.headers["Location"]
        sound = requests.get(two.at(i, link), timeout=WITHIN_S)
        assert (sound.status_code, sound.headers["Content-Type"]) == (200, "audio/mpeg")
        assert len(sound.content) > 1000
        part = requests.get(two.at(i, link), headers={"Range": "bytes=0-9"}, timeout=WITHIN_S)
        assert (part.status_code, part.content) == (206, sound.content[:10])
        head = requests.head(two.at(i, link), timeout=WITHIN_S, allow_redirects=True)
        assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(sound.content)))
    wrong = two.at(1, link)[:-1] + ("0" if link[-1] != "0" else "1")
    assert requests.get(wrong, timeout=WITHIN_S).status_code == 404
    two.postgres.rows("UPDATE tasks SET expires_at = '2020-01-01T00:00:00.000000+00:00'")
    for i in range(2):
        assert requests.get(two.at(i, link), timeout=WITHIN_S).status_code == 404
    assert not [path for app in two.apps for path in (app.home / "copies").rglob("speech*") if path.is_file()]


def test_visitors_have_one_secret_at_both(two: Two) -> None:
    def secrets(app: App) -> list[str]:
        config = requests.get(f"{app.url}/config", timeout=WITHIN_S).json()
        return [each["props"]["secret"] for each in config["components"] if each["type"] == "browserstate"]

    assert secrets(two.apps[0]) == secrets(two.apps[1])
    assert len(secrets(two.apps[0])) == 2
    assert SECRET not in str(secrets(two.apps[0]))


def test_calls_are_counted_together(two: Two) -> None:
    answers = [two.speak(n % 2, "nobody", COUNTED) for n in range(80)]
    let_in = [answer for answer in answers if answer.status_code != 429]
    assert len(let_in) == 60
    refused = answers[-1]
    assert refused.json()["metadata"]["limit"] == "60"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


def test_one_owner_takes_no_more_places_at_two_hosts_than_at_one(two: Two, examples: list[Path]) -> None:
    """Each host would take nine by itself: one at work, and eight in line."""
    audio = next(path for path in examples if path.suffix == ".mp3")
    with files(audio.parent) as url:
        cloned = two.post(0, "/v3/minimax-voice-cloning", {"audio_url": f"{url}/{audio.name}"}, KEYS[2])
    text = "This is a sentence. " * 8

    def speak(n: int) -> requests.Response:
        return two.speak(n % 2, cloned.json()["voice_id"], KEYS[2], text=text)

    with ThreadPoolExecutor(14) as many:
        answers = list(many.map(speak, range(14)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) == 14 - MAX_JOBS_PER_OWNER
    assert {(answer.status_code, answer.json()["metadata"]["code"]) for answer in refused} == {(429, "quota_work")}
    assert speak(0).status_code == speak(1).status_code == 200  # every place is free again


def test_a_lost_database_is_an_answer_and_passes(two: Two, voice_id: str, postgresql: Cluster) -> None:
    postgresql.stop()
    try:
        for i in range(2):
            answer = two.speak(i, voice_id, KEYS[1])
            assert answer.status_code == 503, answer.text
            assert "psycopg" not in answer.text
            assert two.get(i, "/healthz").status_code == 503
    finally:
        postgresql.start()
    for i in range(2):
        assert two.speak(i, voice_id).status_code == 200
    for app in two.apps:
        assert SECRET not in app.log.read_text()


def test_whoever_is_killed_every_task_is_done_once(two: Two, s3: S3, examples: list[Path]) -> None:
    """40 tasks; of two workers one is killed every two seconds, and one front end killed and started again."""
    settings = [shared(racing.home(two.root, i), two.postgres, two.bucket.url) for i in range(3)]
    environment = s3.environment | {simulated.FINISHED: str(two.finished)}
    maker = Host(environment)
    audio = next(path for path in examples if path.suffix == ".mp3")
    asked = []
    for key in KEYS:
        maker.ask(time.time(), racing.clone, settings[2], order(audio, owner_of(key)))
        voice_id = maker.answer()
        for n in range(10):
            text = f"This is number {n}. It is said once. Then it is over."
            body = {"text": text, "voice_setting": {"voice_id": voice_id}}
            answer = two.post(len(asked) % 2, f"/v3/async/minimax-{MODEL}", body, key)
            assert answer.status_code == 200, answer.text
            asked.append((key, answer.json()["task_id"]))
    maker.end()
    workers = [Host(environment) for _ in range(2)]
    for worker, each in zip(workers, settings, strict=False):
        worker.ask(time.time(), racing.serve, each, LEASE_S)
    chance, end, n_kills = random.Random(5), time.monotonic() + 120, 0
    while two.postgres.rows("SELECT 1 FROM tasks WHERE status <> 'TASK_STATUS_SUCCEED' LIMIT 1"):
        assert time.monotonic() < end, two.postgres.rows("SELECT status, count(*) FROM tasks GROUP BY status")
        time.sleep(2)
        at = chance.randrange(2)
        workers[at].kill()
        workers[at] = Host(environment)
        workers[at].ask(time.time(), racing.serve, settings[at], LEASE_S)
        n_kills += 1
        if n_kills == 1:
            two.apps[1].process.kill()
            two.apps[1].process.wait(10)
            two.apps[1].start()
    for worker in workers:
        worker.kill()
    assert n_kills >= 2
    assert len(asked) == 40
    done = two.finished.read_text().split()
    assert len(done) == len(set(done))
    for key, task_id in asked:
        answer = two.get(0, f"/v3/async/task-result?task_id={task_id}", key).json()
        assert answer["task"]["status"] == "TASK_STATUS_SUCCEED"
        sound = requests.get(answer["audios"][0]["audio_url"], timeout=WITHIN_S)
        assert sound.status_code == 200
    rows = two.postgres.rows("SELECT task_id, file FROM tasks")
    spoken = {key for key in two.bucket.files() if key.startswith("speech/")}
    assert spoken == {f"speech/{task_id}/{file}" for task_id, file in rows}


def test_no_bucket_was_listed(two: Two) -> None:
    assert not two.bucket.listings(), "\n".join(two.bucket.listings())
