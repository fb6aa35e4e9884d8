"""The job: an Apache Beam pipeline from rows of a source to shards, the same on every runner.

    parts of what there is to do -> videos, or batches of stills -> reshuffled -> each to its result, kept aside
                                                              | all done
    parts of what there is to do -> a summary of each -> one plan -> shards -> reshuffled -> each written

Between its steps go names and counts alone; sound and faces go through files below `<output>/.unfinished`. So memory
does not grow with the corpus on any runner, a step that is done again finds what it did before, and the same command
goes on where it was interrupted. Input and output have to be the same paths on every machine of a cluster.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from s2f_tf import face_detection
from s2f_tf.data import clip
from s2f_tf.errors import UserError
from s2f_tf.progress import Progress

from . import exclusion, pairs, reasons, results, shards, sources, splits
from .extract import Settings, extract
from .reasons import Drop, Reason
from .sources import Item
from .tally import Tally, processes, tallied

_MOST_TRIES = 5
_LOOKED = 0.5  # seconds between two looks at how far the job is
_NOUNS = {"pairs": "speaker", "stills": "still", "sounds": "sound"}  # of what is worked on; of other sources, videos


class JobError(UserError):
    """An output that holds something else, or a job that could not go on; the message says which."""


class WorkerLostError(JobError):
    """A worker process is gone, and the runner would wait for it for ever."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes:
        source: one of `sources.SOURCES`.
        folder: with the videos.
        list_path: the list of AVSpeech, else None.
        output: folder for the corpus.
        settings: what the clips are to be.
        excluded: digests of speakers who are to be left out, see `exclusion.digest`.
        shard_bytes: the most that a shard holds, but for one clip.
    """

    source: str
    folder: str
    list_path: str | None
    output: str
    settings: Settings
    excluded: frozenset[str] = frozenset()
    shard_bytes: int = shards.BYTES

    @property
    def aside(self) -> str:
        """Where unfinished work lies."""
        return os.path.join(self.output, results.FOLDER)

    @property
    def kind(self) -> clip.Kind:
        """Of the corpus."""
        return clip.Kind(self.source) if self.source in list(clip.Kind) else clip.Kind.PAIRS


def prepare(job: Job, options: PipelineOptions) -> dict[str, Any]:
    """Makes the corpus, or goes on where it was interrupted. Progress goes to stderr.

    Where the output is already made of these files with these settings, nothing is done.

    Args:
        job: what is to be done.
        options: Beam's, the runner among them.

    Returns:
        What `corpus.json` holds: besides the fields of `clip.write_description`, the `kind`, `examples` of what was
        dropped by reason, the `seconds` of sound by split, `split_by` ("hash" or "rank"), a fingerprint of the `input`,
        and digests of the speakers who are `excluded`.

    Raises:
        SourceError, JobError: before any work, where the input cannot be used or the output holds something else;
            `JobError` also where the work failed on the way.
        CorpusTooSmallError: after it, where too few speakers are left; of stills or sounds alone, where the input has
            too few, before it.
    """
    _claim(job)
    job = dataclasses.replace(job, excluded=job.excluded | exclusion.remembered(job.output))
    fingerprint, left_out, speakers = _write_items(job)
    count = sum(len(results.items(job.aside, job.source, part)) for part in results.buckets(job.aside))
    flags = {"source": job.source} | dataclasses.asdict(job.settings) | {"shard_bytes": job.shard_bytes}
    identity = {
        "made_by": f"python -m pipelines.prepare {' '.join(f'--{name}={value}' for name, value in flags.items())}",
        "input": fingerprint,
        "excluded": sorted(job.excluded),
    }
    if os.path.exists(os.path.join(job.output, "corpus.json")):
        description = clip.read_description(job.output)
        shutil.rmtree(job.aside)
        if {name: description.get(name) for name in identity} != identity:
            raise JobError(f"{job.output} holds a corpus of other files or other settings: choose another --output")
        print(f"{job.output} is already made of these files, with these settings", file=sys.stderr)
        return description
    if not count:
        raise JobError(f"{job.folder} holds nothing that --source={job.source} knows: see docs/pipelines.md")
    if job.kind != clip.Kind.PAIRS and speakers < splits.NEEDED:
        raise shards.CorpusTooSmallError(
            f"{job.folder} holds {job.source} of {speakers} speakers, and {splits.NEEDED} are needed: each folder in "
            "it is a speaker, and so is each file that lies in none"
        )
    shutil.rmtree(os.path.join(job.aside, "progress"), ignore_errors=True)
    _run(job, options, count)
    found = shards.corpus(job.aside)
    written = found.pop("shards")
    for split, fewest in splits.FEWEST.items():
        if found["speakers"][split] < fewest:
            raise shards.CorpusTooSmallError(
                f"split '{split}' has {found['speakers'][split]} speakers, and {fewest} are needed. "
                f"Dropped: {reasons.listed(found)}"
            )
    shards.remove_others(job.output, written)
    settings = {"kind": job.kind, "audio_format": job.settings.audio_format, "face_size": job.settings.face_size}
    if left_out:
        found["dropped"][Reason.EXCLUDED] = left_out
        found["examples"][Reason.EXCLUDED] = "of a speaker who is excluded"
    description = identity | settings | found
    clip.write_description(job.output, description)
    shutil.rmtree(job.aside)
    return description


def summary(description: Mapping[str, Any]) -> str:
    """What a corpus holds and what was dropped, for a person."""
    lines = [
        f"{split:<11}{description['clips'][split]:>9,} clips{description['speakers'][split]:>8,} speakers"
        + (f"{description['seconds'][split] / 3600:>10.2f} h" if clip.kind(description).has_sound else "")
        for split in clip.SPLITS
    ]
    if description["split_by"] == "rank":
        lines.append("few speakers: split by rank, so that each split has some; adding speakers may change the splits")
    if description["dropped"]:
        lines.append(f"dropped: {reasons.listed(description)}")
    return "\n".join(lines)


def pipeline(job: Job, options: PipelineOptions) -> beam.Pipeline:
    """The steps, to be run on the runner that the options name."""
    steps = beam.Pipeline(options=options)
    parts = steps | "Parts" >> beam.Create(results.buckets(job.aside))
    together = pairs.TOGETHER if job.source == "stills" else 1
    done = (
        steps
        | "Starts of parts" >> beam.Create(results.starts(job.aside))
        | "Videos" >> beam.FlatMap(lambda start: results.batches(job.aside, job.source, start, together))
        | "Spread videos" >> beam.Reshuffle()
        | "Extract" >> beam.ParDo(_Extract(job, os.getpid() if runs_here(options) else None))
        | "All done" >> beam.combiners.Count.Globally()
    )
    _ = (
        parts
        | "Sum up" >> beam.Map(_sum_up, job, beam.pvalue.AsSingleton(done))
        | "All parts" >> beam.combiners.ToList()
        | "Plan" >> beam.FlatMap(lambda found: shards.plan(job.aside, job.source, found, job.shard_bytes))
        | "Spread shards" >> beam.Reshuffle()
        | "Write" >> beam.Map(lambda shard: shards.write(job.aside, job.source, job.output, shard))
    )
    return steps


def runs_here(options: PipelineOptions) -> bool:
    """Whether the runner is Beam's own on this machine."""
    return options.view_as(StandardOptions).runner in (None, "DirectRunner")


