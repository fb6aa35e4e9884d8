"""`python -m pipelines.prepare`: makes a corpus of clips, which `python -m s2f_tf.train --corpus=...` reads.

Flags that are not in this list go to Apache Beam: `--runner=FlinkRunner --flink_master=...` and all others it knows.
"""

import logging
import os
import sys
from typing import Any

from absl import app, flags

from s2f_tf import command
from s2f_tf.config import AUDIO_FORMATS, MAX_SECONDS
from s2f_tf.errors import UserError

from . import sources

_SOURCE = flags.DEFINE_enum(
    "source",
    None,
    sources.SOURCES,
    "folder: videos in a folder a speaker; avspeech: videos and the published list; voxceleb: its trees of folders; "
    "pairs: stills and sound files in a folder a speaker; stills, sounds: photographs alone or sound files alone, in a "
    "folder a speaker or without folders",
    required=True,
)
_INPUT = flags.DEFINE_string(
    "input", None, "folder that holds the videos, stills or sounds, or a folder for each speaker", required=True
)
_LIST = flags.DEFINE_string("list", None, "CSV of AVSpeech: video id, start, end, x, y")
_OUTPUT = flags.DEFINE_string("output", None, "folder for the clips", required=True)
_FACE_SIZE = flags.DEFINE_integer(
    "face_size", 128, "height and width of faces in pixels", lower_bound=16, upper_bound=1024
)
_FACES_PER_CLIP = flags.DEFINE_integer("faces_per_clip", 4, "the most faces that one clip gets", lower_bound=1)
_MAX_SECONDS = flags.DEFINE_float(
    "max_seconds",
    20.0,
    "longer sounds are cut: of videos in a pause, sound files into equal pieces",
    lower_bound=2.0,
    upper_bound=MAX_SECONDS,
)
_AUDIO_FORMAT = flags.DEFINE_enum(
    "audio_format", None, AUDIO_FORMATS, "by default FLAC where training can read it here, else WAV"
)
_EXCLUDE = flags.DEFINE_multi_string(
    "exclude", [], "a speaker to leave out, or @FILE with one a line; may be given again"
)
_ALIGN = flags.DEFINE_boolean(
    "align", True, "find and align the face in each still; --noalign takes aligned ones as they are"
)
_TEACHERS = flags.DEFINE_boolean(
    "teachers", False, "at the end, keep beside each clip what pretrained networks say of it, as `pipelines.teach` does"
)
_REPORT = flags.DEFINE_string("report", None, "HTML page to write, with samples, plots and what was dropped")
_WORKERS = flags.DEFINE_integer(
    "workers", os.cpu_count(), "processes on this machine; the output does not depend on it", lower_bound=1
)


def _prepare(options: Any) -> str:
    from s2f_tf.data import audio

    from . import exclusion, job
    from .extract import Settings

    settings = Settings(
        face_size=_FACE_SIZE.value,
        faces_per_clip=_FACES_PER_CLIP.value,
        max_seconds=_MAX_SECONDS.value,
        audio_format=_AUDIO_FORMAT.value or audio.default_format(),
        align=_ALIGN.value,
    )
    excluded = frozenset(map(exclusion.digest, exclusion.read_speakers(_EXCLUDE.value)))
    what = job.Job(_SOURCE.value, _INPUT.value, _LIST.value, _OUTPUT.value, settings, excluded)
    try:
        description = job.prepare(what, options)
    except (job.WorkerLostError, KeyboardInterrupt) as error:
        # Beam's threads wait for what will not come, and would keep this process.
        print(f"error: {error}" if str(error) else "interrupted", file=sys.stderr, flush=True)
        os._exit(1)
    return job.summary(description)


def _beam_options(arguments: list[str]) -> Any:
    """Beam's options from what is left of the command line; by default its runner on this machine.

    Raises `UserError` where that runner knows a flag as little. Others may: they ask a cluster.
    """
    logging.disable(logging.WARNING)  # of Google's cloud, which is not wanted
    with command.extra("pipelines"):
        from apache_beam.options.pipeline_options import PipelineOptions

        from . import job
    logging.disable(logging.NOTSET)
    here = ["--direct_running_mode=multi_processing", f"--direct_num_workers={_WORKERS.value}"]
    options = PipelineOptions([*here, "--default_sdk_harness_log_level=ERROR", *arguments])
    if job.runs_here(options):
        unknown = options.get_all_options(retain_unknown_options=True).keys() - options.get_all_options().keys()
        if unknown:
            raise UserError(f"neither this command nor Beam's DirectRunner knows --{min(unknown)}: see --helpfull")
    return options


def main(for_beam: list[str]) -> None:
    """Makes the corpus and prints what it holds."""
    if not _ALIGN.value and _SOURCE.value not in ("pairs", "stills"):
        raise UserError("--noalign is for stills: it goes with --source=pairs or --source=stills")
    # Before what takes some seconds to import.
    print(f"looking through {_INPUT.value}", file=sys.stderr, flush=True)
    options = _beam_options(for_beam)
    if _TEACHERS.value:
        from . import teachers

        teachers.require()  # before the work, and not after it
    print(_prepare(options))
    if _TEACHERS.value:
        print(f"taught by: {'; '.join(teachers.teach(_OUTPUT.value, _WORKERS.value))}")
    if _REPORT.value:
        from . import report

        report.write(_OUTPUT.value, _REPORT.value)


def _is_ours(argument: str) -> bool:
    name = argument.lstrip("-").split("=")[0]
    return not argument.startswith("-") or name in flags.FLAGS or name.removeprefix("no") in flags.FLAGS


def run() -> None:
    """The console script."""
    app.define_help_flags()
    beams = [argument for argument in sys.argv[1:] if not _is_ours(argument)]
    sys.argv = [sys.argv[0], *(argument for argument in sys.argv[1:] if _is_ours(argument))]
    command.run(lambda: main(beams))


if __name__ == "__main__":
    run()
