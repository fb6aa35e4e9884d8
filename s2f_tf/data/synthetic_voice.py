"""The voice of a synthetic speaker: a source and a filter, as in the acoustic theory of speech production (Fant 1960).

A train of glottal pulses (Rosenberg 1971) and breath noise pass through a vocal tract of five formants in cascade with
a nasal branch (Klatt 1980), noise of fricatives and bursts through a band of its own. Everything moves in frames of
10 ms, each filtered in the frequency domain and overlapped with its neighbours. What is said is babble: syllables of
vowels, nasals, fricatives and plosives, drawn at random.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from s2f_tf.config import SAMPLE_RATE

_HOP = 160  # samples between frames
_FRAME = 2 * _HOP  # a Hann window of two hops sums to one
_FFT = 512
_FREQUENCIES = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)
_WINDOW = np.hanning(_FRAME + 1)[:-1]

_NEUTRAL = np.array([500.0, 1500.0, 2500.0])  # formants of a tube without articulation, in Hz
_HIGHER_FORMANTS = np.array([3500.0, 4500.0])
_BANDWIDTHS = np.array([70.0, 90.0, 130.0, 200.0, 280.0])
_LOUDNESS = 0.07  # RMS of the middle loudness, about -23 dB of full scale
_PEAK = 0.95

# Columns of a segment: duration in s, three formants in Hz, voicing, breath, hiss, centre and width of the hiss in Hz,
# and how far the way to the nose is open.
_VOWELS = np.array(
    [
        [0.12, 280, 2250, 2900, 1.0, 0, 0, 4000, 1000, 0.1],  # i
        [0.12, 420, 2050, 2600, 1.0, 0, 0, 4000, 1000, 0.1],  # e
        [0.13, 680, 1750, 2450, 1.0, 0, 0, 4000, 1000, 0.1],  # ae
        [0.13, 760, 1180, 2450, 1.0, 0, 0, 4000, 1000, 0.1],  # a
        [0.12, 480, 850, 2500, 1.0, 0, 0, 4000, 1000, 0.1],  # o
        [0.12, 310, 800, 2250, 1.0, 0, 0, 4000, 1000, 0.1],  # u
    ]
)
_CONSONANTS = (
    np.array([[0.06, 280, 1000, 2250, 0.55, 0, 0, 4000, 1000, 1.0]]),  # m
    np.array([[0.06, 290, 1700, 2600, 0.55, 0, 0, 4000, 1000, 1.0]]),  # n
    np.array([[0.05, 360, 1100, 2600, 0.7, 0, 0, 4000, 1000, 0.1]]),  # l
    np.array([[0.08, 320, 1750, 2600, 0.0, 0, 1.0, 6200, 900, 0]]),  # s
    np.array([[0.08, 300, 1900, 2500, 0.0, 0, 1.2, 3600, 800, 0]]),  # sh
    np.array([[0.07, 320, 1100, 2300, 0.0, 0, 0.35, 5000, 2500, 0]]),  # f
    np.array([[0.06, 300, 1700, 2600, 0.5, 0, 0.5, 6000, 1000, 0]]),  # z
    np.array([[0.05, 500, 1500, 2500, 0.0, 0.6, 0, 4000, 1000, 0]]),  # h
    np.array([[0.06, 320, 900, 2250, 0, 0, 0, 900, 700, 0], [0.015, 350, 900, 2250, 0, 0.5, 0.8, 900, 700, 0]]),  # p
    np.array(
        [[0.06, 320, 1750, 2600, 0, 0, 0, 4500, 900, 0], [0.015, 350, 1750, 2600, 0, 0.5, 1.2, 4500, 900, 0]]
    ),  # t
    np.array([[0.06, 320, 2000, 2400, 0, 0, 0, 2200, 600, 0], [0.02, 350, 2000, 2400, 0, 0.6, 1.0, 2200, 600, 0]]),  # k
    np.array([[0.05, 250, 900, 2250, 0.25, 0, 0, 900, 700, 0], [0.01, 350, 900, 2250, 0.5, 0, 0.5, 900, 700, 0]]),  # b
    np.array(
        [[0.05, 250, 1750, 2600, 0.25, 0, 0, 4000, 900, 0], [0.01, 350, 1750, 2600, 0.5, 0, 0.6, 4000, 900, 0]]
    ),  # d
)
_PAUSE = np.array([[0.1, 500, 1500, 2500, 0, 0, 0, 4000, 1000, 0]])


def speak(factors: Mapping[str, float], rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Babble in the voice that `factors` describe: float32 [S] in [-1, 1] at 16 kHz.

    `factors` holds the six shared factors as realised in this utterance, and those of the utterance alone; see
    `synthetic.FACTORS`. S is `seconds` to within one frame of 10 ms. The same factors and state of `rng` give the same
    samples.
    """
    count = max(round(seconds * SAMPLE_RATE / _HOP), 2)
    segments = _babble(factors, rng, count)
    formants = _articulate(segments[:, 1:4], factors["articulation"])
    voicing, breath, hiss = (_smooth(segments[:, column], 3) for column in (4, 5, 6))

    voiced, airflow = _glottis(_intonation(factors, rng, count), factors, rng)
    noise = rng.standard_normal((2, len(voiced)), np.float32)
    breathiness = 0.03 * 10 ** (0.75 * (factors["age"] + 1))  # rising by 30 dB with age
    source = _per_sample(voicing) * (voiced + breathiness * (0.3 + airflow) * noise[0]) + _per_sample(breath) * noise[0]

    tract = _tract(formants, np.maximum(_smooth(segments[:, 9], 5), 0.1), factors)
    channel = _channel(factors["channel"], rng)
    spectra = np.fft.rfft(_frames(source), _FFT) * tract * (_tilt(factors["fullness"]) * channel)
    hissing = np.flatnonzero(hiss > 1e-3)
    crispness = 0.25 * 10 ** (0.25 * factors["articulation"])
    centre, width = (segments[hissing, column, None] * 1.2 ** (0.5 * factors["tract"]) for column in (7, 8))
    band = np.exp(-0.5 * ((_FREQUENCIES - centre) / width) ** 2) * (crispness * hiss[hissing, None])
    spectra[hissing] += np.fft.rfft(_frames(noise[1])[hissing], _FFT) * (band * channel)
    return _record(_overlap(np.fft.irfft(spectra, _FFT), len(source)), factors, rng)


