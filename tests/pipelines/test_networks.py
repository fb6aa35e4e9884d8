import importlib.util

import commands
import pytest
import videos

from s2f_tf import config
from s2f_tf.models import trained

needs_teachers = pytest.mark.skipif(
    importlib.util.find_spec("resemblyzer") is None, reason="the extra `teachers` is not installed"
)


@needs_teachers
def test_resemblyzer_says_of_a_voice_what_its_package_does(tiny, tmp_path):
    import resemblyzer

    ended = commands.run("pipelines.networks", f"--output={tmp_path}")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{tmp_path}/resemblyzer.npz: 1,420,544 weights\n"
    made_of = config.override(tiny, {"speech_encoder.network": "resemblyzer"})
    network = trained.make("speech_encoder", made_of, str(tmp_path)).teacher
    package = resemblyzer.VoiceEncoder("cpu", verbose=False)
    for seed in range(4):
        voice = resemblyzer.normalize_volume(videos.voice(seed, 5.0), -25)  # the level at which ours hears
        assert network(voice[None]).numpy()[0] @ package.embed_utterance(voice) > 0.98


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    pytest.importorskip("resemblyzer")
    (tmp_path / "file").write_text("")
    ended = commands.run("pipelines.networks", f"--output={tmp_path}/file/teachers")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("resemblyzer.npz cannot be written: Not a directory")
