import shutil

import numpy as np
import pytest
import tensorflow as tf

from s2f_tf import config
from s2f_tf.data import clip, reader
from s2f_tf.evaluation import report, results, summary
from s2f_tf.evaluation.run import Run

SPEAKERS = 4  # the fewest


@pytest.fixture
def few(tmp_path):
    """A corpus without factors, as recorded ones are, of one clip a speaker."""
    faces = np.random.default_rng(0).integers(0, 256, (SPEAKERS, 16, 16, 3), np.uint8)
    voices = np.random.default_rng(1).normal(0.0, 0.1, (SPEAKERS, 24_000)).astype(np.float32)
    clips = [
        clip.Clip(f"c{i}", f"p{i}", voice, (tf.io.encode_jpeg(face).numpy(),))
        for i, (voice, face) in enumerate(zip(voices, faces, strict=True))
    ]
    for split in ("train", "test"):
        clip.write_shard(str(tmp_path), split, 0, 1, clips, "wav")
    counts = dict.fromkeys(("train", "test"), SPEAKERS)
    told = {"made_by": "a test", "audio_format": "wav", "face_size": 16, "dropped": {}}
    clip.write_description(str(tmp_path), told | {"clips": counts, "speakers": counts})
    return reader.Corpus(str(tmp_path))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_the_fewest_speakers_are_told_what_can_be_said_of_them_and_that_the_model_is_taught(
    tiny, tiny_run, few, tmp_path, terminal
):
    taught = config.override(tiny, {"pretraining.teacher": 10.0, "pretraining.face_steps": 3})
    shutil.copytree(tiny_run, tmp_path / "run")
    config.save(taught, tmp_path / "run")
    run = Run(str(tmp_path / "run"))
    resize, rows = terminal
    resize(80)
    measured = summary.measure(run, few, "test")
    print(report.answers(measured.figures))
    shown = rows()
    assert max(widest for _, widest in shown) <= 80
    assert [row.split(",")[0] for row, _ in shown[:8]] == [
        "hearing and seeing: 4 of 4 clips",
        "drawing faces: 4 of 4 voices",
        "matching: 8 of 8 questions",
        "judging drawn faces: 8 of 8 questions",
        "drawn beside real faces: 4 of 4 measures",
        "looking for copies: 4 of 4 faces",
        "speaking again: 4 of 4 voices",
        f"spoilt voices: {len(measured.figures['sound'])} of {len(measured.figures['sound'])} conditions",
    ]
    said = {row[:18].strip(): row[18:] for row, _ in shown[8:]}
    assert shown[-1][0] == taught.taught
    matched = measured.figures["matching"]["voice_to_face"]["accuracy_k2"]
    assert said["Does it hear?"].startswith(f"{100 * matched.value:.1f} ({100 * matched.low:.1f}..")
    assert said["Does it hear?"].endswith("of 2 (guess: 50)")
    assert "how closely?" not in said and "for one voice?" not in said, "nothing is known of the speakers"
    printed = report.text(measured.figures).splitlines()
    assert printed[0] == "4 speakers and 4 clips of split 'test'"
    rows = {line.split()[0]: line.split()[1:] for line in printed if line}
    assert rows["kid-judge"] == ["-", "-"] and len(rows["frechet-judge"]) == 4
    output = tmp_path / "evaluation"
    results.save(measured.figures, str(output))
    report.write(run, few, measured, str(output))
    page = (output / "report.html").read_text()
    assert "kid-judge" in page and taught.taught in page
    assert "kid_judge" not in results.compare(str(output), str(output))
