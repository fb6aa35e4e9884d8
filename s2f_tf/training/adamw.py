"""Adam with decoupled weight decay, by which S and F learn."""

from collections.abc import Sequence

import keras
import tensorflow as tf


class AdamW(keras.optimizers.AdamW):
    """Keras's, whose learning rate by a schedule is computed once a step, not once more for each weight.

    That is a thousand small operations less, which took a sixth of the time in which the graph of a step is made.
    """

    def _apply_weight_decay(self, variables: Sequence[keras.Variable]) -> None:
        def decay(strategy: tf.distribute.Strategy, variables: Sequence[keras.Variable]) -> None:
            rate = self.learning_rate
            for variable in variables:
                if self._use_weight_decay(variable):
                    strategy.extended.update(variable.value, shrink, (rate,), group=False)

        def shrink(variable: tf.Variable, rate: tf.Tensor) -> None:
            # Multiplied in the order in which Keras does, to the same bits.
            variable.assign_sub(variable * self.weight_decay * tf.cast(rate, variable.dtype))

        strategy = tf.distribute.get_strategy()
        tf.__internal__.distribute.interim.maybe_merge_call(decay, strategy, variables)
