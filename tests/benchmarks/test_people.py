import commands
import corpora


def test_a_folder_of_the_other_half_is_refused_before_any_work(tiny, tiny_corpus, tmp_path):
    (tmp_path / "faces").mkdir()
    faces = corpora.stills(tiny, tmp_path / "faces", 4)
    flags = ["--preset=tiny", f"--corpus={tiny_corpus}", f"--output={tmp_path / 'runs'}", f"--voices={faces}"]
    result = commands.Command("benchmarks.people", *flags).result()
    assert result.returncode == 1
    assert "holds stills alone: --voices needs sounds; give it as --faces" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "runs").exists()