class _Extract(beam.DoFn):
    """Makes the results of what is worked on together, unless they are there.

    Args:
        job: what is to be done.
        driver: process on this machine without which to work on is of no use.
    """

    def __init__(self, job: Job, driver: int | None) -> None:
        self._job = job
        self._driver = driver

    def setup(self) -> None:
        import cv2

        cv2.setNumThreads(1)  # each process keeps one core busy
        self._tally = Tally(os.path.join(self._job.aside, "progress"))
        if self._driver not in (None, os.getpid()):
            threading.Thread(target=_follow, args=(self._driver,), daemon=True).start()

    def process(self, batch: Sequence[Item]) -> Iterator[str]:
        aside, settings = self._job.aside, self._job.settings
        keys = results.keys(batch, settings)
        reused = [results.is_done(aside, item, key) for item, key in zip(batch, keys, strict=True)]
        if not all(reused):
            make = self._stills if self._job.source == "stills" else self._each
            for item, key, there, found in zip(batch, keys, reused, make(batch), strict=True):
                if not there:
                    results.write(aside, item, key, found, settings.audio_format)
        self._tally.add(len(batch) - sum(reused), sum(reused))
        yield from (item.name for item in batch)

    def _each(self, batch: Sequence[Item]) -> Iterator[Iterable[clip.Clip | Drop]]:
        """What is in each, while it is read."""
        settings = self._job.settings
        for item in batch:
            with results.tried(self._job.aside, item) as tries:
                if tries > _MOST_TRIES:
                    yield [Drop(Reason.CRASHED, item.name)]
                elif self._job.source == "sounds":
                    yield pairs.voices(item.name, item.path, item.speaker, settings.max_seconds)
                elif self._job.source == "pairs":
                    yield pairs.extract(item, settings, self._detector())
                else:
                    yield extract(item, settings, self._detector())

    def _stills(self, batch: Sequence[Item]) -> Iterator[Iterable[clip.Clip | Drop]]:
        """What is in each still. Reading alone is a try: so of a batch, the one that ends processes is told."""
        pictures = []
        for item in batch:
            with results.tried(self._job.aside, item) as tries:
                crashed = tries > _MOST_TRIES
                pictures.append(Reason.CRASHED if crashed else pairs.read(item.path, self._job.settings))
        yield from ([one] for one in pairs.stills(batch, pictures, self._job.settings, self._detector()))

    def _detector(self) -> face_detection.Detector | None:
        return face_detection.shared_detector() if self._job.settings.align else None

    def finish_bundle(self) -> None:
        self._tally.write()


