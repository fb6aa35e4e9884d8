"""Every setting there is, as frozen dataclasses, and the named presets.

A run is described by one `Config`. It is saved as `config.json` beside everything made from it, and everything is
rebuilt from it. Commands define one absl flag for each setting (`--generation.steps=4000`), which overrides the preset.
Unknown keys and impossible values are refused with a `ConfigError` that names the setting.

The file has the number of its schema. A setting that is younger than a file says in its definition, as `absent`, what
it was before it was there, and one that is gone is forgotten: so old runs and published weights can be read.
"""

import dataclasses
import json
import os
import typing
from collections.abc import Mapping
from typing import Any

from s2f_tf.aside import written_aside
from s2f_tf.errors import UserError

SCHEMA = 4  # of config.json: raised by every release that changes settings; files without a number are of schema 1
_GONE = {  # by the schema from which on they are: settings of a section, and what they are called now, or None
    3: ("generation", {"matching": "consistency", "detail": None, "centring": None}),
    4: ("data", {"fade_seconds": None}),
}

SAMPLE_RATE = 16_000  # Hz; every waveform inside the software
MIN_SECONDS = 0.5  # the shortest voice that is accepted
AUDIO_FORMATS = ("flac", "wav")  # in which a corpus may store sound
MAX_SECONDS = 30.0  # the longest voice that an exported model accepts


REQUIRED = object()  # of a setting that every `config.json` must hold


class ConfigError(UserError):
    """A setting that does not exist or cannot be; the message names it and says what is allowed."""


def setting(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple = (),
    absent: Any = REQUIRED,
) -> Any:
    """A dataclass field with its documentation (the flag's help) and the values it may take, bounds included.

    One that was added after schema 1 has `absent=`, its value where an older `config.json` lacks it.
    """
    bounds = {"low": low, "high": high, "choices": choices}
    return dataclasses.field(default=default, metadata={"doc": doc, "absent": absent} | bounds)


