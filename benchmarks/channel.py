"""`python -m benchmarks.channel`: what each thing that voices meet in training is worth on synthetic speakers.

Trains matching of a preset with everything, with nothing, and without each thing, and prints a row each: how many faces
in percent are picked for voices as they are and as recordings spoil them, on the validation split. It goes on where it
was stopped.
"""

import json
import os

import keras
from absl import flags

from s2f_tf import command, setting_flags
from s2f_tf import config as configuration
from s2f_tf.aside import written_aside
from s2f_tf.config import Config
from s2f_tf.data import reader, synthetic
from s2f_tf.evaluation import sound
from s2f_tf.evaluation.run import graph
from s2f_tf.models import trained
from s2f_tf.training import loop, stages, validation

_OUTPUT = flags.DEFINE_string("output", "runs/channel", "folder for the runs")
_PRESET = flags.DEFINE_string("preset", "demo", f"settings: {', '.join(sorted(configuration.PRESETS))}")

_NO_NOISE = {"data.noise_db": -30.0, "data.noise_fall_db": 0.0, "data.babble": 0.0}
_WITHOUT = {
    "nothing": {},
    "noise and other voices": _NO_NOISE,
    "rooms": {"data.reverberation_seconds": 0.0},
    "bands, tilt, clipping and mu-law": {
        "data.low_edge_hz": 30.0,
        "data.high_edge_hz": 8000.0,
        "data.tilt_db": 0.0,
        "data.clipping_db": 0.0,
        "data.mu_law": False,
    },
    "pauses": {"data.pause_seconds": 0.0},
    "all of them": _NO_NOISE | {"data.channel": 0.0},
}
_LEFT_OUT = flags.DEFINE_multi_enum("without", list(_WITHOUT), list(_WITHOUT), "what is left out, a run each")

_COLUMNS = {
    "0.5 s": ("length", 0.5),
    "2 s": ("length", 2.0),
    "telephone": ("telephone", None),
    "noise 10 dB": ("noise", 10.0),
    "0 dB": ("noise", 0.0),
    "babble 5 dB": ("babble", 5.0),
    "room 1.2 s": ("reverberation", 1.2),
    "3 s of hiss before": ("hiss_before", 3.0),
}


def main() -> None:
    """Prints a table."""
    base = setting_flags.override(_PRESET.value)
    folder = os.path.join(_OUTPUT.value, "corpus")
    synthetic.write_corpus(base.synthetic, base.data.face_size, base.seed, folder, "wav")
    print(" | ".join(("without", *_COLUMNS)))
    print("|".join(["---"] * (len(_COLUMNS) + 1)))
    for without in _LEFT_OUT.value:
        workdir = os.path.join(_OUTPUT.value, f"without-{without.replace(' ', '-')}")
        figures = _measured(configuration.override(base, _WITHOUT[without]), reader.Corpus(folder), workdir)
        print(" | ".join((without, *(f"{100 * figures[column]:.1f}" for column in _COLUMNS))), flush=True)


def _measured(config: Config, corpus: reader.Corpus, workdir: str) -> dict[str, float]:
    """Voice to face accuracy at K = 10 in each of `_COLUMNS`, of what is trained unless it was."""
    path = os.path.join(workdir, "channel.json")
    if not os.path.exists(path):
        stages.claim(workdir, config)
        keras.backend.clear_session()
        stages.train_matching(config, corpus, workdir, loop.choose_strategy(), validation.load(corpus, config))
        size = config.data.face_size
        hear = graph(trained.load_network("speech_encoder", workdir), [None])
        see = graph(trained.load_network("face_encoder", workdir), [size, size, 3])
        faces = {clip.id: see(clip.faces[:1])[0] for clip in reader.clips(corpus, "validation", size)}
        found = sound.measure(hear, corpus, "validation", faces)
        by_condition = {(row["kind"], row["amount"]): row["accuracy_k10"].value for row in found}
        with written_aside(path) as part, open(part, "w", encoding="utf-8") as file:
            json.dump({column: by_condition[condition] for column, condition in _COLUMNS.items()}, file)
    with open(path, encoding="utf-8") as file:
        return json.load(file)


if __name__ == "__main__":
    setting_flags.define()
    command.run(main)
