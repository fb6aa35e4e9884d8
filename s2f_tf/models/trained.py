"""Trained networks on disk: `config.json` and a weight file for each network, in a work directory or in the package."""

import os
import shutil
import zipfile

import h5py
import keras
import numpy as np

from s2f_tf.config import Config, load, save
from s2f_tf.errors import UserError
from s2f_tf.models.face_encoder import FaceEncoder
from s2f_tf.models.generator import Generator
from s2f_tf.models.speech_encoder import SpeechEncoder
from s2f_tf.models.teacher import TeacherNetwork

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


def make(name: str, config: Config, teachers: str | None = None) -> keras.Model:
    """One of `NETWORKS`, built, with fresh weights.

    Args:
        name: which.
        config: says what it is like.
        teachers: folder of teachers' networks (`pipelines.networks`), for one that is made of them. None where all
            weights are read from elsewhere.

    Raises `WeightsError` where a teacher's are not in the folder.
    """
    network = NETWORKS[name](config)
    face = (None, config.data.face_size, config.data.face_size, 3)
    shapes = {
        SpeechEncoder: [(None, config.window_samples)],
        FaceEncoder: [face],
        Generator: [(None, config.generator.z_size), (None, config.embedding_size)],
    }
    network.build(*shapes[NETWORKS[name]])
    read_teachers(network, teachers)
    return network


def read_teachers(network: keras.Model, folder: str | None) -> None:
    """Gives the teachers' networks that are part of a network their weights; does nothing without a folder.

    Raises `WeightsError` where they are not in it.
    """
    for layer in network.layers:
        if isinstance(layer, TeacherNetwork) and folder is not None:
            _read_teacher(layer, os.path.join(folder, f"{layer.name}.npz"))


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


def publish(workdir: str, folder: str, command: str) -> None:
    """Copies a run's config and weights to `folder`, the weights as float16, with the command that made them beside.

    Half the size costs less than a level of brightness in a face. Networks read them as they read any others.
    Raises `WeightsError`, before anything is written, where the run is not finished, and `ConfigError`.
    """
    config = load(workdir)
    for name in NETWORKS:
        load_network(name, workdir)
    aside = f"{folder.rstrip('/')}.part"
    shutil.rmtree(aside, ignore_errors=True)
    save(config, aside)
    os.makedirs(os.path.dirname(path_of("", aside)))
    for name in NETWORKS:
        with h5py.File(path_of(name, workdir)) as source, h5py.File(path_of(name, aside), "w") as target:
            _copy_halved(source, target)
    with open(os.path.join(aside, "MADE_BY.txt"), "w", encoding="utf-8") as file:
        file.write(command + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(aside, folder)


def _copy_halved(source: h5py.Group, target: h5py.Group) -> None:
    target.attrs.update(source.attrs)
    for name, node in source.items():
        if isinstance(node, h5py.Group):
            _copy_halved(node, target.create_group(name))
        else:
            target.create_dataset(name, data=node[()].astype(np.float16)).attrs.update(node.attrs)


def _read_teacher(layer: TeacherNetwork, path: str) -> None:
    """Gives a teacher's network its weights. Raises `WeightsError`."""
    try:
        with np.load(path) as file:
            found = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise WeightsError(f"{path} does not exist: `python -m pipelines.networks --output=...` writes it") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error
    wanted = layer.by_name()
    shapes = {name: value.shape for name, value in found.items()}
    if shapes != {name: tuple(variable.shape) for name, variable in wanted.items()}:
        raise WeightsError(f"{path} does not hold the weights of {layer.name}'s network")
    for name, variable in wanted.items():
        variable.assign(found[name])
