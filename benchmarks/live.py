"""`python -m benchmarks.live`: what a page takes that draws faces while somebody speaks.

In a browser (Chromium) somebody speaks for minutes, in recordings as long as the page takes them. After each is printed
how soon the first face was there and how often faces came in ten seconds, and the requests and the memory until then.

Then eight such pages, by their requests alone, ask a server beside a client that draws faces by REST: its latencies
without and with them, in turns, so that whatever else the machine does meets both; and what of the processor the server
takes for the pages alone.
"""

import asyncio
import base64
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
from benchmarks.server_process import ServerProcess
from s2f_tf import command

_MINUTES = flags.DEFINE_float("minutes", 5.0, "of talk in the browser; 0 leaves it out", lower_bound=0.0)
_PAGES = flags.DEFINE_integer("pages", 8, "at once", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 10.0, "of each turn of the client", lower_bound=1.0)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "turns without pages and with them; 0 leaves them out", lower_bound=0)

_TALK = (
    "seconds",
    "first face after the first voice, s",
    "faces in ten seconds, times",
    "requests to hear",
    "requests to draw",
    "faces drawn",
    "MB sent",
    "JavaScript's memory, MB",
    "server's memory, MB",
)
_BESIDE = ("pages", "requests of the other client", "p50, ms", "p95, ms", "p99, ms")
_RATE = 48_000  # Hz, of a microphone
_PIECES = (1.0, 2.0, 3.0)  # seconds: so a piece grows in serving/page/live.js
_FACES = 6
_WATCH = """
    window.counted = { embed_speech: 0, generate_from_embedding: 0, faces: 0, sent: 0 };
    window.begin = () => { window.spoken = window.seen = null; window.updates = []; };
    const { fetch } = window, { putImageData } = CanvasRenderingContext2D.prototype;
    window.fetch = async (...what) => {
        if (!what[1]) return fetch(...what);
        const { signature_name: signature, inputs } = JSON.parse(what[1].body);
        window.counted[signature]++;
        window.counted.faces += inputs.z?.length ?? 0;
        window.counted.sent += what[1].body.length;
        const response = await fetch(...what);
        await response.clone().arrayBuffer();
        if (signature === "generate_from_embedding") window.updates.push(performance.now());
        return response;
    };
    window.AudioWorkletNode = class extends AudioWorkletNode {
        constructor(...what) {
            super(...what);
            this.port.addEventListener("message", ({ data: [samples] }) => {
                if (samples.some((sample) => Math.abs(sample) > 0.01)) {
                    window.spoken ??= performance.now() - 1000 * samples.length / this.context.sampleRate;
                }
            });
        }
    };
    CanvasRenderingContext2D.prototype.putImageData = function (...what) {
        window.seen ??= performance.now();
        putImageData.apply(this, what);
    };"""
_TOLD = """
    const { spoken, seen, updates, counted } = window;
    return {
        ...counted,
        first: (seen - spoken) / 1000,
        soon: updates.filter((at) => at < spoken + 10000).length,
    };"""


def main() -> None:
    """Measures and prints both tables."""
    from serving import demo_model

    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start", file=sys.stderr)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        flag = f"--model_base_path={demo_model.base_path()}"
        with ServerProcess("--model_name=s2f", flag, log=folder / "log") as server:
            if _MINUTES.value:
                _talk(server, folder)
            if _ROUNDS.value:
                _beside(server)


def _talk(server: ServerProcess, folder: pathlib.Path) -> None:
    from selenium import webdriver

    from serving.page_api import FOLDER

    shutil.copy(pathlib.Path(FOLDER) / "examples" / "1.wav", folder / "microphone.wav")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    microphone = f"--use-file-for-fake-audio-capture={folder / 'microphone.wav'}"
    fake = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", microphone)
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", *fake):
        options.add_argument(flag)
    print(_row(*_TALK), _row(*["---"] * len(_TALK)), sep="\n", flush=True)
    with webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver"))) as driver:
        driver.get(f"{server.url}/")
        driver.execute_script(_WATCH)
        start = time.monotonic()
        while time.monotonic() - start < 60 * _MINUTES.value:
            driver.execute_script("window.begin(); document.getElementById('record').click()")
            for said in ("Listening", "Faces for voice"):  # it ends by itself
                while not driver.find_element("id", "status").text.startswith(said):
                    time.sleep(0.2)
            spoken = time.monotonic() - start
            told = driver.execute_script(_TOLD)
            driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
            memory = driver.execute_cdp_cmd("Runtime.getHeapUsage", {})
            row = _row(
                f"{spoken:.0f}",
                f"{told['first']:.2f}",
                told["soon"],
                told["embed_speech"],
                told["generate_from_embedding"],
                told["faces"],
                f"{told['sent'] / 1e6:.1f}",
                f"{(memory['usedSize'] + memory['backingStorageSize']) / 1e6:.1f}",
                f"{server.memory() / 1e6:.0f}",
            )
            print(row, flush=True)


def _beside(server: ServerProcess) -> None:
    from benchmarks import face_request

    latencies: dict[int, list[np.ndarray]] = {0: [], _PAGES.value: []}
    url = f"{server.url}/v1/models/s2f:predict"
    body = face_request.for_rest(face_request.voice(3.0))
    with _Pages(url) as pages:
        for _ in range(_ROUNDS.value):
            for count, turns in latencies.items():
                pages.speaking = bool(count)
                turns.append(rest_load(url, body, 1, _SECONDS.value).latencies)
        busy, drawn = server.processor(), pages.drawn  # of the pages alone, which speak on
        time.sleep(_SECONDS.value)
        busy, drawn = server.processor() - busy, pages.drawn - drawn
    print("", _row(*_BESIDE), _row(*["---"] * len(_BESIDE)), sep="\n")
    for count, turns in latencies.items():
        all_ = 1e3 * np.concatenate(turns)
        print(_row(count, len(all_), *(f"{value:.0f}" for value in np.percentile(all_, (50, 95, 99)))))
    print(
        f"\n{_PAGES.value} pages alone draw {drawn / _SECONDS.value:.1f} times a second, and take "
        f"{busy / _SECONDS.value:.2f} of a core of the server: {1e3 * busy / drawn:.0f} ms each time."
    )


class _Pages:
    """Pages in which somebody speaks while `speaking` is true, on a thread of their own.

    Attributes:
        drawn: how often they were answered with faces.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.speaking = False
        self.drawn = 0
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

        sounds = [face_request.voice(seconds, _RATE) for seconds in _PIECES]
        hear = [_body("embed_speech", wav_bytes=[{"b64": base64.b64encode(wav).decode()}]) for wav in sounds]
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
                self.drawn += 1
            await asyncio.sleep(max(0.0, begun + 1 - time.monotonic()))


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _body(signature: str, **inputs: object) -> bytes:
    return json.dumps({"signature_name": signature, "inputs": inputs}).encode()


if __name__ == "__main__":
    command.run(main)
