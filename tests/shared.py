"""What tests of many files share, for which TensorFlow is imported."""

import dataclasses
import fcntl
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import s2f_tf
from s2f_tf import config
from s2f_tf.data import audio, synthetic
from s2f_tf.models import trained
from s2f_tf.models.dlib import Dlib
from s2f_tf.models.resemblyzer import Resemblyzer
from tflite import conversion


@pytest.fixture(scope="session", autouse=True)
def two_devices():
    """Two logical CPU devices: the smallest machine that has replicas. They must be there before TensorFlow starts."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(scope="session")
def strategies(two_devices):
    """Strategies over one and over two devices. Made once: collectives of a second one over the same devices would be
    taken for those of the first."""
    return {n: tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(n)]) for n in (1, 2)}


@pytest.fixture
def float64():
    """Networks in double precision, for comparing gradients with finite differences across the kinks of activations."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.utils.set_random_seed(0)  # one of some hundred first weights is so near a kink that a step crosses it
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


@pytest.fixture(scope="session")
def tiny():
    """The smallest preset."""
    return config.preset("tiny")


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Makes a folder that no test writes to: of all processes of a run, the first that wants it makes it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.mkdir(exist_ok=True)

    def folder(name, make):
        """Of this name, as `make` fills it, which is called with its path."""
        made = shared / name
        with open(shared / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                aside = tmp_path_factory.mktemp(name)
                make(str(aside))
                aside.rename(made)
        return str(made)

    return folder


@pytest.fixture(scope="session")
def tiny_corpus(tiny, once):
    """A folder with the synthetic speakers of the smallest preset."""

    def make(folder):
        synthetic.write_corpus(
            tiny.synthetic, tiny.data.face_size, tiny.seed, folder, audio.default_format(), workers=1
        )

    return once("tiny_corpus", make)


@pytest.fixture(scope="session")
def tiny_run(tiny, once):
    """A run of the smallest preset, whose weights are fresh."""

    def make(folder):
        config.save(tiny, folder)
        keras.utils.set_random_seed(1)  # weights of some seeds lose more than others in eight bits
        for name in trained.NETWORKS:
            trained.save_weights(name, trained.make(name, tiny), folder)

    return once("tiny_run", make)


@pytest.fixture(scope="session")
def teachers(once):
    """A folder with teachers' networks as `pipelines.networks` writes them, but of fresh weights."""

    def make(folder):
        keras.utils.set_random_seed(1)
        layer = Resemblyzer()
        layer.build(None)
        rng = np.random.default_rng(1)
        fresh = {name: 2 * value.numpy() + rng.normal(0, 0.05, value.shape) for name, value in layer.by_name().items()}
        np.savez(f"{folder}/resemblyzer.npz", **{name: value.astype(np.float32) for name, value in fresh.items()})
        layer = Dlib()
        layer.build(None)
        np.savez(f"{folder}/dlib.npz", **{name: value.numpy() for name, value in layer.by_name().items()})

    return once("teachers", make)


@pytest.fixture(scope="session")
def tiny_models(tiny_run, tiny_corpus, once):
    """A folder with that run, converted."""
    return once("tiny_models", lambda folder: conversion.convert(tiny_run, folder, tiny_corpus))


@pytest.fixture(scope="session")
def model():
    """The model of the shipped weights."""
    return s2f_tf.load()


@pytest.fixture(scope="session")
def shipped_corpus(once):
    """A folder with few synthetic speakers, with faces as large as the shipped weights want them."""

    def make(folder):
        shipped = config.load(trained.SHIPPED)
        few = dataclasses.replace(shipped.synthetic, speakers=60, clips_per_speaker=1, faces_per_clip=1)
        synthetic.write_corpus(few, shipped.data.face_size, shipped.seed + 1, folder, "wav", workers=1)

    return once("shipped_corpus", make)


@pytest.fixture(scope="session")
def shipped_models(shipped_corpus, once):
    """A folder with the shipped weights, converted."""
    return once("shipped_models", lambda folder: conversion.convert(trained.SHIPPED, folder, shipped_corpus))
