import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2f_tf.evaluation import matching
from s2f_tf.evaluation.matching import Ranks


def speakers(count, clips):
    return np.repeat([f"s{i}" for i in range(count)], clips)


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def score(queries, gallery, names, **strata):
    return matching.score(matching.cosine(queries, gallery), names, strata)


def test_a_perfect_model_is_always_right():
    voices = unit(np.random.default_rng(0).normal(size=(120, 16)))
    result = score(voices, voices, speakers(60, 2))
    for name, figure in result.items():
        best = {"mean_rank": 1.0, "eer": 0.0}.get(name, 1.0)
        assert figure.value == pytest.approx(best, abs=1e-3), name
        assert figure.low == pytest.approx(best, abs=2e-3), name
    assert {"accuracy_k2", "accuracy_k10", "accuracy_k100", "recall_at_50", "auc"} <= set(result)


def test_a_random_model_is_at_chance():
    rng = np.random.default_rng(1)
    result = score(unit(rng.normal(size=(400, 16))), unit(rng.normal(size=(400, 16))), speakers(200, 2))
    for name, figure in result.items():
        assert figure.low <= figure.chance <= figure.high, name
    for ways in (2, 5, 10):
        assert result[f"accuracy_k{ways}"].value == pytest.approx(1 / ways, abs=0.06)


def test_a_constant_model_is_exactly_at_chance():
    constant = unit(np.ones((60, 4)))
    for name, figure in score(constant, constant, speakers(30, 2)).items():
        assert figure.value == pytest.approx(figure.chance, abs=1e-9), name


def test_a_model_that_knows_one_factor_alone_is_at_chance_among_those_who_share_it():
    rng = np.random.default_rng(2)
    gender, age = rng.integers(2, size=150), rng.integers(4, size=150)
    both = unit(np.eye(2)[gender] + 0.0)
    result = score(both, both, speakers(150, 1), gender=gender, age=age)
    assert result["accuracy_k2"].value == pytest.approx(0.75, abs=0.02)  # half of the negatives are of the other one
    assert result["accuracy_k2_same_gender"].value == pytest.approx(0.5, abs=1e-9)
    assert result["accuracy_k2_same_age"].value == pytest.approx(0.75, abs=0.04)
    assert result["accuracy_k10_same_gender"].value == pytest.approx(0.1, abs=1e-9)


def test_a_query_without_enough_negatives_of_its_stratum_is_left_out():
    voices = unit(np.random.default_rng(3).normal(size=(12, 8)))
    rare = np.array(["few"] * 2 + ["many"] * 10)
    result = score(voices, voices, speakers(12, 1), kind=rare)
    assert result["accuracy_k10_same_kind"].value == 1.0  # of the ten alone
    assert "accuracy_k20" not in result


def test_the_exact_accuracy_is_what_drawing_negatives_gives():
    rng = np.random.default_rng(2)
    true = rng.normal(size=(24, 3))
    queries, gallery, names = unit(true + rng.normal(size=true.shape)), unit(true), speakers(12, 2)
    hits = []
    for _ in range(3000):
        query = rng.integers(24)
        negatives = rng.choice(np.flatnonzero(names != names[query]), size=4, replace=False)
        hits.append(queries[query] @ gallery[query] > (gallery[negatives] @ queries[query]).max())
    assert score(queries, gallery, names)["accuracy_k5"].value == pytest.approx(np.mean(hits), abs=0.03)


@settings(max_examples=60, deadline=None)
@given(negatives=st.integers(1, 9), data=st.data(), ways=st.integers(2, 6))
def test_the_probability_to_win_is_that_over_all_draws(negatives, data, ways):
    import itertools

    above = data.draw(st.integers(0, negatives))
    tied = data.draw(st.integers(0, negatives - above))
    found = matching.win_probability(Ranks(*(np.array([x]) for x in (above, tied, negatives))), ways)[0]
    if ways - 1 > negatives:
        assert np.isnan(found)
        return
    kinds = [1] * above + [0] * tied + [-1] * (negatives - above - tied)
    chances = [
        0.0 if max(drawn) == 1 else 1 / (1 + drawn.count(0)) for drawn in itertools.combinations(kinds, ways - 1)
    ]
    assert found == pytest.approx(np.mean(chances))


