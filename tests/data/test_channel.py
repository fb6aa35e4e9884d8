import numpy as np
import pytest
import tensorflow as tf

from s2f_tf.config import SAMPLE_RATE, DataConfig
from s2f_tf.data import channel

SAMPLES = 8000
HERTZ = np.fft.rfftfreq(SAMPLES, 1 / SAMPLE_RATE)
NOTHING = {
    "channel": 0.0,
    "gain_db": 0.0,
    "noise_db": -120.0,
    "noise_fall_db": 0.0,
    "babble": 0.0,
    "reverberation_seconds": 0.0,
    "mu_law": False,
    "polarity": False,
}
ALWAYS = {"channel": 1.0, "pause_seconds": 0.0, "low_edge_hz": 30.0, "high_edge_hz": 8000.0, "tilt_db": 0.0}
ALWAYS |= {"clipping_db": 0.0}  # of what each test turns one on


def noise(count=64, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, (count, SAMPLES)).astype(np.float32)


def augmented(waveforms, seed=1, **changes):
    data = DataConfig(**(NOTHING | (ALWAYS if "channel" not in changes else {}) | changes))
    return channel.augment(tf.constant(waveforms), draws(len(waveforms), seed), data).numpy()


def draws(count, seed=1):
    return tf.stack([channel.draws(tf.constant([seed, i])) for i in range(count)])


def decibel(x):
    return 20 * np.log10(np.sqrt(np.mean(np.square(x), axis=-1)) + 1e-12)


def spectrum_db(x):
    return 20 * np.log10(np.abs(np.fft.rfft(x)) + 1e-9)


def test_turned_off_it_changes_nothing():
    np.testing.assert_allclose(augmented(noise()), noise(), atol=1e-5)
    np.testing.assert_allclose(augmented(noise(), channel=0.0), noise(), atol=1e-5)


def test_gain_spans_its_range():
    levels = decibel(augmented(noise(), gain_db=6.0)) - decibel(noise())
    assert -6.01 < levels.min() < -4
    assert 4 < levels.max() < 6.01


@pytest.mark.parametrize("fall", [0.0, 6.0])
def test_noise_is_as_loud_as_asked_relative_to_the_waveform(fall):
    levels = decibel(augmented(0.01 * noise(), noise_db=-20.0, noise_fall_db=fall) - 0.01 * noise()) - decibel(
        0.01 * noise()
    )
    assert -22 < levels.max() < -19.7
    assert -61 < levels.min() < -50


def test_noise_falls_with_frequency_by_up_to_as_much_as_asked():
    added = augmented(noise(), noise_db=0.0, noise_fall_db=6.0) - noise()
    octave = [spectrum_db(added)[:, (low < HERTZ) & (2 * low > HERTZ)].mean(axis=1) for low in (1000, 2000)]
    falls = octave[0] - octave[1]
    assert -0.5 < falls.min() < 1 and 5 < falls.max() < 6.5


def test_babble_is_the_other_voices_of_the_batch():
    tones = np.stack([0.1 * np.sin(2 * np.pi * 100 * (i + 2) * np.arange(SAMPLES) / SAMPLE_RATE) for i in range(16)])
    heard = augmented(tones.astype(np.float32), noise_db=10.0, babble=1.0)
    loud = spectrum_db(heard)[:, [50 * (i + 2) for i in range(16)]] > 0
    assert loud[np.arange(16), np.arange(16)].all()
    assert set(loud.sum(axis=1)) <= {2, 3, 4} and loud.sum(axis=1).max() > 2


def test_a_pause_silences_a_stretch_of_at_most_its_length_anywhere():
    steady = np.ones((256, SAMPLES), np.float32)
    silent = np.abs(augmented(steady, pause_seconds=0.25)) < 1e-3
    assert 0.2 < silent.sum(axis=1).max() / SAMPLE_RATE < 0.26
    assert silent[:, 0].any() and silent[:, -1].any() and (~silent).any(axis=1).all()
    assert (np.diff(silent.astype(int), axis=1) == 1).sum(axis=1).max() == 1  # one pause each


