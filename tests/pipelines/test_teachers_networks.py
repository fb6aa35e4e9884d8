import importlib.util

import commands
import numpy as np
import pytest
import videos

from pipelines import teachers
from s2f_tf import config, face_detection
from s2f_tf.models import trained

needs_teachers = pytest.mark.skipif(
    importlib.util.find_spec("resemblyzer") is None, reason="the extra `teachers` is not installed"
)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """A folder with those of the packages."""
    folder = tmp_path_factory.mktemp("networks")
    ended = commands.run("pipelines.networks", f"--output={folder}")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{folder}/resemblyzer.npz: 1,420,544 weights\n{folder}/dlib.npz: 5,607,488 weights\n"
    return str(folder)


@needs_teachers
def test_resemblyzer_says_of_a_voice_what_its_package_does(tiny, networks):
    import resemblyzer

    made_of = config.override(tiny, {"speech_encoder.network": "resemblyzer"})
    network = trained.make("speech_encoder", made_of, networks).teacher
    package = resemblyzer.VoiceEncoder("cpu", verbose=False)
    for seed in range(4):
        voice = resemblyzer.normalize_volume(videos.voice(seed, 5.0), -25)  # the level at which ours hears
        assert network(voice[None]).numpy()[0] @ package.embed_utterance(voice) > 0.98


@needs_teachers
def test_dlib_says_of_a_picture_what_its_package_does_and_nearly_so_of_a_face_of_ours(tiny, networks):
    import dlib
    import face_recognition_models

    network = trained.make("face_encoder", config.override(tiny, {"face_encoder.network": "dlib"}), networks).body
    picture = videos.portrait()
    as_seen = np.ascontiguousarray(picture[:150, :150])
    package = dlib.face_recognition_model_v1(face_recognition_models.face_recognition_model_location())
    said = network.say((as_seen[None] - np.array([122.782, 117.001, 104.298])).astype(np.float32) / 256)[0]
    np.testing.assert_allclose(said, np.array(package.compute_face_descriptor(as_seen)), atol=1e-5)
    # Dlib moves and turns each face.
    face, see = (
        face_detection.align(picture, face_detection.shared_detector().find([picture])[0][0], 128),
        teachers.Faces(),
    )
    for one in (face, face[:, ::-1]):
        assert np.linalg.norm(network(one[None] / np.float32(127.5) - 1)[0] / 8 - see(one)) < 0.3


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    pytest.importorskip("resemblyzer")
    (tmp_path / "file").write_text("")
    ended = commands.run("pipelines.networks", f"--output={tmp_path}/file/teachers")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("resemblyzer.npz cannot be written: Not a directory")
