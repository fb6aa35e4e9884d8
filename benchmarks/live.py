"""`python -m benchmarks.live`: what a page takes that draws faces while somebody speaks.

In a browser (Chromium) somebody speaks for minutes, in recordings as long as the page takes them, and after each its
requests and memory are printed.

Then eight such pages, by their requests alone, ask a server beside a client that draws faces by REST: its latencies
without and with them, in turns, so that whatever else the machine does meets both.
"""

import asyncio
import json
import os
import pathlib
import shutil
import sys
import tempfile
import threading
import time

import aiohttp
import numpy as np
from absl import flags

from benchmarks.load import rest_load
from s2f_tf import command

_MINUTES = flags.DEFINE_float("minutes", 5.0, "of talk in the browser; 0 leaves it out", lower_bound=0.0)
_PAGES = flags.DEFINE_integer("pages", 8, "at once", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 10.0, "of each turn of the client", lower_bound=1.0)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "turns without pages and with them; 0 leaves them out", lower_bound=0)

_PIECES = (1.0, 2.0, 3.0)  # seconds: so a piece grows in serving/page/live.js
_FACES = 6
_COUNT = """
    window.counted = { embed_speech: 0, generate_from_embedding: 0, sent: 0 };
    const { fetch } = window;
    window.fetch = (...what) => {
        if (what[1]) {
            window.counted[JSON.parse(what[1].body).signature_name]++;
            window.counted.sent += what[1].body.length;
        }
        return fetch(...what);
    };"""


def main() -> None:
    """Measures and prints both tables."""
    from benchmarks.server_process import ServerProcess
    from serving import demo_model

    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start", file=sys.stderr)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        flag = f"--model_base_path={demo_model.base_path()}"
        with ServerProcess("--model_name=s2f", flag, log=folder / "log") as server:
            if _MINUTES.value:
                _talk(server.url, folder)
            if _ROUNDS.value:
                _beside(f"{server.url}/v1/models/s2f:predict")


def _talk(url: str, folder: pathlib.Path) -> None:
    from selenium import webdriver

    from serving.page_api import FOLDER

    shutil.copy(pathlib.Path(FOLDER) / "examples" / "1.wav", folder / "microphone.wav")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    microphone = f"--use-file-for-fake-audio-capture={folder / 'microphone.wav'}"
    fake = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", microphone)
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", *fake):
        options.add_argument(flag)
    print(
        "| seconds | requests to hear | requests to draw | MB sent | JavaScript's memory, MB |\n|---|---|---|---|---|"
    )
    with webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver"))) as driver:
        driver.get(f"{url}/")
        driver.execute_script(_COUNT)
        start = time.monotonic()
        while time.monotonic() - start < 60 * _MINUTES.value:
            driver.execute_script("document.getElementById('record').click()")
            for state in ("true", "false"):  # it listens, and ends by itself
                while driver.execute_script("return document.getElementById('record').ariaPressed") != state:
                    time.sleep(0.2)
            spoken = time.monotonic() - start
            counted = driver.execute_script("return window.counted")
            driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
            memory = driver.execute_cdp_cmd("Runtime.getHeapUsage", {})
            used = (memory["usedSize"] + memory["backingStorageSize"]) / 1e6
            heard, drawn = counted["embed_speech"], counted["generate_from_embedding"]
            print(f"| {spoken:.0f} | {heard} | {drawn} | {counted['sent'] / 1e6:.1f} | {used:.1f} |", flush=True)


def _beside(url: str) -> None:
    from benchmarks import face_request

    latencies: dict[int, list[np.ndarray]] = {0: [], _PAGES.value: []}
    body = face_request.for_rest(face_request.voice(3.0))
    with _Pages(url) as pages:
        for _ in range(_ROUNDS.value):
            for count, turns in latencies.items():
                pages.speaking = bool(count)
                turns.append(rest_load(url, body, 1, _SECONDS.value).latencies)
    print("\n| pages | requests of the other client | p50, ms | p95, ms | p99, ms |\n|---|---|---|---|---|")
    for count, turns in latencies.items():
        all_ = 1e3 * np.concatenate(turns)
        p50, p95, p99 = np.percentile(all_, (50, 95, 99))
        print(f"| {count} | {len(all_)} | {p50:.0f} | {p95:.0f} | {p99:.0f} |")


class _Pages:
    """Pages in which somebody speaks while `speaking` is true, on a thread of their own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.speaking = False
        self._ended = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    def __enter__(self) -> "_Pages":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join()

    async def _all(self) -> None:
        from benchmarks import face_request

        sounds = [json.loads(face_request.for_rest(face_request.voice(seconds)))["inputs"] for seconds in _PIECES]
        hear = [_body("embed_speech", wav_bytes=sound["wav_bytes"]) for sound in sounds]
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            async with session.get(self._url.replace("v1/models/s2f:predict", "info")) as response:
                info = await response.json()
            rng = np.random.default_rng(0)
            embedding = rng.normal(size=info["embedding_size"])
            embeddings = [(embedding / np.linalg.norm(embedding)).tolist()] * _FACES
            zs = rng.normal(size=(_FACES, info["z_size"])).tolist()
            draw = _body("generate_from_embedding", embedding=embeddings, z=zs)
            await asyncio.gather(*(self._page(session, hear, draw, i / _PAGES.value) for i in range(_PAGES.value)))

    async def _page(self, session: aiohttp.ClientSession, hear: list[bytes], draw: bytes, later: float) -> None:
        await asyncio.sleep(later)  # they do not begin together
        second = 0
        while not self._ended:
            begun = time.monotonic()
            if self.speaking:
                for body in (hear[second % len(hear)], draw):
                    async with session.post(self._url, data=body) as response:
                        await response.read()
                second += 1
            await asyncio.sleep(max(0.0, begun + 1 - time.monotonic()))


def _body(signature: str, **inputs: object) -> bytes:
    return json.dumps({"signature_name": signature, "inputs": inputs}).encode()


if __name__ == "__main__":
    command.run(main)
