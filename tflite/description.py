"""`s2f.json`, which lies beside converted models and says what they are: for the app, its tests and `verify`."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

import s2f_tf
from s2f_tf.config import SAMPLE_RATE, Config
from s2f_tf.errors import UserError

from . import metadata

NAME = "s2f.json"
SIGNATURES = ("embed_speech", "generate")


class ModelsError(UserError):
    """A folder that does not hold what `python -m tflite.convert` writes; the message names the file."""


def file_name(variant: str) -> str:
    """Such as `s2f_int8.tflite`."""
    return f"s2f_{variant}.tflite"


def make(config: Config, window: int, models: Mapping[str, bytes]) -> str:
    """The text of `s2f.json`, for models by the name of their variant."""
    description = {
        "made_by": f"tflite.convert, s2f_tf {s2f_tf.__version__}, TensorFlow {tf.__version__}",
        "sample_rate": SAMPLE_RATE,
        "window": window,
        "embedding_size": config.embedding_size,
        "z_size": config.generator.z_size,
        "face_size": config.data.face_size,
        "signatures": _signatures(models["float32"]),
        "variants": {
            variant: {
                "file": file_name(variant),
                "sha256": hashlib.sha256(model).hexdigest(),
                "bytes": len(model),
                "minimum_runtime": metadata.minimum_runtime(model),
            }
            for variant, model in models.items()
        },
    }
    return json.dumps(description, indent=2) + "\n"


def read(folder: str) -> dict[str, Any]:
    """What `s2f.json` in a folder says. Raises `ModelsError` where it, or a model that it names, is not whole."""
    path = os.path.join(folder, NAME)
    try:
        with open(path, encoding="utf-8") as file:
            description = json.load(file)
        for variant in description["variants"].values():
            path = os.path.join(folder, variant["file"])
            with open(path, "rb") as file:
                if hashlib.sha256(file.read()).hexdigest() != variant["sha256"]:
                    raise ModelsError(f"{path} is not the model that {NAME} describes: convert again")
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}; `python -m {__package__}.convert` makes it"
        raise ModelsError(message) from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, AttributeError, TypeError) as error:
        raise ModelsError(f"{path} is not what `python -m {__package__}.convert` writes: {error}") from error
    return description


def _signatures(model: bytes) -> dict[str, Any]:
    """Names, types and shapes of every input and output, the same in every variant."""
    interpreter = tf.lite.Interpreter(model_content=model)

    def tensors(details: dict[str, Any]) -> dict[str, Any]:
        return {
            name: {"dtype": np.dtype(detail["dtype"]).name, "shape": detail["shape"].tolist()}
            for name, detail in details.items()
        }

    runners = {name: interpreter.get_signature_runner(name) for name in SIGNATURES}
    return {
        name: {"inputs": tensors(runner.get_input_details()), "outputs": tensors(runner.get_output_details())}
        for name, runner in runners.items()
    }
