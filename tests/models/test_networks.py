import keras
import numpy as np
import pytest
import tensorflow as tf

from s2f_tf import config
from s2f_tf.config import SAMPLE_RATE, ConfigError
from s2f_tf.models import trained
from s2f_tf.models.discriminator import Discriminator
from s2f_tf.models.speech_encoder import Filterbank
from s2f_tf.models.trained import WeightsError


def normal(*shape, seed=0):
    return tf.random.stateless_normal(shape, seed=[seed, 1])


@pytest.mark.parametrize("samples", [8000, 8001, 24_000, 48_000])
def test_a_voice_of_any_length_becomes_a_unit_vector(tiny, samples):
    embedding = trained.make("speech_encoder", tiny)(normal(3, samples))
    assert embedding.shape == (3, tiny.embedding_size)
    np.testing.assert_allclose(tf.norm(embedding, axis=1), np.ones(3), rtol=1e-5)


def test_the_level_and_the_offset_of_a_voice_do_not_matter(tiny):
    encoder = trained.make("speech_encoder", tiny)
    voice = normal(2, 9000)
    np.testing.assert_allclose(encoder(voice), encoder(0.01 * voice + 0.2), atol=1e-3)


@pytest.mark.parametrize("pause", [1, 320, 16_000, 160_000])
@pytest.mark.parametrize("hiss", [0.0, 1e-3])
def test_pauses_and_padding_are_not_heard(tiny, pause, hiss):
    encoder = trained.make("speech_encoder", tiny)
    voice = normal(1, 32_000)
    silence = hiss * normal(1, pause, seed=1)
    alone = encoder(voice).numpy()[0]
    for parts in ([silence, voice], [voice, silence], [voice[:, :16_000], silence, voice[:, 16_000:]]):
        assert encoder(tf.concat(parts, axis=1)).numpy()[0] @ alone > 0.99


def test_of_silence_there_is_an_embedding(tiny):
    embedding = trained.make("speech_encoder", tiny)(tf.zeros((1, 8000)))
    np.testing.assert_allclose(tf.norm(embedding, axis=1), [1.0], rtol=1e-3)


@pytest.mark.parametrize("name", sorted(config.PRESETS))
def test_every_preset_builds_and_no_convolution_strides_beyond_its_kernel(name):
    # A kernel smaller than the stride has a weight gradient that corrupts memory under oneDNN.
    preset = config.preset(name)
    for network in trained.NETWORKS:
        layers = trained.make(network, preset)._flatten_layers()
        convolutions = [layer for layer in layers if isinstance(layer, (keras.layers.Conv1D, keras.layers.Conv2D))]
        assert convolutions or preset.speech_encoder.network == "resemblyzer"
        for layer in convolutions:
            assert all(k >= s for k, s in zip(layer.kernel_size, layer.strides, strict=True)), layer.name


def test_a_generated_face_follows_both_z_and_the_voice(tiny):
    generator = trained.make("generator", tiny)
    z, voice = normal(2, tiny.generator.z_size), tf.linalg.l2_normalize(normal(2, tiny.embedding_size), axis=1)
    faces = generator(z, voice)
    size = tiny.data.face_size
    assert faces.shape == (2, size, size, 3)
    assert float(tf.reduce_max(tf.abs(faces))) <= 1.0
    assert float(tf.reduce_max(tf.abs(faces - generator(z[::-1], voice)))) > 1e-4
    assert float(tf.reduce_max(tf.abs(faces - generator(z, voice[::-1])))) > 1e-4


def test_the_discriminator_starts_as_the_face_encoder(tiny):
    size = tiny.data.face_size
    encoder, discriminator = trained.make("face_encoder", tiny), Discriminator(tiny)
    discriminator.build((None, size, size, 3), (None, tiny.embedding_size))
    discriminator.start_from(encoder)
    faces = normal(3, size, size, 3)
    projected = discriminator.project(discriminator.features(faces))
    np.testing.assert_allclose(tf.linalg.l2_normalize(projected, axis=1), encoder(faces), atol=1e-5)


def test_weights_survive_the_disk(tiny, tmp_path):
    config.save(tiny, tmp_path)
    for name in trained.NETWORKS:
        network = trained.make(name, tiny)
        trained.save_weights(name, network, str(tmp_path))
        loaded = trained.load_network(name, str(tmp_path))
        assert len(loaded.variables) == len(network.variables) > 0
        for a, b in zip(network.variables, loaded.variables, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_published_weights_are_half_the_size_and_nearly_the_same(tiny, tmp_path):
    run, folder = str(tmp_path / "run"), str(tmp_path / "published")
    config.save(tiny, run)
    for name in trained.NETWORKS:
        trained.save_weights(name, trained.make(name, tiny), run)
    trained.publish(run, folder, "made by hand")
    assert config.load(folder) == tiny
    assert (tmp_path / "published" / "MADE_BY.txt").read_text() == "made by hand\n"
    for name in trained.NETWORKS:
        before, after = trained.load_network(name, run), trained.load_network(name, folder)
        for a, b in zip(before.variables, after.variables, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-6)


def test_an_unfinished_run_is_not_published(tiny, tmp_path):
    config.save(tiny, tmp_path / "run")
    with pytest.raises(WeightsError, match="has not come that far"):
        trained.publish(str(tmp_path / "run"), str(tmp_path / "published"), "made by hand")
    assert not (tmp_path / "published").exists()


def test_damaged_weights_are_refused_by_name(tiny, tmp_path):
    config.save(tiny, tmp_path)
    path = trained.path_of("generator", str(tmp_path))
    trained.save_weights("generator", trained.make("generator", tiny), str(tmp_path))
    with open(path, "r+b") as file:
        file.truncate(1000)
    with pytest.raises(WeightsError, match="generator.weights.h5 does not hold the weights"):
        trained.load_network("generator", str(tmp_path))


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is not a work directory"):
        trained.load_network("generator", str(tmp_path))


def test_the_filterbank_starts_as_bands_that_rise_with_frequency_and_hears_each_tone_in_its_own():
    bank = Filterbank(bands=24, taps=400, hop=40, hops_per_frame=4)
    time = np.arange(8000) / SAMPLE_RATE
    tones = np.stack([np.sin(2 * np.pi * frequency * time) for frequency in (120, 300, 1000, 3000, 7000)])
    energies = bank(tf.constant(tones, tf.float32)).numpy()
    assert (
        energies.shape[0] == 5
        and energies.shape[2] == 24
        and (np.ptp(energies, axis=1) < 0.01 * energies.max(axis=(1, 2))[:, None]).all()
    )
    loudest = energies.mean(axis=1).argmax(axis=1)
    assert (np.diff(loudest) > 0).all() and loudest[0] <= 2 and loudest[-1] >= 21
