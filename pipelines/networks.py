"""`python -m pipelines.networks --output=teachers/`: teachers' networks, as files of ours that S or F can be made of.

A file each, `resemblyzer.npz` and `dlib.npz`, for `train --networks=teachers/`. It takes the extra `teachers`; training
with the files, and all that comes after, does not.
"""

import os
from collections.abc import Callable, Mapping

import numpy as np
from absl import flags

from s2f_tf import command
from s2f_tf.aside import written_aside
from s2f_tf.errors import UserError

from . import dlib_weights

_OUTPUT = flags.DEFINE_string("output", None, "folder for the files", required=True)


def resemblyzer() -> dict[str, np.ndarray]:
    """The weights of resemblyzer's network, by the names in `s2f_tf/models/resemblyzer.py`.

    Raises `MissingExtraError` without the extra `teachers`.
    """
    with command.extra("teachers"):
        import resemblyzer as package
    weights = {name: value.numpy() for name, value in package.VoiceEncoder("cpu", verbose=False).state_dict().items()}
    found = {"dense_kernel": weights["linear.weight"].T, "dense_bias": weights["linear.bias"]}
    layers = sum(name.startswith("lstm.weight_ih") for name in weights)
    for i in range(layers):
        # Torch's gates lie as ours, and it adds up two biases.
        found[f"lstm_{i}_input"] = weights[f"lstm.weight_ih_l{i}"].T
        found[f"lstm_{i}_state"] = weights[f"lstm.weight_hh_l{i}"].T
        found[f"lstm_{i}_bias"] = weights[f"lstm.bias_ih_l{i}"] + weights[f"lstm.bias_hh_l{i}"]
    return found


def dlib() -> dict[str, np.ndarray]:
    """The weights of dlib's face network, by the names in `s2f_tf/models/dlib.py`.

    Raises `MissingExtraError` without the extra `teachers`, and `UserError` where its file is not as it should be.
    """
    with command.extra("teachers"):
        import face_recognition_models as package
    return dlib_weights.read(package.face_recognition_model_location())


# Each by the name that the settings and its file have.
NETWORKS: Mapping[str, Callable[[], dict[str, np.ndarray]]] = {"resemblyzer": resemblyzer, "dlib": dlib}


def main() -> None:
    """Writes them, each aside and then renamed, and says where they are."""
    folder = _OUTPUT.value
    for name, read in NETWORKS.items():
        weights, path = read(), os.path.join(folder, f"{name}.npz")
        try:
            os.makedirs(folder, exist_ok=True)
            with written_aside(path) as part, open(part, "wb") as file:
                np.savez(file, **weights)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from error
        print(f"{path}: {sum(value.size for value in weights.values()):,} weights")


def run() -> None:
    """The console script."""
    command.run(main)


if __name__ == "__main__":
    run()
