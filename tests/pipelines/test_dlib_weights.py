import re

import numpy as np
import pytest
import tensorflow as tf

from pipelines import dlib_weights
from s2f_tf.errors import UserError
from s2f_tf.models import dlib


@pytest.fixture
def learnt(monkeypatch):
    """What a small network of the same kind learnt: kernels [N, K, h, w], biases, scales and shifts, and a matrix."""
    monkeypatch.setattr(dlib, "_STAGES", ((4, 1), (6, 2)))
    rng = np.random.default_rng(0)
    layers = [
        [rng.normal(size=shape).astype("<f4") for shape in ((after, before, side, side), after, after, after)]
        for side, _, before, after in dlib.convolutions()
    ]
    return layers, rng.normal(size=(6, dlib.SIZE)).astype("<f4")


def written(path, learnt):
    """That network as dlib writes it: a name, a tensor of up to four sides, settings, and so on."""

    def number(value):
        return bytes([1, value]) if value < 256 else bytes([2]) + value.to_bytes(2, "little")

    def layer(name, shape, *values):
        sides = b"".join(map(number, [*shape, *[1] * (4 - len(shape))]))
        return number(len(name)) + name + number(2) + sides + b"".join(v.tobytes() for v in values) + b"\x01\x00" * 20

    layers, matrix = learnt
    parts = [b"\x01\x01\x01\x0dloss_metric_2" + b"\x01\x02" * 100]
    for kernel, bias, scale, shift in layers:
        parts.append(layer(b"con_4", [kernel.size + bias.size], kernel, bias))
        parts.append(layer(b"affine_", [2 * scale.size], scale, shift))
    path.write_bytes(b"".join([*parts, layer(b"fc_2", matrix.shape, matrix)]))
    return str(path)


def test_each_convolution_does_what_its_two_layers_did(learnt, tmp_path):
    weights = dlib_weights.read(written(tmp_path / "x.dat", learnt))
    network = dlib.Dlib()
    network.build(None)
    variables = network.by_name()
    assert set(weights) == set(variables)
    layers, matrix = learnt
    np.testing.assert_array_equal(weights["numbers/kernel"], matrix)
    for i, (kernel, bias, scale, shift) in enumerate(layers):
        for what in ("kernel", "bias"):
            variables[f"convolution_{i}/{what}"].assign(weights[f"convolution_{i}/{what}"])
        x = tf.random.stateless_normal((1, 9, 9, kernel.shape[1]), seed=[i, 0])
        convolution = network.convolutions[i]
        y = tf.nn.conv2d(x, kernel.transpose(2, 3, 1, 0), convolution.strides, convolution.padding.upper()) + bias
        np.testing.assert_allclose(convolution(x), scale * y + shift, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "damage, named",
    [
        (lambda data: data[:-300], "numbers"),
        (lambda data: data[:1000], "convolution_0"),
        (
            lambda data: data[:5000].replace(b"affine_", b"bn_con_" + bytes(600)),
            "the affine layer behind convolution_0",
        ),
        (lambda data: b"", "convolution_0"),
    ],
)
def test_a_file_that_is_damaged_or_another_network_is_refused_by_name(damage, named, learnt, tmp_path):
    path = tmp_path / "x.dat"
    path.write_bytes(damage((tmp_path / written(path, learnt)).read_bytes()))
    with pytest.raises(
        UserError, match=f"x.dat is damaged, or not dlib's face network: the weights of {named} are not"
    ):
        dlib_weights.read(str(path))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'x.dat'} cannot be read: No such file")):
        dlib_weights.read(str(tmp_path / "x.dat"))
