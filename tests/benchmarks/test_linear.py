import numpy as np

from benchmarks import judges, linear


def noise(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def test_a_probe_finds_what_is_there_among_as_many_numbers_as_examples():
    features = noise(0, 900, 300)
    positive = features[:, 3] + features[:, 7] + 0.3 * noise(1, 900) > 0.8
    tell = linear.probe(features[:300], positive[:300])
    found = linear.area(tell(features[300:])[:, 0], positive[300:], np.arange(600))
    assert 0.7 < found.low < found.value < found.high < 1


def test_a_probe_finds_nothing_in_noise():
    features, positive = noise(2, 700, 40), noise(3, 700) > 0
    tell = linear.probe(features[:100], positive[:100])
    found = linear.area(tell(features[100:])[:, 0], positive[100:], np.arange(600))
    assert found.low < 0.5 < found.high


def test_a_probe_is_as_far_from_few_as_from_many():
    positive = np.arange(400) % 10 == 0
    features = noise(0, 400, 3) + 4 * positive[:, None]
    told = linear.probe(features, positive)(features)[:, 0] > 0
    assert (told == positive).mean() > 0.98


def test_the_area_is_the_share_of_pairs_in_the_right_order_and_half_of_ties():
    scores, positive = np.array([0.0, 1, 1, 2, 2, 3]), np.array([False, False, True, True, False, True])
    pairs = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    found = linear.area(scores, positive, np.arange(6))
    assert found.value == np.mean(pairs) and found.chance == 0.5


def pairs(people, common):
    """What two teachers say of people: three numbers in common, hidden among others of their own."""
    shared = noise(0, people, 3) * common
    voices = np.concatenate([shared, noise(1, people, 30)], axis=1) @ noise(2, 33, 33)
    faces = np.concatenate([shared, noise(3, people, 20)], axis=1) @ noise(4, 23, 23)
    return voices, faces


def test_canonical_correlation_brings_together_what_two_say_of_one_person():
    voices, faces = pairs(800, 2.0)
    hear, see = linear.canonical(voices[:600], faces[:600], ridge=0.1)
    assert hear(voices).shape == see(faces).shape == (800, 8)
    found = judges.both_ways(hear(voices[600:]), see(faces[600:]), np.arange(200))
    assert found["voice to face, 2-way"].low > 0.85 and found["face to voice, 10-way"].low > 0.4


def test_canonical_correlation_of_strangers_tells_others_nothing():
    voices, faces = pairs(800, 0.0)
    hear, see = linear.canonical(voices[:600], faces[:600])
    found = judges.both_ways(hear(voices[600:]), see(faces[600:]), np.arange(200))
    assert found["voice to face, 2-way"].low < 0.5 < found["voice to face, 2-way"].high
