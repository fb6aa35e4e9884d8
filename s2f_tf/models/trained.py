"""Trained networks on disk: `config.json` and a weight file for each network, in a work directory or in the package."""

import os

import keras

from s2f_tf.config import Config, load
from s2f_tf.errors import UserError
from s2f_tf.models.face_encoder import FaceEncoder
from s2f_tf.models.generator import Generator
from s2f_tf.models.speech_encoder import SpeechEncoder

SHIPPED = os.path.join(os.path.dirname(os.path.dirname(__file__)), "pretrained", "demo")

NETWORKS = {
    "speech_encoder": SpeechEncoder,
    "face_encoder": FaceEncoder,
    "generator": Generator,
    # The pair that judges generated faces: trained from another seed, never seen by generation.
    "judge_speech_encoder": SpeechEncoder,
    "judge_face_encoder": FaceEncoder,
}


class WeightsError(UserError):
    """Weights that are absent, damaged or of another config; the message names the file."""


def make(name: str, config: Config) -> keras.Model:
    """One of `NETWORKS`, built, with fresh weights."""
    network = NETWORKS[name](config)
    face = (None, config.data.face_size, config.data.face_size, 3)
    shapes = {
        SpeechEncoder: [(None, config.window_samples)],
        FaceEncoder: [face],
        Generator: [(None, config.generator.z_size), (None, config.embedding_size)],
    }
    network.build(*shapes[NETWORKS[name]])
    return network


def path_of(name: str, workdir: str) -> str:
    """Where a network's weights are kept."""
    return os.path.join(workdir, "weights", f"{name}.weights.h5")


def save_weights(name: str, network: keras.Model, workdir: str) -> None:
    """Writes a network's weights, aside and then renamed."""
    path = path_of(name, workdir)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    aside = path.replace(".weights.h5", ".part.weights.h5")
    network.save_weights(aside)
    os.replace(aside, path)


def load_network(name: str, workdir: str) -> keras.Model:
    """One of `NETWORKS` with its trained weights. Raises `WeightsError`, or `ConfigError` where there is no config."""
    network = make(name, load(workdir))
    path = path_of(name, workdir)
    if not os.path.exists(path):
        raise WeightsError(f"{path} does not exist: the training of {workdir} has not come that far")
    try:
        network.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} does not hold the weights of {workdir}'s {name}: {error}") from error
    return network
