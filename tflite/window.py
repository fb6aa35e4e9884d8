"""The stretch of a recording that a converted model listens to, whose window has one length.

The Android app does the same in Kotlin, and is tested against this file.
"""

import numpy as np

HOP = 160  # samples between the places that are tried: 10 ms


def loudest_window(waveform: np.ndarray, samples: int) -> np.ndarray:
    """The stretch with the greatest energy, the first of equals; a shorter waveform is repeated until it is full.

    Zeros would tell the speech encoder how long the waveform was.

    Args:
        waveform: float32 [S], at 16 kHz, S at least 1.
        samples: of the window.

    Returns:
        float32 [samples].
    """
    if len(waveform) <= samples:
        return np.resize(waveform, samples)
    energy = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
    starts = np.arange(0, len(waveform) - samples + 1, HOP)
    start = starts[np.argmax(energy[starts + samples] - energy[starts])]
    return waveform[start : start + samples]
