import commands
import pytest


def test_a_part_whose_extra_is_missing_says_which_one_to_install():
    parts = {
        "prometheus_client": ("serving.server", "serving"),
        "tensorflow_serving": ("serving.client", "serving"),
        "cv2": ("pipelines.exclude", "pipelines"),
        "ai_edge_litert": ("tflite.verify", "tflite"),
    }
    result = commands.run("without", *(f"{blocked}={module}" for blocked, (module, _) in parts.items()))
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == len(parts)
    for line, (blocked, (_, extra)) in zip(lines, parts.items(), strict=True):
        assert blocked in line
        assert line.endswith(f"this takes the extra `{extra}`: pip install 's2f_tf[{extra}]'")


@pytest.mark.parametrize(
    "blocked, module, flags, extra",
    [
        ("grpc", "serving.server", [], "serving"),
        ("apache_beam", "pipelines.prepare", ["--source=folder", "--input=.", "--output=out"], "pipelines"),
        ("dlib", "pipelines.prepare", ["--source=folder", "--input=.", "--output=out", "--teachers"], "teachers"),
        ("dlib", "pipelines.teach", ["--corpus=out"], "teachers"),
        ("resemblyzer", "pipelines.networks", ["--output=out"], "teachers"),
        ("tf2onnx", "s2f_tf.export", ["--format=onnx", "--output=out"], "onnx"),
    ],
)
def test_a_command_whose_extra_is_missing_ends_with_one_line(blocked, module, flags, extra, tmp_path):
    flags = [flag.replace("=out", f"={tmp_path}/out") for flag in flags]
    result = commands.run("without", blocked, module, *flags)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ") and last.endswith(f"the extra `{extra}`: pip install 's2f_tf[{extra}]'")
    assert not list(tmp_path.iterdir())
