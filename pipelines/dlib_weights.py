"""The weights of dlib's face network, read out of its file without dlib."""

import numpy as np

from s2f_tf.errors import UserError
from s2f_tf.models import dlib

_BETWEEN = 512  # bytes at most between the weights of two layers


def read(path: str) -> dict[str, np.ndarray]:
    """The weights by the names of `s2f_tf.models.dlib.Dlib`, float32.

    Dlib writes layer after layer, as they come in the network, each with one tensor: of a convolution the filters and
    then the biases, of the affine layer behind it the scales and then the shifts.

    Raises `UserError` where a tensor of the right shape is not where it should be: the file is damaged, or holds
    another network.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    place = 0

    def take(layer: str, *shape: int) -> np.ndarray:
        nonlocal place
        version = 2
        header = b"".join(map(_packed, (version, *shape, *[1] * (4 - len(shape)))))
        found, count = data.find(header, place, place + _BETWEEN), int(np.prod(shape))
        start = found + len(header)
        place = start + 4 * count
        if found < 0 or place > len(data):
            raise UserError(
                f"{path} is damaged, or not dlib's face network: the weights of {layer} are not in their place"
            )
        return np.frombuffer(data, "<f4", count, start).reshape(shape)

    weights = {}
    for i, (side, _, before, after) in enumerate(dlib.convolutions()):
        name = f"convolution_{i}"
        learnt = take(name, after * before * side**2 + after)
        kernel, bias = learnt[:-after].reshape(after, before, side, side), learnt[-after:]
        scale, shift = np.split(take(f"the affine layer behind {name}", 2 * after), 2)
        weights[f"{name}/kernel"] = kernel.transpose(2, 3, 1, 0) * scale
        weights[f"{name}/bias"] = bias * scale + shift
    return weights | {"numbers/kernel": take("numbers", after, dlib.SIZE)}


def _packed(number: int) -> bytes:
    """A positive whole number as dlib writes it: of how many bytes, and those, the lowest first."""
    count = -(-number.bit_length() // 8)
    return bytes([count]) + number.to_bytes(count, "little")
