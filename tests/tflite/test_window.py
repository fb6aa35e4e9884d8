import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflite.window import HOP, loudest_window


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 4000), st.integers(0, 2**32 - 1))
def test_no_other_stretch_at_the_hop_is_louder(length, samples, seed):
    waveform = np.random.default_rng(seed).normal(size=length).astype(np.float32)
    window = loudest_window(waveform, samples)
    assert window.shape == (samples,) and window.dtype == np.float32
    if length > samples:
        stretches = [waveform[start : start + samples] for start in range(0, length - samples + 1, HOP)]
        assert any(np.array_equal(window, stretch) for stretch in stretches)
        loudest = max(np.square(stretch, dtype=np.float64).sum() for stretch in stretches)
        assert np.square(window, dtype=np.float64).sum() == pytest.approx(loudest, rel=1e-9)


def test_the_voice_is_found_between_silences():
    waveform = np.zeros(48_000, np.float32)
    waveform[20_000:28_000] = 0.5
    window = loudest_window(waveform, 8_000)
    assert np.square(window).sum() == np.square(waveform).sum()


def test_of_equals_the_first_is_taken():
    waveform = np.tile(np.arange(HOP, dtype=np.float32), 20)
    waveform[-HOP:] *= -1
    np.testing.assert_array_equal(loudest_window(waveform, 3 * HOP), waveform[: 3 * HOP])


def test_a_short_waveform_is_repeated():
    np.testing.assert_array_equal(loudest_window(np.float32([1, 2, 3]), 7), [1, 2, 3, 1, 2, 3, 1])
