"""How matching stands up to shorter and worse sound. `docs/evaluation.md` has the protocol.

The voices of at most 500 clips are shortened or spoilt, and matched with the faces of the same clips. Synthetic
speakers are made to speak again, for longer than in the corpus; of a recorded corpus the clips that are long enough
count.
"""

import dataclasses
import functools
import io
from collections.abc import Callable, Mapping, Sequence

import av
import numpy as np

from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import reader, synthetic
from s2f_tf.evaluation import matching
from s2f_tf.evaluation.statistics import Resampling
from s2f_tf.progress import Progress

SECONDS = (0.5, 1.0, 2.0, 4.0, 10.0)
SNR_DB = (20.0, 10.0, 5.0, 0.0)
BABBLE_DB = (10.0, 5.0)
REVERBERATION_SECONDS = (0.3, 0.6, 1.2)
PAUSE_SECONDS = (3.0, 10.0)
PLACES = ("before", "within", "after")  # of a pause and its voice
PAUSES = {"silence": 0.0, "hiss": 1e-3}  # what is in a pause: the RMS of white noise, here none and -60 dBFS

_WAYS = (2, 10)
_MOST, _FEW = 500, 100  # clips: of any condition, and of those that cost most
_BATCH = 16  # voices of one length that are embedded at once
_SPOILT_SECONDS = 2.0
_TELEPHONE_HZ = (300.0, 3400.0)
_TALKERS = 4  # in babble
_GAP_SECONDS = 0.2  # of silence between two voices that go through a codec one after the other

# Voices, float32 [N, S], and a generator of random numbers to float32 [N, S'], the same voices spoilt.
Spoiler = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Condition:
    """What is done to a voice.

    Attributes:
        kind: "length", "noise", "babble", "telephone", the `kind` of a codec, "reverberation", or what is in a pause
            and where, as in "silence_before".
        amount: in seconds, dB or kbit/s; None of a telephone and of mu-law.
        words: the same for a reader, as in "3 s of silence before the voice".
        seconds: how long the voice is.
        spoil: does it.
        clips: the most that are measured.
    """

    kind: str
    amount: float | None
    words: str
    seconds: float
    spoil: Spoiler
    clips: int = _MOST


@dataclasses.dataclass(frozen=True)
class Codec:
    """How a telephone or a messenger codes voices.

    Attributes:
        kind: of the condition.
        name: for a reader.
        encoder: FFmpeg's name.
        container: FFmpeg's name of the format of its files.
        rate: Hz.
        kbits: a second, or None of a codec that has one rate alone.
        clips: the most that are measured.
    """

    kind: str
    name: str
    encoder: str
    container: str
    rate: int
    kbits: float | None
    clips: int

    def can_encode(self) -> bool:
        """Whether the FFmpeg of this environment has the encoder."""
        try:
            av.Codec(self.encoder, "w")
        except av.codec.codec.UnknownCodecError:
            return False
        return True


CODECS = (
    Codec("mu_law", "mu-law at 8 kHz", "pcm_mulaw", "wav", 8_000, None, _MOST),
    Codec("amr", "AMR at 12.2 kbit/s", "libopencore_amrnb", "amr", 8_000, 12.2, _FEW),
    Codec("opus", "Opus at 12 kbit/s", "libopus", "ogg", 16_000, 12.0, _FEW),
)


def conditions() -> list[Condition]:
    """Every condition that can be made here, the untouched two seconds being the length of 2 s.

    A codec whose encoder is missing is left out.
    """
    two = _SPOILT_SECONDS
    every = [Condition("length", s, f"{s:g} s of voice", s, _untouched, _MOST if s <= two else _FEW) for s in SECONDS]
    every += [Condition("noise", db, f"white noise, {db:g} dB below the voice", two, noise(db)) for db in SNR_DB]
    every += [
        Condition("babble", db, f"{_TALKERS} other voices, {db:g} dB below the voice", two, babble(db))
        for db in BABBLE_DB
    ]
    low, high = _TELEPHONE_HZ
    every.append(Condition("telephone", None, f"telephone, {low:g} to {high:g} Hz", two, telephone))
    every += [Condition(c.kind, c.kbits, c.name, two, coded(c), c.clips) for c in CODECS if c.can_encode()]
    every += [
        Condition("reverberation", s, f"a room that fades in {s:g} s", two, reverberation(s), _FEW)
        for s in REVERBERATION_SECONDS
    ]
    return every + pauses("silence", PLACES, PAUSE_SECONDS) + pauses("hiss", PLACES[:1], PAUSE_SECONDS)


