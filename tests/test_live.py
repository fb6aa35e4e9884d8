import itertools
import tracemalloc

import numpy as np
import pytest
from voices import speak

from s2f_tf import live
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data.audio import SoundError

SPEAKERS = range(1, 11)


def blocks_of(waveform, samples=700):
    return (waveform[start : start + samples] for start in range(0, len(waveform), samples))


def seconds_heard(waveform):
    """When something was yielded; nothing is embedded."""
    embedding = np.array([1, 0], np.float32)
    return [seconds for _, seconds in live.embeddings(blocks_of(waveform), SAMPLE_RATE, lambda _: embedding)]


@pytest.mark.parametrize("pause", [0.0, 0.37])
@pytest.mark.parametrize("length", [3.0, 5.3])
def test_what_was_heard_in_pieces_is_what_is_heard_of_the_whole(model, length, pause):
    for speaker in SPEAKERS:
        waveform = np.concatenate([np.zeros(round(pause * SAMPLE_RATE), np.float32), speak(speaker, length)])
        *_, (_, embedding, seconds) = model.listen(blocks_of(waveform), SAMPLE_RATE, faces=1)
        assert seconds == pytest.approx(len(waveform) / SAMPLE_RATE)
        assert embedding @ model.embed(waveform, rate=SAMPLE_RATE) >= 0.98, speaker


def test_faces_come_about_each_second_and_are_those_that_draw_would_give(model):
    waveform = speak(1, 10.0)
    heard = list(model.listen(blocks_of(waveform), SAMPLE_RATE, faces=2, seed=5))
    assert [seconds for _, _, seconds in heard] == list(range(1, 11))
    faces, embedding, _ = heard[0]
    first = waveform[:SAMPLE_RATE]
    assert embedding @ model.embed(first, rate=SAMPLE_RATE) == pytest.approx(1, abs=1e-5)
    drawn = model.draw(first, faces=2, seed=5, rate=SAMPLE_RATE)
    assert faces.dtype == np.uint8 and faces.shape == drawn.shape
    assert np.abs(faces - drawn.astype(int)).mean() < 0.5


@pytest.mark.parametrize("rate, channels", [(8_000, 1), (44_100, 2), (48_000, 1)])
def test_a_voice_at_another_rate_is_the_same_voice(model, rate, channels):
    time = np.arange(round(3.3 * rate)) / rate
    waveform = speak(2, 3.4)
    there = np.interp(time, np.arange(len(waveform)) / SAMPLE_RATE, waveform)
    there = np.stack([there] * channels, axis=1) if channels > 1 else there
    *_, (_, embedding, seconds) = model.listen(blocks_of(there), rate, faces=1)
    assert seconds == pytest.approx(3.3, abs=0.01)
    assert embedding @ model.embed(waveform, rate=SAMPLE_RATE) >= 0.9


def test_the_length_of_the_blocks_makes_no_difference():
    waveform = speak(3, 4.2)
    sent = []

    def embed(wav):
        sent[-1].append(wav)
        return np.array([1, 0], np.float32)

    for samples in (97, 1600, len(waveform)):
        sent.append([])
        list(live.embeddings(blocks_of(waveform, samples), SAMPLE_RATE, embed))
    assert sent[0] == sent[1] == sent[2]
    assert len(sent[0]) == 5


@pytest.mark.parametrize("lead", np.linspace(0, 1.9, 20))
def test_nothing_comes_of_silence_noise_or_hum_wherever_it_begins(lead):
    time = np.arange(6 * SAMPLE_RATE) / SAMPLE_RATE
    silence = np.zeros(round(lead * SAMPLE_RATE))
    hiss = 0.1 * np.random.default_rng(0).standard_normal(len(time))
    for sound in (0 * time, hiss, np.sin(2 * np.pi * 50 * time), np.sin(2 * np.pi * 220 * time) / 10):
        assert seconds_heard(np.concatenate([silence, sound, silence])) == []


def test_a_pause_adds_nothing_and_the_end_tells_the_whole_again():
    pause = np.zeros(10 * SAMPLE_RATE, np.float32)
    heard = seconds_heard(np.concatenate([pause, speak(1, 2.0), pause]))
    assert heard[0] in (11, 12) and heard[-1] == 22 and len(heard) <= 4


@pytest.mark.parametrize("lead", [0.0, 0.4, 0.9])
def test_a_word_that_is_cut_is_heard(lead):
    word = speak(1, 0.5)
    silence = np.zeros(round(lead * SAMPLE_RATE), np.float32)
    assert seconds_heard(np.concatenate([silence, word]))
    assert seconds_heard(np.concatenate([silence, word, np.zeros(5 * SAMPLE_RATE, np.float32)]))


def test_what_is_too_short_or_nothing_gives_nothing():
    assert seconds_heard(speak(1, 0.4)) == []
    assert list(live.embeddings([], SAMPLE_RATE, None)) == []
    assert list(live.embeddings([np.zeros(0)], SAMPLE_RATE, None)) == []


def test_memory_is_bounded_where_no_end_comes():
    second = speak(1, 1.0)
    heard = live.embeddings(itertools.repeat(second), SAMPLE_RATE, lambda _: np.array([1, 0], np.float32))
    list(itertools.islice(heard, 10))
    tracemalloc.start()
    list(itertools.islice(heard, 10))
    first = tracemalloc.get_traced_memory()[0]
    list(itertools.islice(heard, 60))
    grown = tracemalloc.get_traced_memory()[0] - first
    tracemalloc.stop()
    assert grown < second.nbytes


@pytest.mark.parametrize(
    "blocks, message",
    [
        ([np.zeros(100, np.int16)], r"a block is int16 \[100\]: float \[n\] or \[n, C\]"),
        ([np.zeros((1, 2, 3))], r"float64 \[1, 2, 3\]"),
        ([np.array([0.0, np.nan])], "NaN or infinite"),
        ([np.zeros((4, 2)), np.zeros((4, 1))], "a block has 1 channels, and those before it 2"),
    ],
)
def test_blocks_that_would_be_heard_wrong_are_refused(blocks, message):
    with pytest.raises(SoundError, match=message):
        list(live.embeddings(blocks, SAMPLE_RATE, None))


def test_no_faces_are_refused(model):
    with pytest.raises(ValueError, match="faces must be at least 1, not 0"):
        next(model.listen([], SAMPLE_RATE, faces=0))
