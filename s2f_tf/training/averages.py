"""Moving averages of weights, which do better than the weights of any one step."""

from collections.abc import Sequence

import keras


class MovingAverages(keras.layers.Layer):
    """The exponential moving average of each of some variables, of the same shapes and in the same order.

    `start` it before the first `update`. With a decay of 0 they are the variables themselves.
    """

    def __init__(self, variables: Sequence[keras.Variable], decay: float) -> None:
        super().__init__(name="averages")
        self.decay = decay
        self.averages = [
            self.add_weight(
                name=f"average_{i}",
                shape=v.shape,
                initializer="zeros",
                trainable=False,
                aggregation="only_first_replica",
            )
            for i, v in enumerate(variables)
        ]
        self.built = True

    def start(self, variables: Sequence[keras.Variable]) -> None:
        """Takes the variables as they are."""
        for average, variable in zip(self.averages, variables, strict=True):
            average.assign(variable)

    def update(self, variables: Sequence[keras.Variable]) -> None:
        """Moves towards the variables; part of a training step."""
        for average, variable in zip(self.averages, variables, strict=True):
            average.assign(self.decay * average + (1 - self.decay) * variable)