def test_auc_and_eer_are_those_of_all_pairs():
    rng = np.random.default_rng(4)
    true = rng.normal(size=(80, 6))
    queries, gallery, names = unit(true + rng.normal(size=true.shape)), unit(true), speakers(40, 2)
    result = score(queries, gallery, names)
    scores = queries @ gallery.T
    own, negative = np.diag(scores), scores[names[:, None] != names[None, :]]
    assert result["auc"].value == pytest.approx((own[:, None] > negative).mean(), abs=2e-3)
    thresholds = np.sort(np.concatenate([own, negative]))
    missed, let_in = ((own[:, None] < thresholds).mean(0), (negative[:, None] >= thresholds).mean(0))
    cross = np.argmin(np.abs(missed - let_in))
    assert result["eer"].value == pytest.approx((missed[cross] + let_in[cross]) / 2, abs=0.02)


def test_a_speakers_other_clips_are_no_negatives():
    voices = unit(np.eye(4)[[0, 0, 1, 1, 2, 2]])
    result = score(voices, voices, speakers(3, 2))
    assert result["recall_at_1"].value == 1.0
    assert "accuracy_k10" not in result  # each query has four negatives


def test_more_rows_than_are_scored_at_once_change_nothing(monkeypatch):
    rng = np.random.default_rng(5)
    true = rng.normal(size=(90, 4))
    queries, gallery, names = unit(true + rng.normal(size=true.shape)), unit(true), speakers(45, 2)
    whole = score(queries, gallery, names, half=np.arange(90) // 2 % 2)
    monkeypatch.setattr(matching, "_ROWS", 7)
    in_parts = score(queries, gallery, names, half=np.arange(90) // 2 % 2)
    assert {n: f.value for n, f in whole.items()} == pytest.approx({n: f.value for n, f in in_parts.items()})


def test_a_large_split_is_compared_with_a_sample_of_its_clips(monkeypatch):
    rng = np.random.default_rng(8)
    true = rng.normal(size=(600, 4))
    queries, gallery, names = unit(true + rng.normal(size=true.shape)), unit(true), speakers(300, 2)
    whole = score(queries, gallery, names)
    monkeypatch.setattr(matching, "LARGEST_GALLERY", 200)
    sampled = score(queries, gallery, names)
    assert sampled["accuracy_k10"].value == pytest.approx(whole["accuracy_k10"].value, abs=0.02)
    assert sampled["auc"].value == pytest.approx(whole["auc"].value, abs=0.02)
    assert sampled["recall_at_10"].chance == pytest.approx(10 / 200, abs=0.002)
    constant = unit(np.ones((600, 4)))
    assert score(constant, constant, names)["accuracy_k5"].value == pytest.approx(0.2)


def test_the_ceiling_is_lower_where_utterances_stray_further_from_their_speakers():
    rng = np.random.default_rng(6)
    true = rng.uniform(-1, 1, (80, 6))
    accuracies = []
    for stray in (0.0, 0.3, 1.0):
        spoken = true + stray * rng.normal(size=true.shape)
        accuracies.append(matching.score(matching.ceiling(spoken, true), speakers(80, 1))["accuracy_k10"].value)
    assert accuracies[0] == 1.0 > accuracies[1] > accuracies[2] > 0.1


def test_bins_hold_about_as_many_each():
    bins = matching.bins_of(np.random.default_rng(7).normal(size=1000))
    assert np.bincount(bins) == pytest.approx([200] * 5, abs=2)


def test_ranks_of_a_square_matrix_give_the_figures_of_a_whole_evaluation():
    rng = np.random.default_rng(5)
    queries, gallery = (unit(rng.normal(size=(40, 4))) for _ in range(2))
    speakers = rng.integers(0, 15, 40)
    ranks = matching.rank(queries @ gallery.T, speakers)
    figures = matching.score(matching.cosine(queries, gallery), speakers)
    for ways in (2, 10):
        assert matching.win_probability(ranks, ways).mean() == pytest.approx(figures[f"accuracy_k{ways}"].value)
