"""What is matched without training a network: by pixels, and by what teachers say of voices and faces."""

import numpy as np
import tensorflow as tf

from benchmarks import judges, linear
from s2f_tf.config import SAMPLE_RATE, Config
from s2f_tf.data import reader
from s2f_tf.evaluation.statistics import Figure

_RIDGES = 10.0 ** np.arange(0, 7)  # of which the validation split chooses
_RIDGE_SIZE = 16  # pixels a side of the faces that ridge regression draws


def ridge(corpus: reader.Corpus, config: Config) -> dict[str, Figure]:
    """Ridge regression from the mean and spread of 20 mel cepstra to pixels, the picture nearest in angle picked."""
    data = {}
    for split in ("train", "validation", "test"):
        clips = list(reader.clips(corpus, split, config.data.face_size))
        faces = tf.image.resize(np.stack([one.faces[0] for one in clips]), [_RIDGE_SIZE] * 2, antialias=True).numpy()
        voices = np.stack([_cepstra(one.waveform) for one in clips])
        data[split] = voices, faces.reshape(len(faces), -1), np.array([one.speaker for one in clips])
    (x, y, _), mean, spread = data["train"], data["train"][0].mean(0), data["train"][0].std(0) + 1e-6
    x, centre = (x - mean) / spread, y.mean(0)
    best: tuple[float, dict[str, Figure]] = (0.0, {})
    for ridge in _RIDGES:
        weights = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ (y - centre))

        def matched(split: str, weights: np.ndarray = weights) -> dict[str, Figure]:
            voices, faces, speakers = data[split]
            return judges.both_ways((voices - mean) / spread @ weights, faces - centre, speakers)

        on_validation = matched("validation")["voice to face, 2-way"].value
        if on_validation > best[0]:
            best = on_validation, matched("test")
    return {f"ridge, {name}": value for name, value in best[1].items() if "2-way" in name}


def teachers(others: judges.Said, test: judges.Said, females: np.ndarray | None) -> dict[str, Figure]:
    """What teachers say of voices and of faces, brought together by what they say of other people's pairs."""
    hear, see = linear.canonical(others.voices, others.faces)
    found = judges.both_ways(hear(test.voices), see(test.faces), test.speakers, females)
    return {f"teachers, {name}": value for name, value in found.items() if "2-way" in name}


def _cepstra(waveform: np.ndarray) -> np.ndarray:
    """float32 [40]."""
    power = tf.abs(tf.signal.stft(waveform / (waveform.std() + 1e-6), 400, 160)) ** 2
    mel = tf.signal.linear_to_mel_weight_matrix(40, power.shape[-1], SAMPLE_RATE, 60.0, 7800.0)
    cepstra = tf.signal.mfccs_from_log_mel_spectrograms(tf.math.log(power @ mel + 1e-3))[:, :20].numpy()
    return np.concatenate([cepstra.mean(0), cepstra.std(0)])


def cepstra_and_pitch(waveform: np.ndarray) -> np.ndarray:
    """What a voice, float32 [S], sounds like: mean and spread of 20 mel cepstra, and where its pitch lies: [44]."""
    return np.concatenate([_cepstra(waveform), _pitch(waveform)])


def _pitch(waveform: np.ndarray) -> np.ndarray:
    """The median, spread, first and last fifth of log pitch, by autocorrelation (Boersma 1993): [4]."""
    size, window = 640, np.hanning(640)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, size)[::160]
    power = np.square(frames).mean(axis=1)
    frames = frames[power > 0.3 * power.mean()]
    alike, of_window = (
        np.fft.irfft(np.abs(np.fft.rfft(x * window, 2048)) ** 2)[..., :size] for x in (frames, np.ones(size))
    )
    lags = np.arange(SAMPLE_RATE // 400, SAMPLE_RATE // 70)
    alike = (alike / (alike[:, :1] + 1e-12) / (of_window / of_window[0]))[:, lags]
    voiced = alike.max(axis=1) > 0.5
    pitch = np.log(SAMPLE_RATE / lags[alike[voiced].argmax(axis=1)]) if voiced.any() else np.log([150.0])
    return np.array([np.median(pitch), pitch.std(), *np.percentile(pitch, [20, 80])])
