"""`python -m pipelines.prepare`: makes a corpus of clips, which `python -m s2f_tf.train --corpus=...` reads."""

import os

from absl import flags

from s2f_tf import command  # before what imports TensorFlow, which it quiets

# isort: split
from pipelines import pairs
from s2f_tf.config import MAX_SECONDS
from s2f_tf.data import audio, clip

_SOURCE = flags.DEFINE_enum(
    "source", None, ["pairs"], "pairs: stills and sound files in a folder a speaker", required=True
)
_INPUT = flags.DEFINE_string("input", None, "folder that holds a folder for each speaker", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "folder for the clips", required=True)
_FACE_SIZE = flags.DEFINE_integer(
    "face_size", 128, "height and width of faces in pixels", lower_bound=16, upper_bound=1024
)
_FACES_PER_CLIP = flags.DEFINE_integer("faces_per_clip", 4, "the most stills that one clip gets", lower_bound=1)
_MAX_SECONDS = flags.DEFINE_float(
    "max_seconds",
    20.0,
    "longer sounds are cut into equal pieces of at most so much",
    lower_bound=1.0,
    upper_bound=MAX_SECONDS,
)
_CLIPS_PER_SHARD = flags.DEFINE_integer(
    "clips_per_shard", 500, "about how many clips a shard holds; 500 are about 100 MB", lower_bound=1
)
_AUDIO_FORMAT = flags.DEFINE_enum(
    "audio_format", None, clip.AUDIO_FORMATS, "by default FLAC where training can read it here, else WAV"
)
_WORKERS = flags.DEFINE_integer("workers", os.cpu_count(), "processes; the output does not depend on it", lower_bound=1)


def main() -> None:
    """Makes the corpus and prints what it holds."""
    settings = pairs.Settings(
        face_size=_FACE_SIZE.value,
        faces_per_clip=_FACES_PER_CLIP.value,
        max_seconds=_MAX_SECONDS.value,
        clips_per_shard=_CLIPS_PER_SHARD.value,
        audio_format=_AUDIO_FORMAT.value or audio.default_format(),
    )
    description = pairs.prepare(_INPUT.value, _OUTPUT.value, settings, workers=_WORKERS.value)
    print(pairs.summary(description))


if __name__ == "__main__":
    command.run(main)
