"""`python -m tflite.verify`: runs held-out voices through every runtime, and fails where one is not the same model."""

from absl import flags

from s2f_tf import command  # before what imports TensorFlow, which it quiets

# isort: split
from s2f_tf.models import trained

with command.extra("onnx"):
    from . import verification
with command.extra("tflite"):
    import ai_edge_litert.interpreter  # noqa: F401  # not after the minutes that come before its turn

_WORKDIR = flags.DEFINE_string("workdir", trained.SHIPPED, "trained run; by default the weights in the package")
_MODELS = flags.DEFINE_string("models", "out", f"folder that `python -m {__package__}.convert` wrote of that run")
_CORPUS = flags.DEFINE_string(
    "corpus", None, "folder of clips; by default the run's synthetic speakers, made in <models>/corpus the first time"
)
_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "whose voices are heard")
_CLIPS = flags.DEFINE_integer("clips", 500, "at most so many clips, from the start of the split", lower_bound=1)


def main() -> None:
    """Verifies, and exits with status 1 where a bar is missed."""
    verification.verify(_WORKDIR.value, _MODELS.value, _CORPUS.value, _SPLIT.value, _CLIPS.value)


def run() -> None:
    """The console script."""
    command.run(main)


if __name__ == "__main__":
    run()
