"""How matching stands up to shorter and worse sound. `docs/evaluation.md` states the protocol in full.

The voices of at most 500 clips are shortened or spoilt, and matched with the faces of the same clips. Synthetic
speakers are made to speak again, for longer than in the corpus; of a recorded corpus the clips that are long enough
count.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import reader, synthetic
from s2f_tf.evaluation import matching
from s2f_tf.evaluation.statistics import Figure, Resampling

SECONDS = (0.5, 1.0, 2.0, 4.0, 10.0)
SNR_DB = (20.0, 10.0, 5.0, 0.0)
REVERBERATION_SECONDS = (0.3, 0.6, 1.2)

_WAYS = (2, 10)
_MOST = 500
_BATCH = 16  # voices of one length that are embedded at once
_SPOILT_SECONDS = 2.0
_TELEPHONE_HZ = (300.0, 3400.0)


@dataclasses.dataclass(frozen=True)
class Condition:
    """What is done to a voice.

    Attributes:
        kind: "length", "noise", "telephone" or "reverberation".
        amount: in seconds, dB or, of a telephone, nothing.
        seconds: how long the voice is.
        spoil: float32 [S] and a generator of random numbers to float32 [S].
    """

    kind: str
    amount: float | None
    seconds: float
    spoil: Callable[[np.ndarray, np.random.Generator], np.ndarray]


def conditions() -> list[Condition]:
    """Every condition, the untouched two seconds being the length of 2 s."""
    plain = [Condition("length", s, s, lambda waveform, rng: waveform) for s in SECONDS]
    noisy = [Condition("noise", db, _SPOILT_SECONDS, _noise(db)) for db in SNR_DB]
    far = [Condition("reverberation", s, _SPOILT_SECONDS, _reverberate(s)) for s in REVERBERATION_SECONDS]
    return [*plain, *noisy, Condition("telephone", None, _SPOILT_SECONDS, _telephone), *far]


def measure(
    embed: Callable[[np.ndarray], np.ndarray],
    corpus: reader.Corpus,
    split: str,
    faces: Mapping[str, np.ndarray],
    seed: int = 0,
) -> list[dict]:
    """Voice to face accuracy under every condition.

    Args:
        embed: the speech encoder, float32 [B, S] to float32 [B, E] of unit length.
        corpus: with the split's voices.
        split: which of its splits.
        faces: embeddings by clip, float32 [E] each, of the clips' first faces.
        seed: of the noises and of the bootstrap.

    Returns:
        For each condition `kind`, `amount`, `clips` and, where at least two speakers have voices as long, figures
        `accuracy_k2` and `accuracy_k10`.
    """
    every = conditions()
    voices: list[list[np.ndarray]] = [[] for _ in every]
    found: list[list[tuple[str, str]]] = [[] for _ in every]
    numbered = enumerate(_voices(corpus, split, faces))
    while some := list(itertools.islice(numbered, _BATCH)):
        for number, condition in enumerate(every):
            samples = round(condition.seconds * SAMPLE_RATE)
            long = [voice for voice in some if len(voice[1][2]) >= samples]
            spoilt = [condition.spoil(w[:samples], np.random.default_rng([seed, number, i])) for i, (_, _, w) in long]
            if spoilt:
                voices[number].extend(embed(np.stack(spoilt).astype(np.float32)))
                found[number].extend((clip, speaker) for _, (clip, speaker, _) in long)
    results = []
    for condition, embedded, clips in zip(every, voices, found, strict=True):
        results.append({"kind": condition.kind, "amount": condition.amount, "clips": len(clips)})
        speakers = np.array([speaker for _, speaker in clips])
        if len(set(speakers)) > 1:
            gallery = np.stack([faces[clip] for clip, _ in clips])
            results[-1] |= _accuracies(np.stack(embedded), gallery, speakers, seed)
    return results


def _accuracies(voices: np.ndarray, faces: np.ndarray, speakers: np.ndarray, seed: int) -> dict[str, Figure]:
    return matching.accuracies(matching.rank(voices @ faces.T, speakers), Resampling(speakers, seed), _WAYS)


def _voices(
    corpus: reader.Corpus, split: str, faces: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, str, np.ndarray]]:
    """At most 500 clips by name, their speakers and voices: recorded ones, or one of each synthetic speaker, longer."""
    spoken = set()
    for place, clip in enumerate(reader.clips(corpus, split, corpus.description["face_size"], limit=_MOST)):
        if clip.id not in faces or clip.speaker in spoken:
            continue
        waveform = clip.waveform
        if clip.factors:
            spoken.add(clip.speaker)
            waveform = synthetic.speak_again(clip.factors, np.random.default_rng([place]), max(SECONDS))
        yield clip.id, clip.speaker, waveform


def _noise(snr: float) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """White noise, `snr` dB below the voice."""

    def spoil(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        level = np.sqrt(np.mean(np.square(waveform))) * 10 ** (-snr / 20)
        return waveform + level * rng.standard_normal(len(waveform))

    return spoil


def _telephone(waveform: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """The band from 300 to 3400 Hz, with nothing outside."""
    spectrum = np.fft.rfft(waveform)
    frequencies = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE)
    low, high = _TELEPHONE_HZ
    return np.fft.irfft(spectrum * ((frequencies >= low) & (frequencies <= high)), len(waveform))


def _reverberate(seconds: float) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """A room whose sound falls by 60 dB in so many seconds: the voice, and noise that decays, as loud as the voice."""

    def spoil(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        response = rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
        response /= np.linalg.norm(response)
        response[0] += 1.0
        size = len(waveform) + len(response)
        return np.fft.irfft(np.fft.rfft(waveform, size) * np.fft.rfft(response, size), size)[: len(waveform)]

    return spoil
