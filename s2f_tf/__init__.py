"""s2f_tf: hears a voice and draws faces that could belong to it. `s2f_tf.load().draw("x.wav")` is the whole of it."""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from s2f_tf.model import Model

__version__ = "0.1.0"


def load(workdir: str | None = None) -> Model:
    """The model of a trained run, or that of the package. Raises `WeightsError` and `ConfigError`."""
    from s2f_tf.model import Model  # not before it is asked for: commands quiet TensorFlow first
    from s2f_tf.models import trained

    return Model(workdir or trained.SHIPPED)
