"""`python -m s2f_tf.export`: writes a trained run as a SavedModel for TensorFlow Serving, or as ONNX models."""

from absl import flags

from s2f_tf import command, saved_model
from s2f_tf.models import trained

_WORKDIR = flags.DEFINE_string("workdir", trained.SHIPPED, "trained run; by default the weights in the package")
_FORMAT = flags.DEFINE_enum(
    "format", "saved_model", ["saved_model", "onnx"], "saved_model: a new version in the folder; onnx: a file a network"
)
_OUTPUT = flags.DEFINE_string("output", None, "folder to write to; by default models/s2f, or models/s2f_onnx for ONNX")


def main() -> None:
    """Exports and says where to."""
    if _FORMAT.value == "onnx":
        print(_export_onnx(_WORKDIR.value, _OUTPUT.value or "models/s2f_onnx"))
    else:
        print(saved_model.export(_WORKDIR.value, _OUTPUT.value or "models/s2f"))


def _export_onnx(workdir: str, output: str) -> str:
    with command.extra("onnx"):
        from s2f_tf import onnx_model
    return onnx_model.export(workdir, output)


def run() -> None:
    """The console script."""
    command.run(main)


if __name__ == "__main__":
    run()
