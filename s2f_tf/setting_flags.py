"""A flag for every setting (`--generation.steps=4000`), which overrides the preset's value."""

import typing

from absl import flags

from s2f_tf import config as configuration
from s2f_tf.config import Config


def define() -> None:
    """Defines them, by the settings' dotted names."""
    for name, field in configuration.settings(Config).items():
        kind = typing.get_origin(field.type) or field.type
        define_one = {
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            bool: flags.DEFINE_boolean,
            str: flags.DEFINE_string,
            tuple: flags.DEFINE_list,
        }[kind]
        define_one(name, None, field.metadata["doc"])


def override(preset: str) -> Config:
    """The preset of that name with what the flags override. Raises `ConfigError`."""
    values = {}
    for name in configuration.settings(Config):
        value = flags.FLAGS[name].value
        if value is not None:
            values[name] = _whole_numbers(name, value) if isinstance(value, list) else value
    return configuration.override(configuration.preset(preset), values)


def _whole_numbers(name: str, items: list[str]) -> tuple[int, ...]:
    try:
        return tuple(int(item) for item in items)
    except ValueError:
        raise configuration.ConfigError(f"{name} must be whole numbers with commas, not '{','.join(items)}'") from None