def _follow(driver: int) -> None:
    """Ends this process when the driver has: it would go on with its half of the corpus, beside whoever comes next."""
    while _alive(driver):
        time.sleep(_LOOKED)
    os._exit(1)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _sum_up(part: str, job: Job, done: int) -> dict[str, Any]:
    return shards.summary(job.aside, job.source, part)


def _claim(job: Job) -> None:
    """Makes the output folder ours. Raises `JobError` where it holds what this job did not write."""
    source, output = os.path.realpath(job.folder), os.path.realpath(job.output)
    if os.path.isdir(source) and os.path.commonpath([source, output]) == source:
        raise JobError(f"{job.output} lies in {job.folder}, and would be taken for input: choose another --output")
    try:
        there = set(os.listdir(job.output)) if os.path.exists(job.output) else set()
        if there and not there & {results.FOLDER, "corpus.json"}:
            raise JobError(f"{job.output} is not empty, and holds no corpus: choose another --output")
        os.makedirs(job.aside, exist_ok=True)
    except OSError as error:
        raise JobError(f"{job.output} cannot be used: {error}") from error


def _write_items(job: Job) -> tuple[str, int, int]:
    """Writes down what there is to do, but for what is of excluded speakers, of whom nothing is to be kept.

    Returns:
        A fingerprint of the names and sizes of all there is, how many speakers are left out, and how many there are to
        be, of whom no more are counted than are needed.
    """
    total, left_out, speakers = 0, set(), set()

    def wanted() -> Iterator[tuple[str, dict[str, Any]]]:
        nonlocal total
        for speaker, row in sources.rows(job.source, job.folder, job.list_path):
            path = row.get("path")
            told = [row["name"], row.get("span"), path and os.path.splitext(path)[1], path and os.path.getsize(path)]
            # A sum, since rows need not come in any order.
            total += int.from_bytes(hashlib.sha256(json.dumps(told).encode()).digest(), "big")
            digest = exclusion.digest(speaker) if job.excluded else None
            if digest in job.excluded:
                left_out.add(digest)
            else:
                if len(speakers) < splits.NEEDED:
                    speakers.add(speaker)
                yield speaker, row

    try:
        results.write_items(job.aside, wanted())
    except OSError as error:
        raise JobError(f"{job.folder} cannot be read, or {job.output} not be written: {error}") from error
    return f"{total % 2**256:064x}", len(left_out), len(speakers)


def _run(job: Job, options: PipelineOptions, count: int) -> None:
    """Runs the steps to their end, and shows how far they are."""
    # What workers inherit: one process keeps one core busy, and says nothing of GPUs.
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    ended, failures, ended_well = threading.Event(), [], False

    def run() -> None:
        try:
            pipeline(job, options).run().wait_until_finish()
        except BaseException as error:
            failures.append(error)
        ended.set()

    def on_thread_error(arguments: threading.ExceptHookArgs) -> None:
        # Beam's direct runner waits for ever for a worker that was killed; only a thread of its own tells.
        if arguments.thread is not None and arguments.thread.name == "run_worker":
            failures.append(WorkerLostError(f"a worker was lost: the same command goes on ({arguments.exc_value})"))
            ended.set()

    beams_words = os.path.join(job.aside, "beam.log")

    def look(progress: Progress) -> None:
        done = tallied(os.path.join(job.aside, "progress"))
        progress.update(done["videos"] + done["reused"], before=done["reused"])

    before, threading.excepthook = threading.excepthook, on_thread_error
    try:
        with _beam_writes_to(beams_words), Progress(count, _NOUNS.get(job.source, "video")) as progress:
            threading.Thread(target=run, name="job", daemon=True).start()
            while not ended.wait(_LOOKED):
                look(progress)
            look(progress)
        ended_well = not failures
    finally:
        threading.excepthook = before
        if not ended_well and runs_here(options):
            _end_workers(job)
    if failures:
        raise _explained(failures[0], beams_words)


@contextlib.contextmanager
def _beam_writes_to(path: str) -> Iterator[None]:
    """What Beam and the processes that it starts write to the standard error goes to a file; what we print does not."""
    before, kept = sys.stderr, os.dup(2)
    before.flush()
    with open(path, "ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        with open(kept, "w", encoding=before.encoding, errors="backslashreplace", closefd=False) as ours:
            if before is sys.__stderr__:
                sys.stderr = ours
            yield
    finally:
        sys.stderr = before
        os.dup2(kept, 2)
        os.close(kept)


def _end_workers(job: Job) -> None:
    """Ends the workers that are left: their last words would bury why the job ended."""
    for process in processes(os.path.join(job.aside, "progress")):
        if process != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _explained(error: BaseException, beams_words: str) -> BaseException:
    """What a runner raises, where it is about something that a person can put right, as such an error.

    Runners tell what a worker raised as text, with its traceback and the step around it. The file has all of it.
    """
    if isinstance(error, JobError):
        return error
    told = f"{type(error).__name__}: {error}"
    said = re.findall(r"(?:UserError: |(?=\[Errno ))(.+?)(?= \[while running|\n|$)", told)
    return JobError(f"{said[-1]} (what Beam said of it is in {beams_words})") if said else error
