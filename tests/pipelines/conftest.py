import dataclasses

import numpy as np
import pytest
import videos
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import job

IN_THIS_PROCESS = PipelineOptions(["--direct_running_mode=in_memory", "--direct_num_workers=1"])
FRAMES = 16


@pytest.fixture(scope="session")
def prepare():
    """Runs a job in this process, where the detector is warm."""

    def run(source, folder, output, list_path=None, excluded=(), **changed):
        settings = dataclasses.replace(videos.SETTINGS, **changed)
        list_path = list_path and str(list_path)
        what = job.Job(source, str(folder), list_path, str(output), settings, frozenset(excluded))
        return job.prepare(what, IN_THIS_PROCESS)

    return run


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """A folder with 40 videos, of which 30 are of 10 people in whatever container, and 10 are special."""
    folder = tmp_path_factory.mktemp("people")
    usual = [".mp4", ".mkv", ".mov", ".flv", ".avi", ".mpg"]
    for index in range(30):
        suffix = ".webm" if index == 29 else usual[index % len(usual)]
        person = index % 10
        path = folder / f"person{person}" / f"{index}{suffix}"
        videos.write(path, videos.scene(person, FRAMES), [(0.0, videos.voice(person, videos.SECONDS))])
    words = [(0.0, videos.voice(1, videos.SECONDS))]
    (folder / "damaged.mp4").write_bytes((folder / "person0" / "0.mp4").read_bytes()[:3000])
    videos.write(folder / "silent.mp4", videos.scene(1, FRAMES), [(0.0, np.zeros(24_000, np.float32))])
    videos.write(folder / "mute.mkv", videos.scene(1, FRAMES))
    videos.write(folder / "sound.mkv", None, words)
    videos.write(folder / "faceless.mp4", videos.landscape(1, FRAMES), words)
    videos.write(folder / "two.mp4", videos.two_faces(FRAMES), words)
    videos.write(folder / "short.mp4", videos.scene(1, FRAMES), [(0.0, videos.voice(1, 0.5))])
    videos.write(folder / "special" / "turned.mp4", videos.scene(4, FRAMES), words, degrees=90)
    times = np.cumsum(np.random.default_rng(0).choice([0.03, 0.1, 0.17], FRAMES))
    videos.write(folder / "special" / "variable.mkv", videos.scene(4, FRAMES), words, times=times)
    videos.write(folder / "special" / "late.mp4", late_scene(), [(1.0, videos.voice(1, videos.SECONDS))])
    return folder


def late_scene():
    """Nobody for a second, then the portrait."""
    return [*videos.landscape(3, 10), *videos.scene(4, FRAMES)]


@pytest.fixture(scope="session")
def corpus(people, prepare, tmp_path_factory):
    """The corpus of `people`, and what it says of itself; not to be written to."""
    output = tmp_path_factory.mktemp("prepared") / "clips"
    return output, prepare("folder", people, output)
