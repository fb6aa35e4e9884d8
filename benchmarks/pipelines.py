"""`python -m benchmarks.pipelines`: what it costs to make clips of videos, by stage, and what a second worker brings.

Videos are made of a portrait that moves and babbles (scikit-image's, of the `dev` extra), or taken from `--input`.
Stages are told in processor time, which other work on the machine disturbs little; each size has a process of its own,
kept to one thread as the workers of the job are. The detector is beside MTCNN as its package comes, called for one
frame after the other on the very same frames; the two take turns. So do stills of that portrait, from pixels to face,
one after the other and as many together as the job looks at. One worker and two make the same corpus in turns; the
clock runs from when each worker has done a video to the last one, so that the start of Python, Beam and the detector is
not in it.
"""

import collections
import concurrent.futures
import contextlib
import functools
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from absl import flags

from s2f_tf import command
from s2f_tf.errors import UserError

_INPUT = flags.DEFINE_string("input", None, "folder of videos, as of --source=folder; by default some are made")
_HEIGHTS = flags.DEFINE_multi_integer("heights", [360, 1080], "of the videos that are made; may be given again")
_SECONDS = flags.DEFINE_float("seconds", 8.0, "of each of them", lower_bound=2.0)
_VIDEOS = flags.DEFINE_integer("videos", 60, "how many the workers get", lower_bound=4)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "turns of each", lower_bound=1)

_STAGES = ("decode", "listen", "detect", "align", "encode")
_FRAMES = 8  # that the detectors get at once: those of a clip
_STILL = 200  # pixels a side


def main() -> None:
    """Measures and prints the tables."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"input": pathlib.Path(_INPUT.value)} if _INPUT.value else {}
        for height in [] if _INPUT.value else _HEIGHTS.value:
            folders[f"{height}p"] = _made(pathlib.Path(scratch) / f"{height}p", height, _SECONDS.value, _VIDEOS.value)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start", file=sys.stderr)
        print(_stage_table({name: _alone(stages, str(folder), _ROUNDS.value) for name, folder in folders.items()}))
        measured = {name: _alone(detectors, str(path), _ROUNDS.value) for name, path in folders.items()}
        print(_table(("frames", "MTCNN in a loop, ms a frame", "ours, ms a frame", "ours to MTCNN"), measured))
        measured = {f"{_STILL} pixels": _alone(stills, _ROUNDS.value)}
        print(_table(("stills", "one by one, ms a still", "together, ms a still", "together to one by one"), measured))
        print(_worker_table(_workers(next(iter(folders.values())), pathlib.Path(scratch), _ROUNDS.value)))
        print(f"load {os.getloadavg()[0]:.1f} at the end", file=sys.stderr)


def stages(folder: str, rounds: int) -> dict[str, float]:
    """Processor seconds of each stage, the seconds of video, and the clips, of up to 6 videos, so many times."""
    from pipelines import extract, quality, results, sources, video
    from s2f_tf import face_detection
    from s2f_tf.data import clip

    settings = extract.Settings(face_size=128, faces_per_clip=4, max_seconds=20.0, audio_format="flac")
    spent: dict[str, float] = collections.defaultdict(float)
    detector = face_detection.shared_detector()
    detector.find([np.zeros((360, 640, 3), np.uint8)] * _FRAMES)  # builds its graphs
    for module, name, stage in (
        (video.Pictures, "at", "decode"),
        (extract, "_utterances", "listen"),
        (face_detection.Detector, "find", "detect"),
        (quality, "crop", "align"),
        (face_detection, "encode", "encode"),
        (clip, "encode", "encode"),
    ):
        setattr(module, name, _timed(getattr(module, name), stage, spent))
    rows = list(sources.rows("folder", folder, None))[:6]
    with tempfile.TemporaryDirectory() as aside:
        for _ in range(rounds):
            for speaker, row in rows:
                (item,) = sources.items("folder", [row], speaker)
                begin = time.process_time()
                results.write(aside, item, "", extract.extract(item, settings, detector), settings.audio_format)
                spent["all"] += time.process_time() - begin
                spent["clips"] += len(results.read(aside, item).clips)
                spent["video"] += _duration(item.path)
    return dict(spent)


def detectors(folder: str, rounds: int) -> list[tuple[float, float]]:
    """Milliseconds of processor time for each frame, of the bare detector and of ours, in turns on the same frames."""
    import cv2
    from mtcnn import MTCNN

    from pipelines import sources, video
    from s2f_tf import face_detection

    bare, ours = MTCNN(), face_detection.shared_detector()
    _, row = next(sources.rows("folder", folder, None))
    with video.Pictures(row["path"]) as pictures:
        shown = pictures.at(pictures.start + np.linspace(0.1, _duration(row["path"]) - 0.2, _FRAMES))
    scale = min(1.0, 480 / max(shown[0][1].shape))
    frames = [cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for _, picture in shown]
    ways = (lambda: [bare.detect_faces(frame) for frame in frames], lambda: ours.find(frames))
    turns = [tuple(_spent(way) / len(frames) for way in ways) for _ in range(rounds + 1)]
    return turns[1:]  # the first one builds what both need


def stills(rounds: int) -> list[tuple[float, float]]:
    """Milliseconds of processor time for each still, one after the other and together, in turns on the same stills."""
    from pipelines import extract, pairs
    from s2f_tf import face_detection
    from tests import videos

    settings = extract.Settings(face_size=64, faces_per_clip=1, max_seconds=20.0, audio_format="wav")
    detector = face_detection.shared_detector()
    shown = [
        videos.portrait(shift=10 * np.sin(index), zoom=1 + index / 200, width=_STILL, height=_STILL)
        for index in range(pairs.TOGETHER)
    ]
    ways = (
        lambda: [pairs.faces([picture], settings, detector) for picture in shown],
        lambda: pairs.faces(shown, settings, detector),
    )
    turns = [tuple(_spent(way) / len(shown) for way in ways) for _ in range(rounds + 1)]
    return turns[1:]  # the first one builds what both need


def _spent(call: Callable[[], Any]) -> float:
    begin = time.process_time()
    call()
    return 1000 * (time.process_time() - begin)


def _timed(call: Callable[..., Any], stage: str, spent: dict[str, float]) -> Callable[..., Any]:
    """The same function, which adds up what it takes; of a generator, what each step takes."""

    @functools.wraps(call)
    def timed(*arguments: Any, **named: Any) -> Any:
        begin = time.process_time()
        found = call(*arguments, **named)
        spent[stage] += time.process_time() - begin
        return _timed_steps(found, stage, spent) if isinstance(found, Iterator) else found

    return timed


def _timed_steps(steps: Iterator[Any], stage: str, spent: dict[str, float]) -> Iterator[Any]:
    while True:
        begin = time.process_time()
        try:
            found = next(steps)
        except StopIteration:
            return
        finally:
            spent[stage] += time.process_time() - begin
        yield found


def _alone(measure: Callable[..., Any], *arguments: Any) -> Any:
    """Calls it in a process of its own, kept to one thread."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _one_thread) as pool:
        return pool.submit(measure, *arguments).result()


