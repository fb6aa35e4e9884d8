"""`python -m benchmarks.people --corpus=clips/`: what is learnt of speakers who are kept back, beside ridge regression.

The speakers of a corpus of clips, as `pipelines.prepare` leaves it, are divided anew into folds. For each fold, the
others are trained on with `--preset` (a tenth of them are the validation split), and every clip of the fold is matched.
Every setting has a flag, as in training. It may take hours, and goes on where it was stopped.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from s2f_tf import command, setting_flags
from s2f_tf import config as configuration
from s2f_tf.aside import written_aside
from s2f_tf.config import SAMPLE_RATE, Config
from s2f_tf.data import clip, reader
from s2f_tf.errors import UserError
from s2f_tf.evaluation import copies, distribution, generation, matching
from s2f_tf.evaluation.run import Run, embed, graph
from s2f_tf.evaluation.statistics import Figure, Resampling, figure
from s2f_tf.models import trained
from s2f_tf.training import loop, stages, validation

_CORPUS = flags.DEFINE_string("corpus", None, "folder of clips", required=True)
_OUTPUT = flags.DEFINE_string("output", "runs/people", "folder for the folds, their runs and their figures")
_PRESET = flags.DEFINE_string("preset", "people", f"settings: {', '.join(sorted(configuration.PRESETS))}")
_FOLDS = flags.DEFINE_integer("folds", 4, "how many parts the speakers are divided into", lower_bound=2)
_SEEDS = flags.DEFINE_integer("seeds", 1, "how often each fold is trained on, from --seed upwards", lower_bound=1)
_SPEAKERS = flags.DEFINE_multi_integer(
    "speakers", [0], "the most speakers to train on, several for a learning curve; 0 is all", lower_bound=0
)
_GENERATION = flags.DEFINE_boolean("generation", False, "train the judge and the generator, too, and judge its faces")

_RIDGES = 10.0 ** np.arange(0, 7)  # of which the validation split chooses
_RIDGE_SIZE = 16  # pixels a side of the faces that ridge regression draws


def main() -> None:
    """Prints a table, a row for each number of speakers."""
    base = setting_flags.override(_PRESET.value)
    corpus = reader.Corpus(_CORPUS.value)
    columns: list[str] = []
    for speakers in _SPEAKERS.value:
        found: dict[str, list[Figure]] = {}
        for fold in range(_FOLDS.value):
            folder = os.path.join(_OUTPUT.value, f"{speakers or 'all'}-speakers-fold-{fold}-of-{_FOLDS.value}")
            _write_fold(corpus, base, fold, speakers, folder)
            part = reader.Corpus(folder)
            measured = [_cached(os.path.join(folder, "ridge.json"), lambda part=part: _ridge(part, base))]
            for seed in range(base.seed, base.seed + _SEEDS.value):
                config = configuration.override(base, {"seed": seed})
                run = os.path.join(folder, f"{_PRESET.value}-{seed}")
                stages.claim(run, config)
                what = "generation" if _GENERATION.value else "matching"
                measured.append(
                    _cached(
                        os.path.join(run, f"{what}.json"),
                        lambda part=part, config=config, run=run: _train_and_measure(part, config, run),
                    )
                )
            for figures in measured:
                for name, one in figures.items():
                    found.setdefault(name, []).append(one)
        if not columns:
            columns = list(found)
            print("speakers | " + " | ".join(columns))
            print("|".join(["---"] * (len(columns) + 1)))
        print(f"{speakers or 'all'} | " + " | ".join(_in_words(found[name]) for name in columns), flush=True)


def _in_words(figures: Sequence[Figure]) -> str:
    """The mean over folds and seeds, its interval over speakers, and the lowest and highest of them."""
    # Folds share no speaker, so that their resamples are independent of one another, and seeds are averaged within.
    mean = figure(np.mean([[f.value, *f.draws] for f in figures], axis=0))
    values = [f.value for f in figures]
    return f"{mean.value:.3f} ({mean.low:.3f}..{mean.high:.3f}), {min(values):.3f} to {max(values):.3f}"


def _cached(path: str, measure: Callable[[], dict[str, Figure]]) -> dict[str, Figure]:
    """What `measure` returns, kept in a file."""
    if not os.path.exists(path):
        figures = measure()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with written_aside(path) as part, open(part, "w", encoding="utf-8") as file:
            json.dump({name: f.as_dict() | {"draws": f.draws.tolist()} for name, f in figures.items()}, file)
    with open(path, encoding="utf-8") as file:
        return {name: Figure(**f | {"draws": np.array(f["draws"])}) for name, f in json.load(file).items()}


def _write_fold(corpus: reader.Corpus, config: Config, fold: int, speakers: int, folder: str) -> None:
    """The corpus once more, with the speakers of a fold as its test split, and some of the others to train on.

    Raises `UserError` where `folder` holds a fold of another corpus.
    """
    origin = hashlib.sha256(json.dumps(corpus.description, sort_keys=True).encode()).hexdigest()[:16]
    made_by = f"benchmarks.people, fold {fold} of {_FOLDS.value} of {origin}"
    if os.path.exists(os.path.join(folder, "corpus.json")):
        if reader.Corpus(folder).description["made_by"] != made_by:
            raise UserError(f"{folder} is a fold of another corpus than {corpus.folder}: choose another --output")
        return
    os.makedirs(folder, exist_ok=True)
    shards = [path for split in ("train", "validation", "test") for path in clip.shards(corpus.folder, split)]
    everyone = sorted({found.speaker for found in _clips(shards)}, key=_digest)
    parts = {name: i % _FOLDS.value for i, name in enumerate(everyone)}
    others = [name for name in everyone if parts[name] != fold]
    held = set(others[::10])
    training = [name for name in others if name not in held]
    # A learning curve changes what is trained on and nothing else.
    members = {"train": set(training[: speakers or None]), "validation": held}
    members["test"] = {name for name in everyone if parts[name] == fold}
    counts = {}
    for split, names in members.items():
        chosen = (found for found in _clips(shards) if found.speaker in names)
        counts[split] = clip.write_shard(folder, split, 0, 1, chosen, corpus.description["audio_format"])
    description = corpus.description | {
        "made_by": made_by,
        "clips": counts,
        "speakers": {split: len(names) for split, names in members.items()},
    }
    clip.write_description(folder, description)


def _clips(shards: Sequence[str]) -> Iterator[clip.Clip]:
    for path in shards:
        for record in tf.data.TFRecordDataset(path):
            yield clip.decode(record.numpy())


def _digest(speaker: str) -> bytes:
    return hashlib.sha256(f"fold of {speaker}".encode()).digest()


def _train_and_measure(corpus: reader.Corpus, config: Config, workdir: str) -> dict[str, Figure]:
    keras.backend.clear_session()
    if _GENERATION.value:
        stages.train(config, corpus, workdir)
        return _measure_matching(corpus, config, workdir) | _measure_generation(corpus, workdir)
    held_out = validation.load(corpus, config)
    stages.train_matching(config, corpus, workdir, loop.choose_strategy(), held_out)
    return _measure_matching(corpus, config, workdir)


def _measure_matching(corpus: reader.Corpus, config: Config, workdir: str) -> dict[str, Figure]:
    hear = graph(trained.load_network("speech_encoder", workdir), [None])
    size = config.data.face_size
    see = graph(trained.load_network("face_encoder", workdir), [size, size, 3])
    found = {}
    for split, limit in (("test", None), ("train", 500)):
        clips = list(reader.clips(corpus, split, size, limit=limit))
        voices = np.concatenate([hear(one.waveform[None]) for one in clips])
        faces = np.concatenate([see(one.faces[:1]) for one in clips])
        found[split] = _both_ways(voices, faces, np.array([one.speaker for one in clips]))
    return found["test"] | {"training speakers, 2-way": found["train"]["voice to face, 2-way"]}


def _both_ways(voices: np.ndarray, faces: np.ndarray, speakers: np.ndarray) -> dict[str, Figure]:
    found = {}
    for name, queries, gallery in (("voice to face", voices, faces), ("face to voice", faces, voices)):
        scored = matching.score(matching.cosine(queries, gallery), speakers)
        found |= {f"{name}, {ways}-way": scored[f"accuracy_k{ways}"] for ways in (2, 10)}
    return found


def _measure_generation(corpus: reader.Corpus, workdir: str) -> dict[str, Figure]:
    """The judge's accuracy, and whether faces are copies; one face is drawn from each voice."""
    run = Run(workdir)
    seen = embed(run, corpus, "test", None, keep=10_000)
    drawn = run.draw(run.z(np.arange(len(seen.ids))), seen.voices)
    judged, features = run.judge_see(drawn)
    scored = generation.judge(seen.judge_voices, seen.judge_faces, judged, seen.speakers)["voice_to_generated"]
    training = reader.faces(corpus, "train", run.config.data.face_size)
    near = [copies.nearest(faces, training).distance for faces in (drawn, seen.first)]
    resampling = Resampling(seen.speakers)
    medians = [_medians(distances, resampling.weights[:, resampling.group]) for distances in near]
    kid = distribution.compare(seen.judge_features, features, seen.speakers)["kid_judge"]["generated"]
    return {
        "judge, 2-way": scored["accuracy_k2"],
        "judge, 10-way": scored["accuracy_k10"],
        "distance to the nearest training face, drawn / real": figure(medians[0] / medians[1]),
        "KID": kid,
    }


