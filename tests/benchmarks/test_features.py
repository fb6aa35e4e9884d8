import commands
import numpy as np
import pytest

from benchmarks import baseline, patches


@pytest.mark.parametrize("pitch", [110.0, 235.0])
def test_the_pitch_of_a_voice_is_found_beside_its_cepstra(pitch):
    time = np.arange(16_000) / 16_000
    voice = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 8)).astype(np.float32)
    features = baseline.cepstra_and_pitch(voice)
    assert features.shape == (44,)
    assert np.exp(features[40]) == pytest.approx(pitch, rel=0.02)
    assert features[41] < 0.02


def test_patches_tell_faces_with_lines_that_rise_from_those_with_lines_that_fall_and_mirrored_faces_are_one():
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:64, :64]
    steep = rng.uniform(0.1, 0.9, 60)
    lines = [np.sin(slope * row + (1 - slope) * column + 6 * rng.uniform()) for slope in steep]
    faces = np.repeat(np.stack(lines)[..., None], 3, axis=-1).astype(np.float32)
    features = patches.learn(faces, 20)(faces)
    assert features.shape == (60, 20)
    np.testing.assert_allclose(features, patches.learn(faces, 20)(faces[:, :, ::-1]), atol=1e-2)
    x = np.insert(features, 0, 1.0, axis=1)
    assert np.corrcoef(x @ np.linalg.lstsq(x, steep, rcond=None)[0], steep)[0, 1] > 0.9


def test_the_command_prints_a_row_for_each_pair_of_features(tiny_corpus):
    result = commands.Command("benchmarks.features", f"--corpus={tiny_corpus}", "--folds=2").result()
    assert result.returncode == 0, result.stderr
    header, _, *rows = result.stdout.splitlines()
    assert [row.split(" | ")[:3] for row in rows] == [["cepstra and pitch", "patches", n] for n in "18"]
    accuracies = [float(cell.split()[0]) for row in rows for cell in row.split(" | ")[3:]]
    assert all(0.3 < accuracy <= 1.0 for accuracy in accuracies)
