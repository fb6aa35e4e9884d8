"""Voices of synthetic speakers."""

import numpy as np

from s2f_tf.data import synthetic, synthetic_voice


def speak(speaker: int, seconds: float) -> np.ndarray:
    """Babble of a speaker as training hears them, float32 [S], 16 kHz."""
    rng = np.random.default_rng([7, speaker])
    factors = {factor.name: factor.draw(rng) for factor in synthetic.FACTORS}
    return synthetic_voice.speak(factors, rng, seconds)
