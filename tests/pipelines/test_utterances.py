import numpy as np
import pytest
import videos

from pipelines import utterances
from pipelines.reasons import Reason
from s2f_tf.config import SAMPLE_RATE


def heard(waveform, size=1000, max_seconds=20.0):
    """The utterances in a waveform that begins at 3 s and comes in pieces, and the listener."""
    listener = utterances.Listener(1.0, max_seconds)
    pieces = ((3.0 + at / SAMPLE_RATE, waveform[at : at + size]) for at in range(0, len(waveform), size))
    return list(listener.utterances(pieces)), listener


def noise(seconds, level=0.05, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
def test_a_voice_is_heard_also_in_noise(seed):
    babble = videos.voice(seed, 3.0)
    for loud in (0.0, 0.02):
        (utterance,), listener = heard(babble + loud * noise(3.0, 1.0)[: len(babble)])
        assert utterance.seconds > 2.6 and listener.unusable == []


@pytest.mark.parametrize(
    "waveform",
    [
        noise(3.0),
        0.3 * np.cumsum(noise(3.0, 0.01)),  # rumble
        0.3 * np.sin(2 * np.pi * 220 * np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE),  # a whistle
        0.3 * np.sign(np.sin(2 * np.pi * 100 * np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE)),  # a hum
        noise(3.0) * (np.arange(3 * SAMPLE_RATE) % 8000 < 400),  # clicks
    ],
    ids=["noise", "rumble", "whistle", "hum", "clicks"],
)
def test_what_is_no_voice_is_not_taken_for_one(waveform):
    utterances, listener = heard(waveform.astype(np.float32))
    assert utterances == []
    assert listener.verdict == Reason.NO_VOICE
    assert {found.reason for found in listener.unusable} <= {Reason.NO_VOICE, Reason.TOO_SHORT}


@pytest.mark.parametrize("level", [2e-4, 1e-3, 0.03])
def test_a_quiet_voice_is_heard_like_a_loud_one(level):
    sound = np.concatenate([1e-3 * noise(1.0), videos.voice(1, 3.0), 1e-3 * noise(1.0), videos.voice(2, 2.0)])
    sound /= np.abs(sound).max()
    loud, quiet = heard(sound)[0], heard((level * sound).astype(np.float32))[0]
    assert len(loud) == 2
    assert [(one.start, one.seconds) for one in quiet] == [(one.start, one.seconds) for one in loud]


def test_silence_and_no_sound_are_told_apart():
    assert heard(noise(2.0, 1e-5))[1].verdict == Reason.SILENT
    assert heard(np.zeros(0, np.float32))[1].verdict == Reason.NO_SOUND


def test_utterances_lie_where_they_are_spoken_and_short_ones_are_told():
    quiet = noise(2.0, 1e-4)
    sound = np.concatenate([quiet, videos.voice(1, 2.0), quiet, videos.voice(1, 0.4), quiet, videos.voice(2, 1.5)])
    (first, second), listener = heard(sound)
    assert first.start == pytest.approx(3.0 + 2.0 - 0.2, abs=0.15) and first.seconds == pytest.approx(2.4, abs=0.3)
    assert second.start == pytest.approx(3.0 + 8.4 - 0.2, abs=0.15) and second.seconds == pytest.approx(1.7, abs=0.3)
    (short,) = listener.unusable
    assert short.reason == Reason.TOO_SHORT and short.start == pytest.approx(3.0 + 6.0 - 0.2, abs=0.15)
    at = round((first.start - 3.0) * SAMPLE_RATE)
    np.testing.assert_array_equal(first.waveform, sound[at : at + len(first.waveform)])


def test_the_pieces_that_sound_comes_in_do_not_matter():
    sound = np.concatenate([videos.voice(1, 3.0), noise(1.0, 1e-4), videos.voice(2, 2.0)])
    alike = [heard(sound, size)[0] for size in (160, 1000, 99_999)]
    for other in alike[1:]:
        for a, b in zip(alike[0], other, strict=True):
            assert a.start == pytest.approx(b.start, abs=1e-6)
            np.testing.assert_array_equal(a.waveform, b.waveform)


def test_a_long_speech_is_cut_where_it_is_quiet_and_nothing_is_lost():
    sound = np.concatenate([videos.voice(seed, 3.0) for seed in range(4)])
    utterances, _ = heard(sound, max_seconds=4.0)
    assert len(utterances) >= 3 and max(u.seconds for u in utterances) <= 4.0
    together = np.concatenate([u.waveform for u in utterances])
    np.testing.assert_array_equal(together, sound[: len(together)])
    assert len(together) > len(sound) - SAMPLE_RATE
    for before, after in zip(utterances, utterances[1:], strict=False):
        assert before.start + before.seconds == pytest.approx(after.start)
        edge = np.sqrt(np.mean(before.waveform[-160:] ** 2))
        assert edge < 0.7 * np.sqrt(np.mean(before.waveform**2))


def test_only_what_lies_between_two_times_is_heard():
    sound = np.concatenate([videos.voice(1, 3.0), videos.voice(2, 3.0)])
    listener = utterances.Listener(1.0, 20.0)
    (utterance,) = listener.utterances([(0.0, sound)], 1.0, 4.5)
    assert utterance.start >= 1.0 and utterance.start + utterance.seconds <= 4.5 + 1e-6
    assert listener.heard == pytest.approx(3.5)


def test_memory_does_not_grow_with_the_length_of_a_speech():
    listener = utterances.Listener(1.0, 4.0)
    block = videos.voice(3, 2.0)
    times = (index * len(block) / SAMPLE_RATE for index in range(24))
    most, count = 0, 0
    for _ in listener.utterances((time, block) for time in times):
        count += 1
        most = max(most, len(listener._waveform))
    assert count > 10 and most < 8 * SAMPLE_RATE


def test_a_gap_in_the_stamps_ends_an_utterance():
    listener = utterances.Listener(1.0, 20.0)
    first, second = listener.utterances([(0.0, videos.voice(1, 2.0)), (10.0, videos.voice(1, 2.0))])
    assert first.start < 0.1 and second.start == pytest.approx(10.0, abs=0.1)
