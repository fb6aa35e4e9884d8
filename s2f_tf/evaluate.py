"""`python -m s2f_tf.evaluate`: how well a trained run matches and draws speakers that it has never heard."""

import json
import os

from absl import flags

from s2f_tf import command
from s2f_tf.data import reader
from s2f_tf.errors import UserError
from s2f_tf.evaluation import summary

_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "trained run")
_CORPUS = flags.DEFINE_string("corpus", None, "folder of clips; by default <workdir>/corpus")
_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "the speakers to evaluate on")
_OUT = flags.DEFINE_string("out", None, "JSON file for the figures; by default <workdir>/metrics.json")


def main() -> None:
    """Prints the figures and writes them as JSON."""
    workdir = _WORKDIR.value
    corpus = reader.Corpus(_CORPUS.value or os.path.join(workdir, "corpus"))
    path = _OUT.value or os.path.join(workdir, "metrics.json")
    metrics = summary.measure(workdir, corpus, _SPLIT.value)
    print(summary.table(metrics))
    try:
        with open(path + ".part", "w", encoding="utf-8") as file:
            json.dump(metrics, file, indent=2)
        os.replace(path + ".part", path)
    except OSError as error:
        raise UserError(f"--out={path} cannot be written: {error.strerror}") from error
    print(f"written to {path}")


def run() -> None:
    """The console script."""
    command.run(main)


if __name__ == "__main__":
    run()
