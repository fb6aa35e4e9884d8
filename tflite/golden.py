"""`python -m tflite.golden`: what Python computes, for the tests of the Android app's Kotlin to compute again.

A command for the checkout, where the app is. Each file holds bare little-endian numbers, in 16 bits (`.i16`), 64 bits
(`.i64`) or floats of 32 bits (`.f32`).
"""

import os

import numpy as np
from absl import flags

from s2f_tf import command  # before what imports TensorFlow, which it quiets

# isort: split
import tensorflow as tf

from s2f_tf.config import SAMPLE_RATE, SyntheticConfig
from s2f_tf.data import synthetic
from s2f_tf.data.audio import resample
from s2f_tf.data.voice import voiced_seconds
from s2f_tf.errors import UserError
from s2f_tf.latent import mean_embedding, normal_quantiles, slerp, z_from_seed

from .window import loudest_window

FOLDER = os.path.join(os.path.dirname(__file__), "android", "core", "src", "test", "resources", "golden")
RATES = (8_000, 16_000, 22_050, 44_100, 48_000)  # Hz, at which microphones record
WINDOW = 3_000  # samples at 16 kHz, of a window that is shorter than the sound, and so has to be found

_SECONDS = 0.4
_SEEDS = (0, 1, 2, 4095, 2**31, 2**32 + 5, 2**62 + 12345, -1, -(2**63))
_SHARES = (0.0, 0.25, 0.5, 0.9, 1.0)
_WEIGHTS = (2.5, 0.5, 1.25)  # seconds of voice

_OUTPUT = flags.DEFINE_string("output", FOLDER, "folder to write to; by default where the Kotlin tests read")


def vectors() -> dict[str, np.ndarray]:
    """Inputs and answers, by the name of their file."""
    found = {
        "quantiles.f32": normal_quantiles(),
        "seeds.i64": np.array(_SEEDS),
        "z.f32": z_from_seed(np.array(_SEEDS), 30).numpy(),  # 30 entries do not fill the last block of four
    }
    for rate in RATES:
        pcm = _sound(rate)
        waveform = resample(tf.constant(pcm / 2.0**15, tf.float32), rate).numpy()
        found |= {f"sound_{rate}.i16": pcm, f"waveform_{rate}.f32": waveform}
    found |= {"window.f32": loudest_window(waveform, WINDOW), "repeated.f32": loudest_window(waveform[:700], WINDOW)}
    sounds = _voices_and_others()
    found |= {
        "voices.i16": sounds,
        "voiced_seconds.f32": [voiced_seconds(s / 2.0**15) for s in (*sounds, sounds.ravel())],
    }
    ends = np.random.default_rng(1).normal(size=(2, 64)).astype(np.float32)
    pieces = np.random.default_rng(3).normal(size=(3, 64)).astype(np.float32)
    pieces /= np.linalg.norm(pieces, axis=1, keepdims=True)
    found |= {
        "pieces.f32": pieces,
        "weights.f32": _WEIGHTS,
        "mean.f32": [mean_embedding(zip(pieces[:n], _WEIGHTS[:n], strict=True)) for n in (1, 2, 3)],
    }
    return found | {"slerp_ends.f32": ends, "slerp.f32": slerp(*ends, np.array(_SHARES)), "shares.f32": _SHARES}


def write(folder: str) -> None:
    """Writes every vector to a folder, which is made where it does not exist.

    Raises `UserError` where that around it does not: what is installed holds no app.
    """
    around = os.path.dirname(os.path.abspath(folder))
    if not os.path.isdir(around):
        raise UserError(f"{around} does not exist: run this in the checkout, where the app is, or give --output")
    os.makedirs(folder, exist_ok=True)
    types = {".i16": "<i2", ".i64": "<i8", ".f32": "<f4"}
    for name, values in vectors().items():
        np.asarray(values).astype(types[os.path.splitext(name)[1]]).tofile(os.path.join(folder, name))


def _sound(rate: int) -> np.ndarray:
    """int16 [S]: noise that swells and fades, with as much above 8 kHz as below, some of it clipped."""
    noise = np.random.default_rng(rate).normal(size=int(_SECONDS * rate))
    swell = 0.5 * np.sin(np.linspace(0.0, 1.7 * np.pi, len(noise))) ** 2
    return np.clip(np.rint(noise * swell * 2.0**15), -(2**15), 2**15 - 1).astype(np.int16)


def _voices_and_others() -> np.ndarray:
    """int16 [7, 16000]: white noise, a voice, hum, the voice in noise as loud as it is, a tone, pink noise, a voice."""
    one, other = (
        synthetic.make_clip(SyntheticConfig(), 16, 1, speaker, 0).waveform[:SAMPLE_RATE] for speaker in (0, 1)
    )
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    hum = sum(np.sin(2 * np.pi * n * 50 * time) / n for n in range(1, 9))
    tone = np.sin(2 * np.pi * 440 * time)
    white = np.random.default_rng(2).normal(size=SAMPLE_RATE)
    spectrum = np.fft.rfft(white)
    pink = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1))
    sounds = (white, one, hum, one + np.std(one) * white, tone, pink, other)
    return np.stack([np.rint(2.0**11 * sound / np.std(sound)) for sound in sounds]).astype(np.int16)


def main() -> None:
    """Writes the vectors."""
    write(_OUTPUT.value)


if __name__ == "__main__":
    command.run(main)