def _babble(factors: Mapping[str, float], rng: np.random.Generator, count: int) -> np.ndarray:
    """Segments of random syllables, one row for each of `count` frames: float [count, 10]."""
    pace = 1.0 + 0.2 * factors["rate"] - 0.15 * factors["age"]
    vowels, phrase = _shuffled_forever(rng, len(_VOWELS)), int(rng.integers(4, 8))
    rows, lengths, frames = [_PAUSE], [np.array([5])], 5
    while frames < count:
        rows += [_CONSONANTS[rng.integers(len(_CONSONANTS))], _VOWELS[[next(vowels)]]]
        phrase -= 1
        if phrase == 0:
            rows.append(_PAUSE)
            phrase = int(rng.integers(4, 8))
        while len(lengths) < len(rows):
            seconds = rows[len(lengths)][:, 0] * rng.uniform(0.8, 1.25) / pace
            lengths.append(np.maximum((seconds * SAMPLE_RATE / _HOP + 0.5).astype(int), 1))
            frames += lengths[-1].sum()
    track = np.repeat(np.concatenate(rows), np.concatenate(lengths), axis=0)[:count]
    track[-4:, 4:7] = 0.0  # the utterance ends in silence
    return track


def _shuffled_forever(rng: np.random.Generator, count: int) -> Iterator[int]:
    """Numbers below `count` in random order, each once before any comes again: all vowels are heard in a second."""
    while True:
        yield from rng.permutation(count)


def _articulate(formants: np.ndarray, articulation: float) -> np.ndarray:
    """Formants with their distance from the neutral tube scaled: mumbled at -1, over-clear at 1. [frames, 3] in Hz."""
    reach = 0.7 + 0.5 * articulation
    return _smooth(_NEUTRAL * (formants / _NEUTRAL) ** reach, 7)


def _intonation(factors: Mapping[str, float], rng: np.random.Generator, count: int) -> np.ndarray:
    """Fundamental frequency of each frame in Hz: falls over the utterance, with accents, and with tremor in age."""
    middle = np.log(85.0) + (factors["pitch"] + 1) / 2 * np.log(260.0 / 85.0)
    time = np.arange(count) * _HOP / SAMPLE_RATE
    knots = np.arange(0.0, time[-1] + 0.6, 0.3)
    accents = np.interp(time, knots, rng.normal(0, 0.05, len(knots)))
    tremor = 0.01 * (factors["age"] + 1) * np.sin(2 * np.pi * (5.0 * time + rng.uniform()))
    return np.exp(middle + np.linspace(0.06, -0.06, count) + accents - accents.mean() + tremor)


