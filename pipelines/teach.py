"""`python -m pipelines.teach --corpus=clips/`: keeps beside each clip what pretrained networks say of face and voice.

What is learnt from it, and how well, `docs/people.md` tells. Training needs the extra `teachers` no more.
"""

import os

from absl import flags

from s2f_tf import command  # before what imports TensorFlow, which it quiets

with command.extra("pipelines"):
    from . import teachers

_CORPUS = flags.DEFINE_string("corpus", None, "folder with a corpus.json", required=True)
_WORKERS = flags.DEFINE_integer("workers", os.cpu_count(), "processes; the output does not depend on it", lower_bound=1)


def main() -> None:
    """Asks them, and says who was asked."""
    print(f"taught by: {'; '.join(teachers.teach(_CORPUS.value, _WORKERS.value))}")


def run() -> None:
    """The console script."""
    command.run(main)


if __name__ == "__main__":
    run()
