import keras
import numpy as np
import pytest
import tensorflow as tf

from s2f_tf.training.adamw import AdamW


@pytest.mark.parametrize("devices", [1, 2])
def test_weights_are_those_of_keras_to_the_last_bit(strategies, devices):
    def learnt(kind):
        with strategies[devices].scope():
            start = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
            weights = [keras.Variable(row, name=name) for row, name in zip(start, ("kernel", "bias"), strict=True)]
            schedule = keras.optimizers.schedules.CosineDecay(0.0, 10, warmup_target=0.1, warmup_steps=2)
            optimizer = kind(schedule, weight_decay=0.3)
            optimizer.exclude_from_weight_decay(var_names=["bias"])
            optimizer.build(weights)

        def step():
            optimizer.apply_gradients([(tf.cos(weight.value), weight) for weight in weights])

        in_graph = tf.function(lambda: strategies[devices].run(step))
        for _ in range(4):
            in_graph()
        return [weight.numpy() for weight in weights]

    found, expected = learnt(AdamW), learnt(keras.optimizers.AdamW)
    np.testing.assert_array_equal(found, expected)
    assert np.abs(found[0] - np.random.default_rng(0).normal(size=(2, 5))[0]).max() > 0.1
