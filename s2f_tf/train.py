"""`python -m s2f_tf.train`: trains matching, generation and the judge, and leaves everything in a work directory.

With no argument it makes a corpus of synthetic speakers and trains the `demo` preset on it. A run that was interrupted,
in any way, goes on when the same command is typed again.
"""

import os

from absl import flags

from s2f_tf import command, setting_flags  # before what imports TensorFlow, which it quiets

# isort: split
import tensorflow as tf

from s2f_tf import config as configuration
from s2f_tf.data import reader, synthetic
from s2f_tf.training import precision, stages

_PRESET = flags.DEFINE_string("preset", "demo", f"settings to start from: {', '.join(sorted(configuration.PRESETS))}")
_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "folder for weights, checkpoints, logs and pictures")
_CORPUS = flags.DEFINE_string("corpus", None, "folder of clips; none makes synthetic speakers in <workdir>/corpus")
_FACES = flags.DEFINE_multi_string(
    "faces", [], "folder of clips to learn faces from, voices or none; may be given again"
)
_VOICES = flags.DEFINE_multi_string(
    "voices", [], "folder of clips to learn voices from, faces or none; may be given again"
)
_NETWORKS = flags.DEFINE_string(
    "networks", None, "folder of teachers' networks, as pipelines.networks makes it, where a setting asks for one"
)


def main() -> None:
    """Trains, or goes on training, what the flags ask for."""
    if (os.cpu_count() or 1) <= 2:
        # Two operations at a time, a core each: generation's are so small that to share one costs more than it brings.
        tf.config.threading.set_intra_op_parallelism_threads(1)
    config = setting_flags.override(_PRESET.value)
    precision.use(config.precision)  # before any work
    alone = stages.Alone.of(config, _FACES.value, _VOICES.value)
    stages.require_teachers(config, _NETWORKS.value)
    folder = _CORPUS.value
    if folder is None and os.environ.get("TF_CONFIG"):
        raise configuration.ConfigError("TF_CONFIG names several workers: make the corpus before, and give --corpus")
    if folder is None:
        stages.claim(_WORKDIR.value, config)
        folder = os.path.join(_WORKDIR.value, "corpus")
        # Not FLAC, which takes fifteen times as long to decode in the graph: much of a step on two cores.
        synthetic.write_corpus(config.synthetic, config.data.face_size, config.seed, folder, "wav")
    stages.train(config, reader.Corpus(folder), _WORKDIR.value, alone, _NETWORKS.value)


def run() -> None:
    """The console script."""
    setting_flags.define()
    command.run(main)


if __name__ == "__main__":
    run()
