import numpy as np
import pytest

from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import reader, synthetic, synthetic_voice
from s2f_tf.evaluation import sound

RATE = SAMPLE_RATE


def condition(kind, amount=None):
    return next(c for c in sound.conditions() if c.kind == kind and amount in (None, c.amount))


def spoil(voices, kind, amount=None):
    return condition(kind, amount).spoil(np.float32(voices), np.random.default_rng(0))


@pytest.fixture
def tone():
    """Two tones, one inside the band of a telephone and one outside: [1, S]."""
    time = np.arange(2 * RATE) / RATE
    return (0.2 * (np.sin(2 * np.pi * 1000 * time) + np.sin(2 * np.pi * 6000 * time)))[None]


@pytest.fixture(scope="module")
def voices():
    """Eight speakers, [8, S]."""
    factors = ({**synthetic.speaker_factors(1, n), "rate": 0, "snr": 40, "channel": 0, "loudness": 0} for n in range(8))
    return np.stack([synthetic_voice.speak(of, np.random.default_rng(n), 2.0) for n, of in enumerate(factors)])


@pytest.mark.parametrize("each", sound.conditions(), ids=lambda each: f"{each.kind}-{each.amount}")
def test_voices_stay_voices(voices, each):
    spoilt = each.spoil(voices, np.random.default_rng(0))
    assert spoilt.dtype == np.float32 and len(spoilt) == len(voices) and np.isfinite(spoilt).all()
    np.testing.assert_array_equal(spoilt, each.spoil(voices, np.random.default_rng(0)))
    assert f"{each.amount or 0:g}" in each.words or each.amount is None
    assert np.isfinite(each.spoil(np.zeros_like(voices), np.random.default_rng(0))).all()


@pytest.mark.parametrize("snr", sound.SNR_DB)
def test_noise_is_as_far_below_the_voice_as_it_says(tone, snr):
    noise = spoil(tone, "noise", snr) - tone
    assert 20 * np.log10(np.std(tone) / np.std(noise)) == pytest.approx(snr, abs=0.2)


@pytest.mark.parametrize("snr", sound.BABBLE_DB)
def test_babble_is_four_of_the_others_as_loud_as_each_other(voices, snr):
    babble = spoil(voices, "babble", snr) - voices
    assert 20 * np.log10(np.std(voices, axis=1) / np.std(babble, axis=1)) == pytest.approx(snr, abs=0.1)
    alike = voices / np.std(voices, axis=1, keepdims=True)
    shares = np.linalg.lstsq(alike.T, babble.T, rcond=None)[0].T  # of each of the eight in each babble
    for number, share in enumerate(shares / shares.max(axis=1, keepdims=True)):
        assert share[number] == pytest.approx(0, abs=1e-3)
        assert sorted(share) == pytest.approx([0, 0, 0, 0, 1, 1, 1, 1], abs=1e-3)


def test_a_telephone_lets_its_band_alone_through(tone):
    heard = np.abs(np.fft.rfft(spoil(tone, "telephone")[0]))
    before = np.abs(np.fft.rfft(tone[0]))
    assert heard[2000] == pytest.approx(before[2000], rel=1e-4)  # bins of half a Hz
    assert heard[12000] < 1e-4 * before[12000]


@pytest.mark.parametrize("codec", [codec for codec in sound.CODECS if codec.can_encode()], ids=lambda codec: codec.kind)
def test_a_codec_keeps_each_voice_in_its_place(voices, codec):
    heard = spoil(voices, codec.kind)
    band = slice(400, 6000)  # of bins of half a Hz, so 200 to 3000 Hz, by which each voice knows itself
    before, after = (
        np.log(np.abs(np.fft.rfft(v))[:, band].reshape(len(v), -1, 100).mean(axis=2)) for v in (voices, heard)
    )
    likeness = np.corrcoef(before, after)[: len(voices), len(voices) :]
    assert (likeness.argmax(axis=1) == np.arange(len(voices))).all()
    assert not np.array_equal(heard, voices)


def test_mu_law_is_exact_to_eight_bits_of_its_kind_below_4_khz(tone):
    heard = spoil(tone, "mu_law")[0]
    assert np.abs(np.fft.rfft(heard))[12000] < 0.01 * np.abs(np.fft.rfft(tone[0]))[12000]
    low = 0.2 * np.sin(2 * np.pi * 1000 * np.arange(2 * RATE) / RATE)
    inside = slice(1000, -1000)
    assert 20 * np.log10(np.std(low[inside]) / np.std((heard - low)[inside])) == pytest.approx(37, abs=4)


def test_a_codec_that_is_missing_is_left_out(monkeypatch):
    monkeypatch.setattr(
        sound, "CODECS", (*sound.CODECS, sound.Codec("cups", "Cups on a string", "cups", "wav", 1, 1, 1))
    )
    assert "cups" not in {each.kind for each in sound.conditions()}
    assert "mu_law" in {each.kind for each in sound.conditions()}


@pytest.mark.parametrize("seconds", sound.REVERBERATION_SECONDS)
def test_a_room_sounds_on_for_as_long_as_it_says(seconds):
    click = np.zeros((1, 2 * RATE))
    click[0, 100] = 1.0
    heard = spoil(click, "reverberation", seconds)[0].astype(float)
    assert heard[100] == pytest.approx(1.0, abs=0.3)
    energy = np.cumsum(heard[::-1] ** 2)[::-1]
    decay = 10 * np.log10(energy[101 : 101 + int(0.5 * seconds * RATE)] / energy[101])
    assert decay[-1] == pytest.approx(-30, abs=3)  # half of the time, half of the 60 dB


@pytest.mark.parametrize("filling, level", sound.PAUSES.items())
@pytest.mark.parametrize("seconds", sound.PAUSE_SECONDS)
@pytest.mark.parametrize("place, at", [("before", 0), ("within", RATE), ("after", 2 * RATE)])
def test_a_pause_is_where_and_as_long_and_as_loud_as_it_says(voices, filling, level, seconds, place, at):
    (condition,) = sound.pauses(filling, [place], [seconds])
    heard = condition.spoil(voices, np.random.default_rng(0))
    end = at + round(seconds * RATE)
    assert np.std(heard[:, at:end]) == pytest.approx(level, rel=0.01)
    np.testing.assert_array_equal(np.delete(heard, np.s_[at:end], axis=1), voices)


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
    assert [(r["kind"], r["amount"], r["words"]) for r in results] == [
        (c.kind, c.amount, c.words) for c in sound.conditions()
    ]
    assert {r["clips"] for r in results} == {len(set(names.values()))}  # synthetic speakers speak for as long as asked
    assert set(lengths) == {round(s * RATE) for s in (*sound.SECONDS, *(2 + pause for pause in sound.PAUSE_SECONDS))}
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