def _glottis(
    pitch: np.ndarray, factors: Mapping[str, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rosenberg's pulses: the derivative of the air flow through the glottis, and the flow in [0, 1], both [S]."""
    old = (factors["age"] + 1) / 2
    step = _per_sample(pitch) / SAMPLE_RATE
    cycle = np.cumsum(step).astype(int)
    jitter, shimmer = rng.standard_normal((2, cycle[-1] + 3))
    step = step * np.maximum(1 + (0.003 + 0.04 * old) * jitter[cycle], 0.5)
    phase = np.cumsum(step)
    cycle = phase.astype(int).clip(max=len(shimmer) - 1)
    phase = (phase % 1.0).astype(np.float32)
    peak, closure = 0.42, 0.62
    flow = np.where(
        phase < peak,
        0.5 - 0.5 * np.cos(np.pi / peak * phase),
        np.cos(np.pi / 2 * np.minimum((phase - peak) / (closure - peak), 1.0)),
    )
    flow *= np.maximum(1 + (0.02 + 0.2 * old) * shimmer[cycle], 0.1)
    return np.diff(flow, prepend=0.0) / step / 8, flow


def _tract(formants: np.ndarray, nose: np.ndarray, factors: Mapping[str, float]) -> np.ndarray:
    """Complex response of the vocal tract, [frames, bins].

    The nasal branch is a peak near 300 Hz and a notch near 1000 Hz, each a pole and a zero at one frequency, whose
    bandwidths tell how high and how deep it is.
    """
    scale = 1.01 * 1.21 ** factors["tract"]  # 0.83 to 1.22 times the formants of the middle tract
    nasality = np.clip(0.5 + 0.5 * factors["nasality"] + 0.3 * (nose - 0.1), 0.0, 1.3)
    poles = np.ones((len(formants), 1))
    for formant, bandwidth in zip((*formants.T, *_HIGHER_FORMANTS), _BANDWIDTHS, strict=True):
        poles = _resonator(poles, np.broadcast_to(formant * scale, nasality.shape), bandwidth * scale)
    poles = _resonator(_resonator(poles, 300.0, 300.0 * 0.19**nasality), 1000.0, 600.0)
    zeros = _resonator(_resonator(np.ones((len(formants), 1)), 300.0, 300.0), 1000.0, 600.0 * 0.08**nasality)
    gain = poles.sum(axis=1, keepdims=True) / zeros.sum(axis=1, keepdims=True)
    return np.fft.rfft(gain * zeros, _FFT) / np.fft.rfft(poles, _FFT)


def _resonator(polynomial: np.ndarray, frequency: np.ndarray | float, bandwidth: np.ndarray | float) -> np.ndarray:
    """Multiplies polynomials in 1/z, [frames, order + 1], by the pair of roots at a frequency and bandwidth in Hz."""
    radius = np.exp(-np.pi * np.asarray(bandwidth) / SAMPLE_RATE)
    linear = -2 * radius * np.cos(2 * np.pi * np.asarray(frequency) / SAMPLE_RATE)
    product = np.pad(polynomial, ((0, 0), (0, 2)))
    product[:, 1:-1] += linear[..., None] * polynomial
    product[:, 2:] += radius[..., None] ** 2 * polynomial
    return product


def _tilt(fullness: float) -> np.ndarray:
    """Gain of each bin: the spectrum falls by up to 5 dB an octave (dark, full) or rises as much (bright, thin)."""
    return _slope(-5.0 * fullness)


def _slope(decibels_per_octave: float) -> np.ndarray:
    octaves = np.log2(np.maximum(_FREQUENCIES, 100.0) / 500.0)
    return 10 ** (decibels_per_octave * octaves / 20)


def _channel(channel: float, rng: np.random.Generator) -> np.ndarray:
    """Gain of each bin of the microphone: a mild slope, and band edges drawn at random."""
    low, high = rng.uniform(40.0, 120.0), rng.uniform(6800.0, 8000.0)
    edges = 1 / (1 + (low / np.maximum(_FREQUENCIES, 1.0)) ** 4) / (1 + (_FREQUENCIES / high) ** 12)
    return _slope(1.0 * channel) * np.sqrt(edges)


def _record(waveform: np.ndarray, factors: Mapping[str, float], rng: np.random.Generator) -> np.ndarray:
    """The waveform at its loudness with the noise of the room, short of clipping: float32 [S]."""
    level = np.sqrt(np.mean(waveform**2)) + 1e-9
    noisy = waveform / level + 10 ** (-factors["snr"] / 20) * rng.standard_normal(len(waveform), np.float32)
    noisy *= _LOUDNESS * 10 ** (factors["loudness"] / 20)
    return (noisy * min(1.0, _PEAK / np.abs(noisy).max())).astype(np.float32)


def _smooth(track: np.ndarray, frames: int) -> np.ndarray:
    """A track over frames (the first axis), smoothed by a Hann window of that many frames."""
    window = np.hanning(frames + 2)[1:-1]
    window /= window.sum()
    half = frames // 2
    padded = np.pad(track, [(half, half)] + [(0, 0)] * (track.ndim - 1), mode="edge")
    return sum(weight * padded[k : k + len(track)] for k, weight in enumerate(window))


def _per_sample(track: np.ndarray) -> np.ndarray:
    """A track over frames as one over samples: [frames] -> [frames * hop]."""
    ramp = (np.arange(_HOP) + 0.5) / _HOP
    following = np.append(track[1:], track[-1])
    return (track[:, None] + (following - track)[:, None] * ramp).ravel()


def _frames(waveform: np.ndarray) -> np.ndarray:
    """Windowed frames, each of two hops: [frames * hop] -> [frames, 2 * hop]."""
    hops = np.append(waveform, np.zeros(_HOP)).reshape(-1, _HOP)
    return np.concatenate([hops[:-1], hops[1:]], axis=1) * _WINDOW


def _overlap(frames: np.ndarray, samples: int) -> np.ndarray:
    """Adds overlapping frames at their places: [frames, fft] -> [samples]."""
    hops = -(-_FFT // _HOP)
    frames = np.pad(frames, ((0, 0), (0, hops * _HOP - _FFT)))
    waveform = np.zeros((len(frames) + hops, _HOP))
    for k in range(hops):
        waveform[k : k + len(frames)] += frames[:, k * _HOP : (k + 1) * _HOP]
    return waveform.ravel()[:samples]
