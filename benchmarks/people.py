"""`python -m benchmarks.people --corpus=clips/`: what is learnt of speakers who are kept back, beside simpler ways.

The speakers of a corpus of clips, as `pipelines.prepare` leaves it, are divided anew into folds. For each fold, the
others are trained on with `--preset` (a tenth of them are the validation split), and every clip of the fold is matched.
Every setting has a flag, as in training. It may take hours, and goes on where it was stopped.

Judges from outside (`benchmarks/judges.py`) tell of drawn faces what nothing that drew them was taught. Where the
corpus was taught (`pipelines.teach`), the teachers are among them, and their extra is needed.
"""

import json
import os
from collections.abc import Callable, Sequence

import keras
import numpy as np
from absl import flags

from benchmarks import baseline, folds, judges, linear
from s2f_tf import command, setting_flags
from s2f_tf import config as configuration
from s2f_tf.aside import written_aside
from s2f_tf.config import Config
from s2f_tf.data import reader
from s2f_tf.evaluation import copies, distribution, generation
from s2f_tf.evaluation.run import Run, embed, graph
from s2f_tf.evaluation.statistics import Figure, Resampling, figure
from s2f_tf.models import trained
from s2f_tf.training import loop, stages, validation

_CORPUS = flags.DEFINE_string("corpus", None, "folder of clips", required=True)
_OUTPUT = flags.DEFINE_string("output", "runs/people", "folder for the folds, their runs and their figures")
_PRESET = flags.DEFINE_string("preset", "people", f"settings: {', '.join(sorted(configuration.PRESETS))}")
_FACES = flags.DEFINE_multi_string(
    "faces", [], "folder of clips to learn faces from, voices or none; may be given again"
)
_VOICES = flags.DEFINE_multi_string(
    "voices", [], "folder of clips to learn voices from, faces or none; may be given again"
)
_NETWORKS = flags.DEFINE_string(
    "networks", None, "folder of teachers' networks, as pipelines.networks makes it, where a setting asks for one"
)
_FOLDS = flags.DEFINE_integer("folds", 4, "how many parts the speakers are divided into", lower_bound=2)
_MEASURED = flags.DEFINE_integer(
    "measured", 0, "how many of them are measured, from the first on; 0 is all", lower_bound=0
)
_SEEDS = flags.DEFINE_integer("seeds", 1, "how often each fold is trained on, from --seed upwards", lower_bound=1)
_SPEAKERS = flags.DEFINE_multi_integer(
    "speakers", [0], "the most speakers to train on, several for a learning curve; 0 is all", lower_bound=0
)
_GENERATION = flags.DEFINE_boolean("generation", False, "train the judge and the generator, too, and judge its faces")
_LABELS = flags.DEFINE_string(
    "labels",
    None,
    "CSV of photographs as of `benchmarks.probe`, by which sexes are told: of a taught corpus, within each, too",
)

_Z = 6  # faces drawn from each voice


def main() -> None:
    """Prints a table, a row for each number of speakers."""
    base = setting_flags.override(_PRESET.value)
    stages.require_teachers(base, _NETWORKS.value)
    alone = stages.Alone.of(base, _FACES.value, _VOICES.value)
    corpus = reader.Corpus(_CORPUS.value)
    outside = judges.Outside(corpus, _LABELS.value, _GENERATION.value)
    columns: list[str] = []
    for speakers in _SPEAKERS.value:
        found: dict[str, list[Figure]] = {}
        for fold in range(_MEASURED.value or _FOLDS.value):
            folder = os.path.join(_OUTPUT.value, f"{speakers or 'all'}-speakers-fold-{fold}-of-{_FOLDS.value}")
            folds.write(corpus, fold, _FOLDS.value, speakers, folder)
            part = reader.Corpus(folder)
            measured = [_cached(os.path.join(folder, "ridge.json"), lambda part=part: baseline.ridge(part, base))]
            if outside.taught:
                path = os.path.join(folder, f"teachers{outside.kind}.json")
                measured.append(_cached(path, lambda part=part: _by_teachers(part, outside)))
            for seed in range(base.seed, base.seed + _SEEDS.value):
                config = configuration.override(base, {"seed": seed})
                run = os.path.join(folder, f"{_PRESET.value}-{seed}")
                stages.claim(run, config)
                what = "generation" if _GENERATION.value else "matching"
                measured.append(
                    _cached(
                        os.path.join(run, f"{what}{outside.kind}.json"),
                        lambda part=part, config=config, run=run: _train_and_measure(part, config, run, outside, alone),
                    )
                )
            for figures in measured:
                for name, one in figures.items():
                    found.setdefault(name, []).append(one)
        if not columns:
            columns = list(found)
            print("speakers | " + " | ".join(columns))
            print("|".join(["---"] * (len(columns) + 1)))
        print(f"{speakers or 'all'} | " + " | ".join(folds.in_words(found[name]) for name in columns), flush=True)


def _cached(path: str, measure: Callable[[], dict[str, Figure]]) -> dict[str, Figure]:
    """What `measure` returns, kept in a file."""
    if not os.path.exists(path):
        figures = measure()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with written_aside(path) as part, open(part, "w", encoding="utf-8") as file:
            json.dump({name: f.as_dict() | {"draws": f.draws.tolist()} for name, f in figures.items()}, file)
    with open(path, encoding="utf-8") as file:
        return {name: Figure(**f | {"draws": np.array(f["draws"])}) for name, f in json.load(file).items()}