@dataclasses.dataclass(frozen=True)
class SyntheticConfig:
    """The embedded corpus of synthetic speakers (`s2f_tf/data/synthetic.py`)."""

    speakers: int = setting(4000, "speakers in the corpus, over all splits", low=2)
    clips_per_speaker: int = setting(1, "clips of each speaker", low=1)
    faces_per_clip: int = setting(3, "faces stored with each clip", low=1)
    seconds: float = setting(2.5, "mean length of an utterance in seconds", low=0.7, high=30.0)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What a training example is, and how it is augmented."""

    face_size: int = setting(48, "height and width of a face in pixels", low=16, high=1024)
    window_seconds: float = setting(1.0, "length of the training window in seconds", low=MIN_SECONDS, high=MAX_SECONDS)
    flip: bool = setting(True, "mirror half of the faces")
    colour_jitter: float = setting(
        0.05, "largest change of a face's brightness, contrast and saturation", low=0.0, high=0.9
    )
    shift: float = setting(0.03, "largest shift of a face, as a share of its size", low=0.0, high=0.25)
    erase: float = setting(
        0.0, "longest side of a rectangle painted over a face, as a share of its size", low=0.0, high=0.9, absent=0.0
    )
    gain_db: float = setting(6.0, "largest change of a waveform's level in dB", low=0.0, high=40.0)
    noise_db: float = setting(
        0.0, "loudest noise added to a waveform, in dB relative to its level; -120 is none", low=-120.0, high=20.0
    )
    noise_fall_db: float = setting(
        6.0, "steepest fall of that noise in dB an octave: 0 is white alone", low=0.0, high=12.0, absent=0.0
    )
    babble: float = setting(
        0.15, "share of waveforms to which other voices are added instead of noise", low=0.0, high=1.0, absent=0.0
    )
    channel: float = setting(0.5, "share of waveforms that meet each of what follows", low=0.0, high=1.0, absent=0.0)
    pause_seconds: float = setting(
        0.5, "longest pause made before, within or after a voice, in seconds", low=0.0, high=MAX_SECONDS, absent=0.0
    )
    reverberation_seconds: float = setting(
        1.3, "longest time in which the sound of a room falls by 60 dB; 0 is no room", low=0.0, high=10.0, absent=0.0
    )
    low_edge_hz: float = setting(
        400.0, "highest frequency below which a line cuts off, in Hz", low=30.0, high=1000.0, absent=30.0
    )
    high_edge_hz: float = setting(
        3000.0, "lowest frequency above which it does, in Hz", low=2000.0, high=8000.0, absent=8000.0
    )
    tilt_db: float = setting(
        3.0, "steepest tilt of a microphone in dB an octave, up or down", low=0.0, high=12.0, absent=0.0
    )
    clipping_db: float = setting(
        12.0, "how far above the loudest that is kept peaks may be cut, in dB", low=0.0, high=40.0, absent=0.0
    )
    mu_law: bool = setting(True, "code half of the waveforms that meet a line as mu-law", absent=False)
    polarity: bool = setting(True, "turn half of the waveforms upside down")


@dataclasses.dataclass(frozen=True)
class SpeechEncoderConfig:
    """S: raw waveform to embedding (`s2f_tf/models/speech_encoder.py`)."""

    network: str = setting(
        "filterbank",
        "what S is: filterbank is learnt as a whole, by the settings below; resemblyzer is a teacher's, of which the "
        "last layer alone is learnt: it takes --networks",
        choices=("filterbank", "resemblyzer"),
        absent="filterbank",
    )
    bands: int = setting(48, "bands of the filterbank that reads the waveform", low=4)
    taps: int = setting(400, "samples that each of its filters sees", low=16, high=int(MIN_SECONDS * SAMPLE_RATE))
    hop: int = setting(80, "samples between two places where the filters are applied", low=1)
    hops_per_frame: int = setting(4, "places over which a band's energy is averaged", low=1)
    widths: tuple[int, ...] = setting(
        (96, 96, 96), "channels of each stage of residual blocks; all but the first halve the frames", low=4
    )
    blocks: int = setting(1, "residual blocks in each stage", low=1)


@dataclasses.dataclass(frozen=True)
class FaceEncoderConfig:
    """F: face to embedding; a body that is learnt is also the discriminator's (`s2f_tf/models/face_encoder.py`)."""

    network: str = setting(
        "convolutions",
        "what F is: convolutions are learnt as a whole, by the settings below, which are those of the discriminator, "
        "too; dlib is a teacher's, of which the last layer alone is learnt: it takes --networks",
        choices=("convolutions", "dlib"),
        absent="convolutions",
    )
    stem_width: int = setting(16, "channels of the first convolution, which sees every pixel", low=4)
    widths: tuple[int, ...] = setting(
        (32, 48, 64, 80), "channels of each stage of residual blocks; each halves the face", low=4
    )
    blocks: int = setting(1, "residual blocks in each stage", low=1)


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """G: (z, embedding) to face (`s2f_tf/models/generator.py`)."""

    z_size: int = setting(32, "size of z, what the voice does not tell", low=1)
    style_size: int = setting(128, "size of the style vector that modulates every block", low=4)
    widths: tuple[int, ...] = setting(
        (128, 96, 64, 48, 16), "channels of each block; all but the first double the face", low=4
    )


@dataclasses.dataclass(frozen=True)
class PretrainingConfig:
    """Before matching: voices alone, and faces alone (`s2f_tf/training/pretraining.py`)."""

    voice_steps: int = setting(0, "training steps of S on voices alone; 0 is none", low=0)
    face_steps: int = setting(0, "training steps of F on faces alone; 0 is none", low=0)
    batch_size: int = setting(96, "clips in a step, over all replicas and workers", low=2)
    learning_rate: float = setting(
        1e-3, "peak learning rate of Adam: it rises over the warm-up, then falls to zero as a cosine", low=0.0
    )
    warmup_steps: int = setting(30, "steps over which the learning rate rises", low=0)
    embedding_size: int = setting(64, "numbers in which two views are compared, where there is no teacher", low=2)
    scale: float = setting(10.0, "the softmax multiplies the cosine of two views by this", low=0.1)
    contrast: float = setting(1.0, "weight of the loss by which two views find each other", low=0.0)
    teacher: float = setting(0.0, "weight of the loss by which what a teacher says of a clip is learnt", low=0.0)
    weight_decay: float = setting(1e-2, "decoupled weight decay", low=0.0, high=1.0)
    ema_decay: float = setting(
        0.99, "decay of the moving average of the weights, which is what is kept", low=0.0, high=0.9999
    )
    channel: float = setting(0.5, "in place of `data.channel`", low=0.0, high=1.0)
    noise_db: float = setting(0.0, "in place of `data.noise_db`", low=-120.0, high=20.0)
    noise_fall_db: float = setting(6.0, "in place of `data.noise_fall_db`", low=0.0, high=12.0)
    babble: float = setting(0.1, "in place of `data.babble`", low=0.0, high=1.0)