def _one_thread() -> None:
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    import cv2

    cv2.setNumThreads(1)


def _workers(folder: pathlib.Path, scratch: pathlib.Path, rounds: int) -> dict[int, list[float]]:
    """Videos a second of one worker and of two, in turns."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(rounds):
        for count, found in rates.items():
            output = scratch / f"clips-{count}-{turn}"
            found.append(_rate(folder, output, count))
            print(f"turn {turn + 1} of {rounds}, {count} workers: {found[-1]:.2f} videos a second", file=sys.stderr)
    return rates


def _rate(folder: pathlib.Path, output: pathlib.Path, workers: int) -> float:
    run = [sys.executable, "-m", "pipelines.prepare", "--source=folder", f"--input={folder}", f"--output={output}"]
    job = subprocess.Popen([*run, f"--workers={workers}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    seen: list[tuple[float, int]] = []
    while job.poll() is None:
        done = _done(output)
        if len(done) == workers and min(done) > 0 and (not seen or sum(done) > seen[-1][1]):
            seen.append((time.monotonic(), sum(done)))
        time.sleep(0.02)
    if job.returncode:
        raise UserError(f"the job failed: {job.stderr.read().decode(errors='replace')[-500:]}")
    (start, before), (stop, after) = seen[0], seen[-1]
    return (after - before) / (stop - start)


def _done(output: pathlib.Path) -> list[int]:
    """How many videos each worker has done."""
    found = []
    with contextlib.suppress(FileNotFoundError):  # the job has ended meanwhile
        for path in output.glob(".unfinished/progress/*.json"):
            found.append(json.loads(path.read_text())["videos"])
    return found


def _made(folder: pathlib.Path, height: int, seconds: float, count: int) -> pathlib.Path:
    """A folder of one video, under the names of as many people."""
    from tests import videos

    width = height * 16 // 9
    pictures = [
        videos.portrait(shift=height / 20 * np.sin(index / 12), width=width, height=height)
        for index in range(round(25 * seconds))
    ]
    videos.write(folder / "0" / "a.mp4", pictures, [(0.0, videos.voice(1, seconds))], rate=25)
    for number in range(1, count):
        (folder / str(number)).mkdir()
        (folder / str(number) / "a.mp4").symlink_to(folder / "0" / "a.mp4")
    return folder


def _duration(path: str) -> float:
    import av

    with av.open(path) as container:
        return container.duration / av.time_base


def _stage_table(measured: dict[str, dict[str, float]]) -> str:
    lines = [
        "| videos | " + " | ".join(f"{stage}, ms a second of video" for stage in _STAGES) + " | all "
        "| seconds of video a second and core | processor seconds a clip |",
        "|" + "---|" * (len(_STAGES) + 4),
    ]
    for name, spent in measured.items():
        cells = [f"{1000 * spent[stage] / spent['video']:.1f}" for stage in (*_STAGES, "all")]
        cells += [f"{spent['video'] / spent['all']:.1f}", f"{spent['all'] / max(1, spent['clips']):.2f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _table(titles: tuple[str, str, str, str], measured: dict[str, list[tuple[float, float]]]) -> str:
    """Of two ways to do the same, what each takes and how the second is to the first: median and range of the turns."""
    lines = [f"| {' | '.join(titles)} |", "|---|---|---|---|"]
    for name, turns in measured.items():
        first, second = (statistics.median(column) for column in zip(*turns, strict=True))
        ratios = [after / before for before, after in turns]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"| {name} | {first:.1f} | {second:.1f} | {spread} |")
    return "\n".join(lines) + "\n"


def _worker_table(rates: dict[int, list[float]]) -> str:
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    return (
        "| one worker, videos a second | two workers | two to one |\n|---|---|---|\n"
        f"| {statistics.median(rates[1]):.2f} | {statistics.median(rates[2]):.2f} "
        f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
    )


if __name__ == "__main__":
    command.run(main)
