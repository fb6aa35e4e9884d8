import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voices import speak

from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data.voice import HOP, voiced, voiced_seconds

seeds = st.integers(0, 2**32 - 1)
seconds = st.sampled_from([0.5, 0.75, 1.3, 4.0])
levels = st.floats(-75, 0).map(lambda decibels: 10 ** (decibels / 20))
steadily = settings(max_examples=40, deadline=None, derandomize=True)


def noise(length, seed, colour=0.0):
    """Noise whose power is as the frequency to the power of -`colour`: white, pink (1), brown (2), hiss (-1)."""
    samples = round(length * SAMPLE_RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    frequencies = np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE), 1)
    waveform = np.fft.irfft(spectrum * frequencies ** (-colour / 2), samples)
    return waveform / np.abs(waveform).max()


def tones(length, hertz, weights, seed):
    """Tones at multiples of a frequency, each with its weight and a phase of its own."""
    time = np.arange(round(length * SAMPLE_RATE)) / SAMPLE_RATE
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(weights))
    return sum(
        w * np.sin(2 * np.pi * hertz * k * time + p) for k, (w, p) in enumerate(zip(weights, phases, strict=True), 1)
    )


def telephone(waveform):
    spectrum, frequencies = np.fft.rfft(waveform), np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE)
    return np.fft.irfft(spectrum * ((frequencies >= 300) & (frequencies <= 3400)), len(waveform))


def noisy(waveform):
    """In white noise as loud as the voice."""
    level = np.sqrt(np.mean(waveform**2))
    return waveform + level * np.random.default_rng(len(waveform)).standard_normal(len(waveform))


def hushed(waveform):
    """At -79 dBFS."""
    return waveform * 10 ** (-79 / 20) / np.abs(waveform).max()


@pytest.mark.parametrize("length", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("spoil", [np.asarray, telephone, noisy, hushed], ids=["clean", "telephone", "noise", "-79 dB"])
def test_a_voice_is_a_voice(spoil, length):
    for speaker in range(12):
        assert 0.08 < voiced_seconds(spoil(speak(speaker, length))) <= length


@steadily
@given(seeds, seconds, levels, st.sampled_from([0.0, 1.0, 2.0, -1.0]))
def test_noise_of_any_colour_is_none(seed, length, level, colour):
    assert voiced_seconds(level * noise(length, seed, colour)) == 0


@steadily
@given(
    seeds, seconds, levels, st.sampled_from([49.9, 50.0, 50.2, 60.0, 60.1]), st.lists(st.floats(0.1, 1), max_size=20)
)
def test_hum_is_none(seed, length, level, hertz, harmonics):
    assert voiced_seconds(level * tones(length, hertz, [1.0, *harmonics], seed) / (1 + sum(harmonics))) == 0


@steadily
@given(seeds, seconds, levels, st.floats(20, 7900))
def test_a_tone_is_none(seed, length, level, hertz):
    assert voiced_seconds(level * tones(length, hertz, [1.0], seed)) == 0


@pytest.mark.parametrize("colour", [0.0, 1.0, 2.0, -1.0])
def test_a_minute_of_noise_is_none(colour):
    assert voiced_seconds(noise(60.0, 1, colour)) == 0


@pytest.mark.parametrize("samples", [0, 1, HOP - 1, HOP, HOP + 1, 8000])
def test_silence_of_any_length_is_none(samples):
    assert voiced_seconds(np.zeros(samples, np.float32)) == 0


def test_pauses_do_not_count():
    spoken, pause = speak(1, 2.0), 1e-3 * noise(10.0, 3)
    alone = voiced_seconds(spoken)
    assert voiced_seconds(np.concatenate([pause, spoken, pause])) == pytest.approx(alone, abs=0.05)
    assert voiced_seconds(np.concatenate([spoken, pause, spoken])) == pytest.approx(2 * alone, abs=0.1)


def test_a_knock_louder_than_the_voice_leaves_it_a_voice():
    spoken, knock = 0.01 * speak(1, 2.0), noise(0.02, 4)
    knocked = np.concatenate([knock, np.zeros(SAMPLE_RATE), spoken])
    assert voiced_seconds(knocked) == pytest.approx(voiced_seconds(spoken), abs=0.05)


def test_level_and_block_do_not_matter():
    spoken = speak(2, 12.0)  # more than a block
    assert voiced_seconds(spoken * 2.0**-12) == voiced_seconds(spoken) > 3
    whole, first = voiced(spoken), voiced(spoken[: 5 * SAMPLE_RATE])
    for a, b in zip(whole, first, strict=True):
        # Of as many rows as there are, some processors' products of matrices differ in the last bit of a float32.
        np.testing.assert_allclose(a[: len(b)], b, rtol=1e-6)
