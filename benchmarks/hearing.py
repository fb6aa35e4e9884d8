"""How alike a voice is heard with pauses or through a telephone: `python -m benchmarks.hearing` prints a table.

Synthetic speakers whom the weights have never heard speak for 2.5 s. Compared is the embedding of what is done to the
voice with that of the voice alone, by their cosine.
"""

import os
import tempfile

import numpy as np
import soundfile
from absl import flags

from s2f_tf import command  # before what imports TensorFlow, which it quiets

# isort: split
import s2f_tf
from s2f_tf.config import SAMPLE_RATE, Config
from s2f_tf.data import synthetic
from s2f_tf.data.audio import Sound, SoundError
from s2f_tf.evaluation import sound
from s2f_tf.model import Model

_WORKDIR = flags.DEFINE_string("workdir", None, "trained run; by default the weights in the package")
_VOICES = flags.DEFINE_integer("voices", 8, "how many", lower_bound=5)
_SEED = 987_654  # not the training's
_SECONDS = 2.5
_PAUSE_SECONDS = (0.5, 1.0, 3.0, 10.0, 60.0)
_OTHER_KINDS = ("noise", "babble", "telephone", *(codec.kind for codec in sound.CODECS), "reverberation")


def voices(config: Config, count: int) -> np.ndarray:
    """Strangers to a synthetic run: float32 [count, S], 2.5 s each at 16 kHz."""
    clips = (
        synthetic.make_clip(config.synthetic, config.data.face_size, _SEED, speaker, 0) for speaker in range(count)
    )
    spoken = [
        synthetic.speak_again(c.factors, np.random.default_rng([_SEED, i]), _SECONDS) for i, c in enumerate(clips)
    ]
    return np.stack(spoken)


def write_antiphase(waveform: np.ndarray, path: str) -> None:
    """A stereo file of a waveform, float32 [S], whose right channel is the left one upside down."""
    soundfile.write(path, np.stack([waveform, -waveform], axis=1), SAMPLE_RATE)


def main() -> None:
    """Prints the table."""
    model = s2f_tf.load(_WORKDIR.value)
    spoken = voices(model.config, _VOICES.value)
    alone = np.stack([model.embed(voice, rate=SAMPLE_RATE) for voice in spoken])
    print("| what is done to the voice | cosine: mean | least |\n|---|---|---|")
    several = [
        condition for filling in sound.PAUSES for condition in sound.pauses(filling, sound.PLACES, _PAUSE_SECONDS)
    ]
    several += [condition for condition in sound.conditions() if condition.kind in _OTHER_KINDS]
    for condition in several:
        _print_row(condition.words, model, list(condition.spoil(spoken, np.random.default_rng(0))), alone)
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, f"{number}.wav") for number in range(len(spoken))]
        for voice, path in zip(spoken, paths, strict=True):
            write_antiphase(voice, path)
        _print_row("stereo, the right channel upside down", model, paths, alone, rate=None)
    _print_row("another's voice", model, list(np.roll(spoken, 1, axis=0)), alone)


def _print_row(words: str, model: Model, heard: list[Sound], alone: np.ndarray, rate: int | None = SAMPLE_RATE) -> None:
    try:
        cosines = np.sum(np.stack([model.embed(voice, rate=rate) for voice in heard]) * alone, axis=1)
    except SoundError as error:
        print(f"| {words} | refused: {error.__class__.__name__} | |")
    else:
        print(f"| {words} | {cosines.mean():.3f} | {cosines.min():.3f} |")


if __name__ == "__main__":
    command.run(main)