def test_a_room_adds_what_dies_away():
    clicks = np.zeros((64, SAMPLES), np.float32)
    clicks[:, 100] = 1.0
    heard = augmented(clicks, reverberation_seconds=0.3)
    np.testing.assert_allclose(heard[:, 100], 1.0, atol=0.6)
    early, late = (decibel(heard[:, 101 + at : 101 + at + 400]) for at in (0, 4800))
    assert early.max() > -40 and (late < early).all() and late.max() < early.max() - 50


def test_a_line_cuts_off_below_and_above_its_edges():
    gains = spectrum_db(augmented(noise(256), low_edge_hz=400.0, high_edge_hz=3000.0)) - spectrum_db(noise(256))
    np.testing.assert_allclose(gains[:, (HERTZ > 450) & (HERTZ < 2900)], 0.0, atol=0.1)
    assert gains[:, HERTZ == 150].min() < -60 and gains[:, HERTZ == 6000].min() < -60
    assert gains[:, HERTZ == 150].max() > -10 and gains[:, HERTZ == 6000].max() > -10


def test_a_microphone_tilts_the_spectrum_either_way():
    gains = spectrum_db(augmented(noise(256), tilt_db=3.0)) - spectrum_db(noise(256))
    tilts = gains[:, HERTZ == 2000] - gains[:, HERTZ == 1000]
    assert -3.01 < tilts.min() < -2 and 2 < tilts.max() < 3.01


def test_clipping_cuts_peaks_and_nothing_else():
    heard = augmented(noise(), clipping_db=12.0)
    most = np.abs(heard).max(axis=1, keepdims=True)
    np.testing.assert_allclose(heard, np.clip(noise(), -most, most), atol=1e-5)
    cut = decibel(np.abs(noise()).max(axis=1, keepdims=True)) - decibel(most)
    assert cut.max() > 9 and cut.max() < 12.01


def test_mu_law_leaves_255_values_of_some_waveforms():
    heard = augmented(noise(), mu_law=True)
    counts = np.array([len(np.unique(x)) for x in heard])
    assert 15 < (counts < 256).sum() < 49
    assert (decibel(heard - noise()) - decibel(noise()) < -25).all()


def test_half_of_the_waveforms_are_turned_upside_down():
    signs = augmented(noise(), polarity=True)[:, 0] / noise()[:, 0]
    assert 15 < (signs < 0).sum() < 49
    np.testing.assert_allclose(np.abs(signs), 1, atol=0.01)


def test_a_voice_depends_on_its_own_draws_and_on_what_was_before_it_in_the_batch():
    np.testing.assert_array_equal(draws(4), draws(4))
    data, alone = DataConfig(), DataConfig(babble=0.0)
    whole = channel.augment(tf.constant(noise(8)), draws(8), data).numpy()
    assert np.isfinite(whole).all() and not np.array_equal(whole, augmented(noise(8), seed=2))
    half = channel.augment(tf.constant(noise(8)[::2]), draws(8)[::2], alone).numpy()
    np.testing.assert_allclose(half, channel.augment(tf.constant(noise(8)), draws(8), alone).numpy()[::2], atol=1e-5)


def test_silence_stays_silence():
    assert np.abs(channel.augment(tf.zeros([4, SAMPLES]), draws(4), DataConfig()).numpy()).max() < 1e-6


def test_what_is_turned_off_is_not_computed():
    def operations(**changes):
        waveforms, drawn = tf.zeros([4, SAMPLES]), tf.zeros(draws(4).shape)
        graph = tf.function(lambda x, y: channel.augment(x, y, DataConfig(**changes)), autograph=False)
        return {operation.type for operation in graph.get_concrete_function(waveforms, drawn).graph.get_operations()}

    everything = operations()
    assert {"RFFT", "IRFFT", "Round", "TensorScatterUpdate"} <= everything
    without_others = operations(babble=0.0, mu_law=False)
    assert {"RFFT", "IRFFT"} <= without_others and not {"Round", "TensorScatterUpdate"} & without_others
    assert not {"RFFT", "IRFFT"} & operations(noise_db=channel.NO_NOISE_DB, channel=0.0)
