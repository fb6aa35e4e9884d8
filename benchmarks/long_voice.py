"""What it is worth to hear a long voice whole, and what it takes: `python -m benchmarks.long_voice` prints two tables.

Synthetic speakers whom the shipped weights have never heard speak for three pieces of `MAX_SECONDS`. Their voices are
matched with their faces, by the embedding of the first piece and by the mean of all three. Then `s2f_tf.generate` draws
a face from voices of more and more minutes, in FLAC of two channels at 44.1 kHz.
"""

import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import soundfile
import tensorflow as tf
from absl import flags

from s2f_tf import command, config, latent
from s2f_tf.config import MAX_SECONDS, SAMPLE_RATE
from s2f_tf.data import face, synthetic
from s2f_tf.data.voice import voiced_seconds
from s2f_tf.evaluation import matching, sound
from s2f_tf.models import trained

_SPEAKERS = flags.DEFINE_integer("speakers", 100, "how many; 0 leaves the first table out", lower_bound=0)
_MINUTES = flags.DEFINE_list("minutes", ["1", "10", "120"], "how long the voices of the second table are")
_RATE = 44_100  # Hz
_SEED = 987_654  # not the training's
_CONDITIONS = {  # S in one utterance, U in one of its own, N with noise, L hushed but for its last second
    "one utterance": "S0 S1 S2",
    "each piece an utterance of its own": "S0 U1 U2",
    "the voice begins in the last second of the first piece": "L0 S1 S2",
    "noise as loud as the voice in the first piece": "N0 S1 S2",
    "noise as loud as the voice in all but the first": "S0 N1 N2",
}


def _pieces(clips: list[synthetic.Clip], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What a speaker says, float32 [S] each, by name: see `_CONDITIONS`."""
    noise = next(one for one in sound.conditions() if (one.kind, one.amount) == ("noise", 0.0))
    pieces = {}
    for number, clip in enumerate(clips):
        pieces[f"S{number}"] = synthetic.speak_again(clips[0].factors, rng, MAX_SECONDS)
        pieces[f"N{number}"] = noise.spoil(pieces[f"S{number}"][None], rng)[0]
        if number:  # the first is S0 already
            pieces[f"U{number}"] = synthetic.speak_again(clip.factors, rng, MAX_SECONDS)
    pieces["L0"] = pieces["S0"].copy()
    pieces["L0"][:-SAMPLE_RATE] *= 1e-3
    return pieces


def _print_worth() -> None:
    settings = config.load(trained.SHIPPED)
    size, speakers = settings.data.face_size, config.override(settings, {"synthetic.faces_per_clip": 1}).synthetic
    hear, see = (trained.load_network(name, trained.SHIPPED) for name in ("speech_encoder", "face_encoder"))
    hear = tf.function(hear, reduce_retracing=True)
    voices, faces = [], []
    for speaker in range(_SPEAKERS.value):
        clips = [synthetic.make_clip(speakers, size, _SEED, speaker, number) for number in range(3)]
        pieces = _pieces(clips, np.random.default_rng([_SEED, speaker]))
        voices.append({name: (hear(piece[None])[0].numpy(), voiced_seconds(piece)) for name, piece in pieces.items()})
        faces.append(see(face.decode_face(tf.constant(clips[0].faces[0]), size)[None])[0].numpy())
    names = np.arange(_SPEAKERS.value).astype(str)
    print("| three pieces | heard | accuracy, K = 10 | recall at 1 |\n|---|---|---|---|")
    for condition, of_pieces in _CONDITIONS.items():
        for heard, count in (("the first", 1), ("all", 3)):
            chosen = of_pieces.split()[:count]
            whole = np.stack([latent.mean_embedding(voice[name] for name in chosen) for voice in voices])
            figures = matching.score(matching.cosine(whole, np.stack(faces)), names)
            cells = (figures[name] for name in ("accuracy_k10", "recall_at_1"))
            cells = (f"{100 * f.value:.1f} ({100 * f.low:.1f}..{100 * f.high:.1f})" for f in cells)
            print("|", " | ".join([condition, heard, *cells]), "|")


def _print_cost(folder: str) -> None:
    factors = synthetic.make_clip(config.load(trained.SHIPPED).synthetic, 16, _SEED, 0, 0).factors
    spoken = synthetic.speak_again(factors, np.random.default_rng(_SEED), 60.0)
    minute = np.interp(np.arange(60 * _RATE) / _RATE, np.arange(len(spoken)) / SAMPLE_RATE, spoken)
    print("| voice | time | time of the processor | most memory |\n|---|---|---|---|")
    for minutes in map(int, _MINUTES.value):
        path = os.path.join(folder, "voice.flac")
        with soundfile.SoundFile(path, "w", _RATE, 2, "PCM_16") as file:
            for _ in range(minutes):
                file.write(np.stack([minute, 0.8 * minute], axis=1))
        start = time.monotonic()
        arguments = [f"--voice={path}", f"--out={folder}/face.png", "--faces=1"]
        drawing = subprocess.Popen([sys.executable, "-m", "s2f_tf.generate", *arguments], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(drawing.pid, 0)
        if status:
            raise RuntimeError(f"s2f_tf.generate ended with {os.waitstatus_to_exitcode(status)}")
        seconds, busy = time.monotonic() - start, used.ru_utime + used.ru_stime
        print(f"| {minutes} min | {seconds:.1f} s | {busy:.1f} s | {used.ru_maxrss / 1e6:.2f} GB |", flush=True)


def main() -> None:
    """Prints the tables."""
    if _SPEAKERS.value:
        _print_worth()
    with tempfile.TemporaryDirectory() as folder:
        _print_cost(folder)


if __name__ == "__main__":
    command.run(main)