def _by_teachers(corpus: reader.Corpus, outside: judges.Outside) -> dict[str, Figure]:
    test = outside.of(corpus, "test")
    return baseline.teachers(outside.others(corpus), test, outside.females(test))


def _train_and_measure(
    corpus: reader.Corpus, config: Config, workdir: str, outside: judges.Outside, alone: stages.Alone
) -> dict[str, Figure]:
    keras.backend.clear_session()
    if _GENERATION.value:
        stages.train(config, corpus, workdir, alone, _NETWORKS.value)
        drawn_from = stages.drawn_from(config, corpus, alone)
        generated = _measure_generation(corpus, drawn_from, workdir, outside)
        return _measure_matching(corpus, config, workdir, outside) | generated
    held_out = validation.load(corpus, config)
    stages.train_matching(config, corpus, workdir, loop.choose_strategy(), held_out, alone, _NETWORKS.value)
    return _measure_matching(corpus, config, workdir, outside)


def _measure_matching(
    corpus: reader.Corpus, config: Config, workdir: str, outside: judges.Outside
) -> dict[str, Figure]:
    hear = graph(trained.load_network("speech_encoder", workdir), [None])
    size = config.data.face_size
    see = graph(trained.load_network("face_encoder", workdir), [size, size, 3])
    found = {}
    for split, limit in (("test", None), ("train", 500)):
        clips = list(reader.clips(corpus, split, size, limit=limit))
        voices = np.concatenate([hear(one.waveform[None]) for one in clips])
        faces = np.concatenate([see(one.faces[:1]) for one in clips])
        females = outside.females(outside.of(corpus, split)) if outside.kind and split == "test" else None
        found[split] = judges.both_ways(voices, faces, np.array([one.speaker for one in clips]), females)
    return found["test"] | {"training speakers, 2-way": found["train"]["voice to face, 2-way"]}


def _measure_generation(
    corpus: reader.Corpus, drawn_from: reader.Corpus, workdir: str, outside: judges.Outside
) -> dict[str, Figure]:
    """What several judges say of faces, some drawn from each voice; figures are means over them."""
    run = Run(workdir)
    seen = embed(run, corpus, "test", None, keep=10_000)
    resampling = Resampling(seen.speakers)
    training = reader.faces(drawn_from, "train", run.config.data.face_size).cache()
    real = _medians(copies.nearest(seen.first, training).distance, resampling.weights[:, resampling.group])
    each: list[dict[str, Figure]] = []
    drawn = [run.draw(run.z(np.arange(len(seen.ids)) + k * len(seen.ids)), seen.voices) for k in range(_Z)]
    for faces in drawn:
        judged, features = run.judge_see(faces)
        scored = generation.judge(seen.judge_voices, seen.judge_faces, judged, seen.speakers)["voice_to_generated"]
        near = _medians(copies.nearest(faces, training).distance, resampling.weights[:, resampling.group])
        each.append(
            {
                "judge, 2-way": scored["accuracy_k2"],
                "judge, 10-way": scored["accuracy_k10"],
                "distance to the nearest training face, drawn / real": figure(near / real),
                "KID": distribution.compare(seen.judge_features, features, seen.speakers)["kid_judge"]["generated"],
                "a face is found, drawn": figure(resampling.mean(judges.faces_found(faces).astype(float))),
            }
        )
    found = {name: folds.mean_of([figures[name] for figures in each]) for name in each[0]}
    found["a face is found, real"] = figure(resampling.mean(judges.faces_found(seen.first).astype(float)))
    return found | (_judged_by_teachers(corpus, seen.first, drawn, outside) if outside.taught else {})


def _judged_by_teachers(
    corpus: reader.Corpus, real: np.ndarray, drawn: Sequence[np.ndarray], outside: judges.Outside
) -> dict[str, Figure]:
    """What teachers say of real faces of the test split, and of some drawn from each of its voices, all of one size."""
    test, others = outside.of(corpus, "test"), outside.others(corpus)
    females = outside.females(test)
    hear, see = linear.canonical(others.voices, others.faces)
    known = list(reader.clips(corpus, "train", real.shape[1], limit=len(real)))
    told_real, told_known, *told = map(outside.see_all, (real, np.stack([one.faces[0] for one in known]), *drawn))

    def matched(faces: np.ndarray) -> dict[str, Figure]:
        found = judges.both_ways(hear(test.voices), see(faces), test.speakers, females)
        return {name: value for name, value in found.items() if name.startswith("voice to face, 2-way")}

    each = list(map(matched, told))
    found = {f"teachers, {name}, real": value for name, value in matched(told_real).items()}
    found |= {f"teachers, {name}, drawn": folds.mean_of([figures[name] for figures in each]) for name in each[0]}
    for name, faces, speakers in (
        ("drawn", np.concatenate(told), np.tile(test.speakers, len(told))),
        ("real of others", told_known, np.array([one.speaker for one in known])),
    ):
        found[f"KID of teachers, {name}"] = judges.distance(told_real, faces, test.speakers, speakers)
    return found


def _medians(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The median of [N] values under each row of weights, [R, N]: [R]."""
    order = np.argsort(values)
    below = np.cumsum(weights[:, order], axis=1)
    return values[order][(below >= below[:, -1:] / 2).argmax(axis=1)]


if __name__ == "__main__":
    setting_flags.define()
    command.run(main)
