import numpy as np
import pytest

from s2f_tf.data.synthetic import SHARED
from s2f_tf.data.synthetic_face import draw
from s2f_tf.evaluation import disentanglement
from s2f_tf.evaluation.disentanglement import FactorReader

VOICES, DRAWS = 60, 12
NAMES = ("pitch", "tract", "skin", "background")
STEADY = {
    "age": -0.5, "fullness": 0.0, "nasality": 0.0, "articulation": 0.0, "hair_colour": 0.0, "hair_length": -0.5,
    "parting": 0.0, "eye_colour": 0.0, "glasses": 0.0, "pose": 0.0, "light": 0.0, "smile": 0.0, "clothes": 0.0,
}  # fmt: skip


def speakers(count):
    return np.array([f"s{i:03d}" for i in range(count)])


def shares(readings):
    found = disentanglement.variance_shares(readings[..., None], speakers(len(readings)))[0]
    return found.c.value, found.z.value, found.both.value


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)
    return rng.normal(size=(VOICES, 1)), rng.normal(size=(1, DRAWS)), rng.normal(size=(VOICES, DRAWS))


def test_a_generator_that_ignores_z_owes_all_to_c(parts):
    assert shares(parts[0] + np.zeros((VOICES, DRAWS))) == pytest.approx((1, 0, 0))


def test_a_generator_that_ignores_c_owes_all_to_z(parts):
    assert shares(parts[1] + np.zeros((VOICES, DRAWS))) == pytest.approx((0, 1, 0), abs=1e-9)


def test_a_generator_that_mixes_them_owes_all_to_both(parts):
    c, z, both = shares(parts[2])
    assert both > 0.95 and c < 0.03 and z < 0.05


def test_the_shares_are_those_that_were_put_in():
    """c, z and both with variances 4, 2 and 1, over many worlds."""
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        c, z, both = rng.normal(size=(VOICES, 1)), rng.normal(size=(1, DRAWS)), rng.normal(size=(VOICES, DRAWS))
        found.append(shares(2 * c + 2**0.5 * z + both))
    assert np.mean(found, axis=0) == pytest.approx(np.array([4, 2, 1]) / 7, abs=0.05)


def test_r_squared_tells_a_perfect_reading_from_the_mean_and_from_a_wrong_scale():
    true = np.random.default_rng(1).uniform(-1, 1, 200)
    names = speakers(200)
    assert disentanglement.r_squared(true, true, names).value == pytest.approx(1.0)
    assert disentanglement.r_squared(np.full(200, true.mean()), true, names).value == pytest.approx(0.0)
    assert disentanglement.r_squared(true * 3, true, names).value < 0
    noisy = disentanglement.r_squared(true + np.random.default_rng(2).normal(0, 0.3, 200), true, names)
    assert noisy.low < noisy.value < noisy.high


def test_an_embedding_that_knows_one_factor_tells_that_one_alone():
    rng = np.random.default_rng(3)
    true = rng.uniform(-1, 1, (200, 2))
    known = np.stack([np.cos(true[:, 0]), np.sin(true[:, 0])], axis=1)
    names = np.repeat(speakers(100), 2)
    readings = disentanglement.read_from_embedding(known, true, names)
    assert disentanglement.r_squared(readings[:, 0], true[:, 0], names).value > 0.95
    assert disentanglement.r_squared(readings[:, 1], true[:, 1], names).value < 0.05


@pytest.fixture(scope="module")
def portraits():
    """Real portraits of which four factors vary: faces uint8 [N, H, W, 3], factors [N, 4]."""
    values = np.random.default_rng(4).uniform(-1, 1, (700, len(NAMES)))
    return np.stack([draw(STEADY | dict(zip(NAMES, row, strict=True)), 16) for row in values]), values


def test_factors_are_read_from_faces_never_seen(portraits):
    faces, values = portraits
    factor_reader = FactorReader(NAMES, faces[:600], values[:600])
    read = factor_reader.read(faces[600:])
    for place, name in enumerate(NAMES):
        assert disentanglement.r_squared(read[:, place], values[600:, place], speakers(100)).value > 0.8, name
    np.testing.assert_allclose(factor_reader.read(faces[600:] / np.float32(127.5) - 1), read, atol=1e-5)

    # A generator that draws what the voice tells from c, and the rest from z, is known as such.
    rng = np.random.default_rng(5)
    c, z = rng.uniform(-1, 1, (20, 4)), rng.uniform(-1, 1, (8, 4))
    heard = np.isin(NAMES, SHARED)
    grid = [[draw(STEADY | dict(zip(NAMES, np.where(heard, v, w), strict=True)), 16) for w in z] for v in c]
    readings = np.stack([factor_reader.read(np.stack(row)) for row in grid])
    for factor, known in zip(disentanglement.variance_shares(readings, speakers(20)), heard, strict=True):
        assert (factor.c.value > 0.85) == known and (factor.z.value > 0.85) != known