def _medians(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The median of [N] values under each row of weights, [R, N]: [R]."""
    order = np.argsort(values)
    below = np.cumsum(weights[:, order], axis=1)
    return values[order][(below >= below[:, -1:] / 2).argmax(axis=1)]


def _ridge(corpus: reader.Corpus, config: Config) -> dict[str, Figure]:
    """Ridge regression from the mean and spread of 20 mel cepstra to pixels, the picture nearest in angle picked."""
    data = {}
    for split in ("train", "validation", "test"):
        clips = list(reader.clips(corpus, split, config.data.face_size))
        faces = tf.image.resize(np.stack([one.faces[0] for one in clips]), [_RIDGE_SIZE] * 2, antialias=True).numpy()
        voices = np.stack([_cepstra(one.waveform) for one in clips])
        data[split] = voices, faces.reshape(len(faces), -1), np.array([one.speaker for one in clips])
    (x, y, _), mean, spread = data["train"], data["train"][0].mean(0), data["train"][0].std(0) + 1e-6
    x, centre = (x - mean) / spread, y.mean(0)
    best: tuple[float, dict[str, Figure]] = (0.0, {})
    for ridge in _RIDGES:
        weights = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ (y - centre))

        def matched(split: str, weights: np.ndarray = weights) -> dict[str, Figure]:
            voices, faces, speakers = data[split]
            return _both_ways(_unit((voices - mean) / spread @ weights), _unit(faces - centre), speakers)

        on_validation = matched("validation")["voice to face, 2-way"].value
        if on_validation > best[0]:
            best = on_validation, matched("test")
    return {f"ridge, {name}": value for name, value in best[1].items() if "2-way" in name}


def _cepstra(waveform: np.ndarray) -> np.ndarray:
    """float32 [40]."""
    power = tf.abs(tf.signal.stft(waveform / (waveform.std() + 1e-6), 400, 160)) ** 2
    mel = tf.signal.linear_to_mel_weight_matrix(40, power.shape[-1], SAMPLE_RATE, 60.0, 7800.0)
    cepstra = tf.signal.mfccs_from_log_mel_spectrograms(tf.math.log(power @ mel + 1e-3))[:, :20].numpy()
    return np.concatenate([cepstra.mean(0), cepstra.std(0)])


def _unit(x: np.ndarray) -> np.ndarray:
    return x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-12)


if __name__ == "__main__":
    setting_flags.define()
    command.run(main)
