"""`python -m s2f_tf.train`: trains matching, generation and the judge, and leaves everything in a work directory.

With no argument it makes a corpus of synthetic speakers and trains the `demo` preset on it. A run that was interrupted,
in any way, goes on when the same command is typed again.
"""

import os
import typing

from absl import flags

from s2f_tf import command
from s2f_tf import config as configuration
from s2f_tf.config import Config
from s2f_tf.data import reader, synthetic
from s2f_tf.training import stages

_PRESET = flags.DEFINE_string("preset", "demo", f"settings to start from: {', '.join(sorted(configuration.PRESETS))}")
_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "folder for weights, checkpoints, logs and pictures")
_CORPUS = flags.DEFINE_string("corpus", None, "folder of clips; none makes synthetic speakers in <workdir>/corpus")


def _define_settings() -> None:
    """A flag for every setting, by its dotted name, which overrides the preset's value."""
    for name, field in configuration.settings(Config).items():
        kind = typing.get_origin(field.type) or field.type
        define = {
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            bool: flags.DEFINE_boolean,
            str: flags.DEFINE_string,
            tuple: flags.DEFINE_list,
        }[kind]
        define(name, None, field.metadata["doc"])


def _config() -> Config:
    """The preset with what the flags override."""
    values = {}
    for name in configuration.settings(Config):
        value = flags.FLAGS[name].value
        if value is not None:
            values[name] = _whole_numbers(name, value) if isinstance(value, list) else value
    return configuration.override(configuration.preset(_PRESET.value), values)


def _whole_numbers(name: str, items: list[str]) -> tuple[int, ...]:
    try:
        return tuple(int(item) for item in items)
    except ValueError:
        raise configuration.ConfigError(f"{name} must be whole numbers with commas, not '{','.join(items)}'") from None


def main() -> None:
    """Trains, or goes on training, what the flags ask for."""
    config = _config()
    stages.claim(_WORKDIR.value, config)
    folder = _CORPUS.value
    if folder is None and os.environ.get("TF_CONFIG"):
        raise configuration.ConfigError("TF_CONFIG names several workers: make the corpus before, and give --corpus")
    if folder is None:
        folder = os.path.join(_WORKDIR.value, "corpus")
        # Not FLAC, which takes fifteen times as long to decode in the graph: much of a step on two cores.
        synthetic.write_corpus(config.synthetic, config.data.face_size, config.seed, folder, "wav")
    stages.train(config, reader.Corpus(folder), _WORKDIR.value)


def run() -> None:
    """The console script."""
    _define_settings()
    command.run(main)


if __name__ == "__main__":
    run()