@dataclasses.dataclass(frozen=True)
class MatchingConfig:
    """The first stage: which face belongs to which voice (`s2f_tf/training/matching.py`)."""

    steps: int = setting(500, "training steps", low=1)
    judge_steps: int = setting(
        0, "training steps of the judge, which is matching once more from another seed; 0 is as many", low=0, absent=0
    )
    batch_size: int = setting(
        96, "clips in a step, over all replicas and workers: the K of the matching softmax", low=2
    )
    learning_rate: float = setting(
        1e-3, "peak learning rate of Adam: it rises over the warm-up, then falls to zero as a cosine", low=0.0
    )
    warmup_steps: int = setting(50, "steps over which the learning rate rises", low=0)
    scale: float = setting(16.0, "the matching softmax multiplies the cosine of two embeddings by this", low=0.1)
    weight_decay: float = setting(1e-4, "decoupled weight decay", low=0.0, high=1.0)
    ema_decay: float = setting(
        0.98, "decay of the moving average of the weights, which is what is kept", low=0.0, high=0.9999, absent=0.0
    )


@dataclasses.dataclass(frozen=True)
class GenerationConfig:
    """The second stage: faces from voices (`s2f_tf/training/generation.py`)."""

    steps: int = setting(2700, "training steps", low=1)
    batch_size: int = setting(8, "clips in a step, over all replicas and workers", low=2)
    generator_learning_rate: float = setting(
        1e-3, "peak learning rate of the generator's Adam, which falls as a cosine", low=0.0
    )
    discriminator_learning_rate: float = setting(
        5e-4, "peak learning rate of the discriminator's Adam, which falls as a cosine", low=0.0
    )
    last_rate: float = setting(
        0.5, "share of both that is left at the last step: 1 does not let them fall", low=0.0, high=1.0, absent=0.0
    )
    beta_2: float = setting(0.99, "second moment decay of both Adams (the first is 0)", low=0.0, high=0.9999)
    consistency: float = setting(
        0.3, "weight of the loss by which the face encoder picks a generated face's voice", low=0.0
    )
    diversity: float = setting(10.0, "weight of the loss that keeps faces of one voice apart", low=0.0)
    diversity_distance: float = setting(
        0.8, "how far apart they shall be, as a share of the distance of two real faces", low=0.0, absent=0.8
    )
    gamma: float = setting(0.2, "weight of the gradient penalty R1", low=0.0)
    penalty_every: int = setting(8, "the gradient penalty is computed on every n-th step, n times as strong", low=1)
    ema_decay: float = setting(
        0.995, "decay of the moving average of the generator, which is what is exported", low=0.0, high=1.0
    )
    alone: float = setting(
        0.0, "share of clips that are faces of `--faces`, whose c is of F instead of S", low=0.0, high=0.9, absent=0.0
    )
    alone_noise: float = setting(0.5, "length of the noise that is added to c where F gives it", low=0.0, absent=0.5)


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """Logs, checkpoints and pictures (`s2f_tf/training/loop.py`)."""

    log_every: int = setting(10, "steps between lines of log.jsonl", low=1)
    checkpoint_every: int = setting(500, "steps between checkpoints", low=1)
    picture_every: int = setting(500, "steps of generation between picture grids", low=1)
    validate_every: int = setting(100, "steps between looks at the validation split", low=1, absent=100)


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run. `Config()` is not a preset: take one from `preset`."""

    preset: str = "demo"
    seed: int = setting(0, "seed of the corpus, of the first weights and of every random draw", low=0, high=2**31 - 1)
    precision: str = setting(
        "float32", "arithmetic of the layers; variables are always float32", choices=("float32", "mixed_bfloat16")
    )
    start_from: str = setting(
        "",
        "work directory whose encoders matching starts from, or `demo` for those in the package; none starts afresh",
        absent="",
    )
    embedding_size: int = setting(64, "size of the embedding that speech and face encoder share", low=2)
    synthetic: SyntheticConfig = SyntheticConfig()
    data: DataConfig = DataConfig()
    speech_encoder: SpeechEncoderConfig = SpeechEncoderConfig()
    face_encoder: FaceEncoderConfig = FaceEncoderConfig()
    generator: GeneratorConfig = GeneratorConfig()
    pretraining: PretrainingConfig = dataclasses.field(
        default=PretrainingConfig(), metadata={"absent": PretrainingConfig()}
    )
    matching: MatchingConfig = MatchingConfig()
    generation: GenerationConfig = GenerationConfig()
    loop: LoopConfig = LoopConfig()

    def __post_init__(self) -> None:
        for name, field in settings(Config).items():
            _check(name, field, _get(self, name))
        face_size = self.data.face_size
        doublings, halvings = len(self.generator.widths) - 1, len(self.face_encoder.widths)
        if face_size % 2**doublings or face_size < 2 ** (doublings + 1):
            raise ConfigError(
                f"generator.widths has {doublings + 1} blocks, so data.face_size must be a multiple of {2**doublings} "
                f"and at least {2 ** (doublings + 1)}, not {face_size}"
            )
        if face_size < 2 ** (halvings + 1):
            raise ConfigError(
                f"face_encoder.widths has {halvings} stages, each of which halves the face: data.face_size must be at "
                f"least {2 ** (halvings + 1)}, not {face_size}"
            )
        for name, steps in (("speech_encoder", "voice_steps"), ("face_encoder", "face_steps")):
            if name in self.teachers and getattr(self.pretraining, steps):
                raise ConfigError(
                    f"pretraining.{steps} must be 0, not {getattr(self.pretraining, steps)}: with {name}.network="
                    f"{self.teachers[name]} nothing is learnt but the last layer, which pretraining does not keep"
                )
        c = self.speech_encoder
        frame, shortest = c.taps + (c.hops_per_frame - 1) * c.hop, int(MIN_SECONDS * SAMPLE_RATE)
        if frame > shortest:
            raise ConfigError(
                f"speech_encoder.taps, hop and hops_per_frame make the first frame {frame} samples long: at most "
                f"{shortest} is allowed, the shortest voice of {MIN_SECONDS} s"
            )

    @property
    def teachers(self) -> dict[str, str]:
        """Of S and F, by their names in here, those that are made of a teacher's network, and of which."""
        made_of = {
            "speech_encoder": (self.speech_encoder.network, "filterbank"),
            "face_encoder": (self.face_encoder.network, "convolutions"),
        }
        return {name: network for name, (network, learnt) in made_of.items() if network != learnt}

    @property
    def taught(self) -> str:
        """A sentence for whoever meets the model, where it is taught, and "" where it is self-supervised."""
        if self.teachers:
            names = " and ".join(self.teachers.values())
            return f"This model is taught: made with {names}, which learnt from labels."
        if self.pretraining.teacher and (self.pretraining.voice_steps or self.pretraining.face_steps):
            return "This model is taught: it learnt from networks that learnt from labels."
        return ""

    @property
    def window_samples(self) -> int:
        """Samples in a training window."""
        return round(self.data.window_seconds * SAMPLE_RATE)


