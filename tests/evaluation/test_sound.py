import numpy as np
import pytest

from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import reader
from s2f_tf.evaluation import sound

RATE = SAMPLE_RATE


def condition(kind, amount=None):
    return next(c for c in sound.conditions() if c.kind == kind and amount in (None, c.amount))


@pytest.fixture
def tone():
    """Two tones, one inside the band of a telephone and one outside."""
    time = np.arange(2 * RATE) / RATE
    return np.sin(2 * np.pi * 1000 * time) + np.sin(2 * np.pi * 6000 * time)


@pytest.mark.parametrize("snr", sound.SNR_DB)
def test_noise_is_as_far_below_the_voice_as_it_says(tone, snr):
    noise = condition("noise", snr).spoil(tone, np.random.default_rng(0)) - tone
    assert 20 * np.log10(np.std(tone) / np.std(noise)) == pytest.approx(snr, abs=0.2)


def test_a_telephone_lets_its_band_alone_through(tone):
    heard = np.abs(np.fft.rfft(condition("telephone").spoil(tone, np.random.default_rng(0))))
    before = np.abs(np.fft.rfft(tone))
    assert heard[2000] == pytest.approx(before[2000])  # bins of half a Hz
    assert heard[12000] < 1e-6 * before[12000]


@pytest.mark.parametrize("seconds", sound.REVERBERATION_SECONDS)
def test_a_room_sounds_on_for_as_long_as_it_says(seconds):
    click = np.zeros(2 * RATE)
    click[100] = 1.0
    heard = condition("reverberation", seconds).spoil(click, np.random.default_rng(0))
    assert heard[100] == pytest.approx(1.0, abs=0.3)
    energy = np.cumsum(heard[::-1] ** 2)[::-1]
    decay = 10 * np.log10(energy[101 : 101 + int(0.5 * seconds * RATE)] / energy[101])
    assert decay[-1] == pytest.approx(-30, abs=3)  # half of the time, half of the 60 dB


def test_every_condition_is_measured_on_the_voices_that_are_long_enough(tiny_corpus):
    corpus = reader.Corpus(tiny_corpus)
    names = {clip.id: clip.speaker for clip in reader.clips(corpus, "train", 16)}
    directions = np.random.default_rng(0).normal(size=(len(names), 8))
    faces = {name: (d / np.linalg.norm(d)).astype(np.float32) for name, d in zip(names, directions, strict=True)}
    lengths = []

    def embed(waveform):
        lengths.append(waveform.shape[1])
        return np.repeat(faces[next(iter(faces))][None], len(waveform), axis=0)

    results = sound.measure(embed, corpus, "train", faces)
    assert [r["kind"] for r in results] == [c.kind for c in sound.conditions()]
    assert {r["clips"] for r in results} == {len(set(names.values()))}  # synthetic speakers speak for as long as asked
    assert set(lengths) == {round(s * RATE) for s in sound.SECONDS}
    for result in results:
        assert result["accuracy_k2"].low <= 0.5 <= result["accuracy_k2"].high  # one embedding for all knows nothing


def test_recorded_voices_that_are_too_short_are_left_out(tiny_corpus, monkeypatch):
    corpus = reader.Corpus(tiny_corpus)
    recorded = [clip for clip in reader.clips(corpus, "train", 16)]
    for clip in recorded:
        clip.factors.clear()
    monkeypatch.setattr(reader, "clips", lambda *_, **__: iter(recorded))
    faces = {clip.id: np.eye(2, dtype=np.float32)[0] for clip in recorded}
    results = sound.measure(lambda waveform: np.ones((len(waveform), 2), np.float32), corpus, "train", faces)
    by_length = {r["amount"]: r["clips"] for r in results if r["kind"] == "length"}
    assert by_length[0.5] == len(recorded)
    assert by_length[2.0] == by_length[10.0] == 0
    assert "accuracy_k2" not in next(r for r in results if r["kind"] == "noise")