def pauses(filling: str, places: Sequence[str], every_seconds: Sequence[float]) -> list[Condition]:
    """Pauses of a filling of `PAUSES`, at some of `PLACES`, each so many seconds long."""
    return [
        Condition(
            kind=f"{filling}_{place}",
            amount=seconds,
            words=f"{seconds:g} s of {filling} {place} the voice",
            seconds=_SPOILT_SECONDS,
            spoil=pause(seconds, place, PAUSES[filling]),
            clips=_FEW,
        )
        for place in places
        for seconds in every_seconds
    ]


def measure(
    embed: Callable[[np.ndarray], np.ndarray],
    corpus: reader.Corpus,
    split: str,
    faces: Mapping[str, np.ndarray],
    seed: int = 0,
) -> list[dict]:
    """Voice to face accuracy under every condition. It shows how far it is.

    Args:
        embed: the speech encoder, float32 [B, S] to float32 [B, E] of unit length.
        corpus: with the split's voices.
        split: which of its splits.
        faces: embeddings by clip, float32 [E] each, of the clips' first faces.
        seed: of the noises and of the bootstrap.

    Returns:
        For each condition `kind`, `amount`, `words`, `clips` and, where at least two speakers have voices as long,
        figures `accuracy_k2` and `accuracy_k10`.
    """
    voices = _voices(corpus, split, faces)
    resampling = functools.cache(lambda speakers: Resampling(np.array(speakers), seed))  # conditions share their clips
    results = []
    every = conditions()
    with Progress(len(every), "condition", stage="spoilt voices") as progress:
        for number, condition in enumerate(every):
            samples = _samples(condition.seconds)
            long = [voice for voice in voices if len(voice.waveform) >= samples]
            chosen = [long[i] for i in _evenly(len(long), condition.clips)]
            results.append({name: getattr(condition, name) for name in ("kind", "amount", "words")})
            results[-1]["clips"] = len(chosen)
            speakers = np.array([voice.speaker for voice in chosen])
            if len(set(speakers)) > 1:
                waveforms = np.stack([voice.waveform[:samples] for voice in chosen])
                spoilt = condition.spoil(waveforms, np.random.default_rng([seed, number]))
                parts = (spoilt[start : start + _BATCH] for start in range(0, len(spoilt), _BATCH))
                heard = np.concatenate([embed(part) for part in parts])
                ranks = matching.rank(heard @ np.stack([faces[voice.clip] for voice in chosen]).T, speakers)
                results[-1] |= matching.accuracies(ranks, resampling(tuple(speakers)), _WAYS)
            progress.add()
    return results


@dataclasses.dataclass(frozen=True)
class _Voice:
    clip: str
    speaker: str
    waveform: np.ndarray  # float32 [S]


def _voices(corpus: reader.Corpus, split: str, faces: Mapping[str, np.ndarray]) -> list[_Voice]:
    """At most 500 clips, recorded ones or one of each synthetic speaker, who speaks again.

    No more speak for longer than two seconds than are measured at it: speaking is what costs most.
    """
    clips, spoken = [], set()
    for place, clip in enumerate(reader.clips(corpus, split, corpus.description["face_size"], limit=_MOST)):
        if clip.id in faces and clip.speaker not in spoken:
            clips.append((place, clip.id, clip.speaker, clip.waveform[: _samples(SECONDS[-1])], clip.factors))
            if clip.factors:
                spoken.add(clip.speaker)
    at_length = set(_evenly(len(clips), _FEW))
    voices = []
    with Progress(len(clips), "voice", stage="speaking again") as progress:
        for number, (place, name, speaker, waveform, factors) in enumerate(clips):
            if factors:
                seconds = SECONDS[-1] if number in at_length else _SPOILT_SECONDS
                waveform = synthetic.speak_again(factors, np.random.default_rng([place]), seconds)
            voices.append(_Voice(name, speaker, waveform))
            progress.add()
    return voices