def settings(cls: type, prefix: str = "") -> dict[str, dataclasses.Field]:
    """Every setting below a config class, by its dotted name, such as `generation.steps`."""
    found = {}
    for field in dataclasses.fields(cls):
        name = prefix + field.name
        if dataclasses.is_dataclass(field.type):
            found |= settings(field.type, name + ".")
        elif field.metadata:
            found[name] = field
    return found


def preset(name: str) -> Config:
    """The preset of that name. Raises `ConfigError` where there is none."""
    if name not in PRESETS:
        raise ConfigError(f"unknown preset '{name}': there are {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def override(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy of `config` with settings replaced by dotted name, checked together once all are in place.

    Raises `ConfigError` for an unknown name or an impossible value.
    """
    tree = dataclasses.asdict(config)
    for name, value in values.items():
        if name not in settings(Config):
            raise ConfigError(f"unknown setting '{name}'")
        *parents, leaf = name.split(".")
        node = tree
        for parent in parents:
            node = node[parent]
        node[leaf] = value
    return from_dict(tree)


def from_dict(tree: Mapping[str, Any]) -> Config:
    """The config that `dataclasses.asdict` (or JSON) describes.

    Raises `ConfigError`. A missing key is an error too, unless the setting is younger than schema 1.
    """
    return _from_dict(Config, tree, "")


def load(folder: str) -> Config:
    """Reads `<folder>/config.json`. Raises `ConfigError` naming the file where it is absent or damaged."""
    path = os.path.join(folder, "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            tree = json.load(file)
        schema = tree.pop("schema", 1) if isinstance(tree, dict) else 1
        if schema not in range(1, SCHEMA + 1):
            raise ConfigError(f"schema {schema!r}: this release reads 1 to {SCHEMA}, so a newer s2f_tf is needed")
        return from_dict(_upgrade(tree, schema))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist: {folder} is not a work directory of s2f_tf") from None
    except (json.JSONDecodeError, UnicodeDecodeError, ConfigError) as error:
        raise ConfigError(f"{path}: {error}") from error


def save(config: Config, folder: str) -> None:
    """Writes `<folder>/config.json`, aside and then renamed. Raises `ConfigError` where the folder cannot be made.

    Workers that begin a run together may each do so at once.
    """
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}") from error
    path = os.path.join(folder, "config.json")
    with written_aside(path, shared=True) as part, open(part, "w", encoding="utf-8") as file:
        json.dump({"schema": SCHEMA} | dataclasses.asdict(config), file, indent=2)
        file.write("\n")


def differences(a: Config, b: Config) -> dict[str, tuple[Any, Any]]:
    """The settings in which two configs differ, by dotted name."""
    pairs = {name: (_get(a, name), _get(b, name)) for name in settings(Config)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _get(config: Any, name: str) -> Any:
    for part in name.split("."):
        config = getattr(config, part)
    return config


def _upgrade(tree: Any, schema: int) -> Any:
    """Settings of an older schema by their names of today, without those that are gone."""
    for section, names in (gone for newer, gone in _GONE.items() if newer > schema):
        if isinstance(tree, dict) and isinstance(tree.get(section), dict):
            renamed = {names.get(name, name): value for name, value in tree[section].items()}
            tree = tree | {section: {name: value for name, value in renamed.items() if name}}
    return tree


def _from_dict(cls: type, tree: Any, prefix: str) -> Any:
    if not isinstance(tree, Mapping):
        raise ConfigError(f"'{prefix.rstrip('.') or 'config'}' must be an object, not {tree!r}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in tree:
        if key not in fields:
            raise ConfigError(f"unknown setting '{prefix}{key}'")
    values = {}
    for key, field in fields.items():
        if key not in tree and field.metadata.get("absent", REQUIRED) is not REQUIRED:
            values[key] = field.metadata["absent"]
            continue
        if key not in tree:
            raise ConfigError(f"setting '{prefix}{key}' is missing")
        if dataclasses.is_dataclass(field.type):
            values[key] = _from_dict(field.type, tree[key], f"{prefix}{key}.")
        else:
            values[key] = tuple(tree[key]) if isinstance(tree[key], list) else tree[key]
    return cls(**values)


def _check(name: str, field: dataclasses.Field, value: Any) -> None:
    kind = typing.get_origin(field.type) or field.type
    if kind is tuple:
        if not isinstance(value, tuple) or not value:
            raise ConfigError(f"{name} must be a list of at least one whole number, not {value!r}")
        for item in value:
            _check_one(name, field, int, item)
    else:
        _check_one(name, field, kind, value)


def _check_one(name: str, field: dataclasses.Field, kind: type, value: Any) -> None:
    right = isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))
    if not right or value != value:
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
        raise ConfigError(f"{name} must be {words[kind]}, not {value!r}")
    low, high, choices = field.metadata["low"], field.metadata["high"], field.metadata["choices"]
    if low is not None and value < low:
        raise ConfigError(f"{name} must be at least {low}, not {value}")
    if high is not None and value > high:
        raise ConfigError(f"{name} must be at most {high}, not {value}")
    if choices and value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, not '{value}'")


# Hundreds of people, a clip or two of each, on two CPU cores: `docs/people.md` says what each change is worth.
_PEOPLE = Config(
    preset="people",
    embedding_size=8,
    # Recordings of hundreds of people differ as it is: more of that was worth nothing.
    data=DataConfig(
        face_size=64,
        window_seconds=2.0,
        colour_jitter=0.1,
        erase=0.5,
        noise_db=-30.0,
        noise_fall_db=0.0,
        babble=0.0,
        channel=0.0,
    ),
    matching=MatchingConfig(steps=500, warmup_steps=30, scale=1.0, weight_decay=0.05, ema_decay=0.99),
    generation=GenerationConfig(steps=2000, consistency=0.5),
    loop=LoopConfig(validate_every=50),
)

PRESETS = {
    # Two CPU cores. Its faces are drawn where they belong: shifted and tinted, they would teach the face encoder to see
    # less of the nose, which is a few pixels wide (`docs/training.md`).
    "demo": Config(
        data=DataConfig(shift=0.0, colour_jitter=0.02),
        matching=MatchingConfig(judge_steps=200),
        loop=LoopConfig(validate_every=500),
    ),
    # A few seconds on one core, to try the machinery: its faces are not worth looking at.
    "tiny": Config(
        preset="tiny",
        embedding_size=16,
        synthetic=SyntheticConfig(speakers=40, clips_per_speaker=2, faces_per_clip=2, seconds=0.8),
        data=DataConfig(face_size=16, window_seconds=0.5),
        speech_encoder=SpeechEncoderConfig(bands=8, taps=200, hops_per_frame=2, widths=(8, 16)),
        face_encoder=FaceEncoderConfig(widths=(8, 16)),
        generator=GeneratorConfig(z_size=8, style_size=16, widths=(16, 16, 8)),
        matching=MatchingConfig(steps=6, batch_size=8, warmup_steps=2),
        generation=GenerationConfig(steps=6, penalty_every=2),
        loop=LoopConfig(log_every=1, checkpoint_every=2, picture_every=3, validate_every=2),
    ),
    "people": _PEOPLE,
    # As `people`, with S and F made of teachers' networks (`--networks`). Two last layers cannot learn faces by heart,
    # so more numbers and a steeper softmax serve them, and a painted rectangle does not.
    "taught": dataclasses.replace(
        _PEOPLE,
        preset="taught",
        embedding_size=64,
        data=dataclasses.replace(_PEOPLE.data, erase=0.0),
        speech_encoder=SpeechEncoderConfig(network="resemblyzer"),
        face_encoder=FaceEncoderConfig(network="dlib"),
        matching=dataclasses.replace(_PEOPLE.matching, steps=300, judge_steps=100, scale=2.0),
        generation=dataclasses.replace(_PEOPLE.generation, steps=2400, last_rate=1.0, consistency=0.3),
    ),
    # 128 pixels and six seconds, as in the paper; for GPUs.
    "paper": Config(
        preset="paper",
        precision="mixed_bfloat16",
        embedding_size=256,
        data=DataConfig(face_size=128, window_seconds=6.0),
        speech_encoder=SpeechEncoderConfig(bands=80, widths=(256, 256, 512, 512), blocks=2),
        face_encoder=FaceEncoderConfig(widths=(64, 128, 256, 512, 512), blocks=2),
        generator=GeneratorConfig(z_size=128, style_size=512, widths=(512, 512, 256, 128, 64, 32)),
        matching=MatchingConfig(steps=100_000, batch_size=256, learning_rate=5e-4, warmup_steps=2000),
        generation=GenerationConfig(
            steps=300_000,
            batch_size=64,
            generator_learning_rate=2e-4,
            discriminator_learning_rate=2e-4,
            consistency=0.3,  # beside the scale of `demo`; no run has said yet what faces of 128 pixels want
            diversity=10.0,
            gamma=1.0,
            penalty_every=16,
            ema_decay=0.999,
        ),
        loop=LoopConfig(log_every=100, checkpoint_every=2000, picture_every=2000, validate_every=2000),
    ),
}