def _evenly(count: int, most: int) -> list[int]:
    """At most so many of the numbers below `count`, evenly spaced."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(most, count))})


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def _untouched(voices: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return voices


def noise(snr: float) -> Spoiler:
    """White noise, `snr` dB below each voice."""

    def spoil(voices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return voices + _level(voices) * 10 ** (-snr / 20) * rng.standard_normal(voices.shape, np.float32)

    return spoil


def babble(snr: float) -> Spoiler:
    """Four of the other voices, equally loud, whose sum is `snr` dB below each voice.

    They are those a fifth, two fifths... of all voices further on, and so of other speakers where a speaker's clips
    follow each other.
    """

    def spoil(voices: np.ndarray, _: np.random.Generator) -> np.ndarray:
        level = _level(voices)
        alike = voices / level
        steps = (1 + (len(voices) - 1) * k // (_TALKERS + 1) for k in range(1, _TALKERS + 1))
        others = np.sum([np.roll(alike, -step, axis=0) for step in steps], axis=0)
        return voices + level * 10 ** (-snr / 20) * others / _level(others)

    return spoil


def telephone(voices: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """The band from 300 to 3400 Hz, with nothing outside."""
    frequencies = np.fft.rfftfreq(voices.shape[1], 1 / SAMPLE_RATE)
    low, high = _TELEPHONE_HZ
    band = (frequencies >= low) & (frequencies <= high)
    return np.stack([np.fft.irfft(np.fft.rfft(voice) * band, len(voice)) for voice in voices]).astype(np.float32)


def coded(codec: Codec) -> Spoiler:
    """Through a codec and back, all voices in one file."""

    def spoil(voices: np.ndarray, _: np.random.Generator) -> np.ndarray:
        apart = np.pad(voices, ((0, 0), (0, _samples(_GAP_SECONDS))))
        heard = _decode(_encode(apart.ravel(), codec))[: apart.size]
        return np.pad(heard, (0, apart.size - len(heard))).reshape(apart.shape)[:, : voices.shape[1]]

    return spoil


def reverberation(seconds: float) -> Spoiler:
    """A room whose sound falls by 60 dB in so many seconds: the voice, and noise that decays, as loud as the voice."""

    def spoil(voices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        time = np.arange(_samples(seconds)) / SAMPLE_RATE
        decay = 10 ** (-3 * time / seconds)
        size = voices.shape[1] + len(time)

        def in_room(voice: np.ndarray) -> np.ndarray:
            response = rng.standard_normal(len(time)) * decay
            response /= np.linalg.norm(response)
            response[0] += 1.0
            return np.fft.irfft(np.fft.rfft(voice, size) * np.fft.rfft(response, size), size)[: len(voice)]

        return np.stack([in_room(voice) for voice in voices]).astype(np.float32)

    return spoil


def pause(seconds: float, place: str, level: float) -> Spoiler:
    """White noise of an RMS of `level`, or silence where it is 0, before, within or after each voice.

    `place` is one of `PLACES`; within is between two halves.
    """

    def spoil(voices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        at = {"before": 0, "within": voices.shape[1] // 2, "after": voices.shape[1]}[place]
        shape = len(voices), _samples(seconds)
        filling = level * rng.standard_normal(shape, np.float32) if level else np.zeros(shape, np.float32)
        return np.concatenate([voices[:, :at], filling, voices[:, at:]], axis=1)

    return spoil


def _level(voices: np.ndarray) -> np.ndarray:
    """The RMS of each voice, [N, 1]; a silent one has -120 dBFS, by which can be divided."""
    return np.sqrt(np.mean(np.square(voices), axis=1, keepdims=True) + 1e-12)


def _encode(waveform: np.ndarray, codec: Codec) -> io.BytesIO:
    """A file of a waveform, float32 [S]."""
    file = io.BytesIO()
    frame = av.AudioFrame.from_ndarray(waveform[None], format="flt", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    with av.open(file, "w", format=codec.container) as container:
        stream = container.add_stream(codec.encoder, rate=codec.rate, layout="mono")
        if codec.kbits:
            stream.bit_rate = round(1000 * codec.kbits)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    return file


def _decode(file: io.BytesIO) -> np.ndarray:
    """The waveform in a file, float32 [S]."""
    whole, resampler = av.AudioFifo(), av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(file) as container:
        for frame in container.decode(audio=0):
            frame.pts = None  # else it must fit to the end of the last one to the tick
            whole.write(frame)
    frames = [*resampler.resample(whole.read()), *resampler.resample(None)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])
