"""All the figures of a trained run, and the table that a person reads."""

from typing import Any

from s2f_tf import config as configuration
from s2f_tf.data import reader
from s2f_tf.evaluation import generation, matching
from s2f_tf.models import trained


def measure(workdir: str, corpus: reader.Corpus, split: str) -> dict[str, Any]:
    """Everything `python -m s2f_tf.evaluate` prints, as a tree of plain numbers.

    `matching` and `judge` follow the protocols of `evaluation.matching` and `evaluation.generation`; `ceiling` is
    there on synthetic corpora only. Raises `WeightsError`, `ConfigError` and `CorpusError`.
    """
    config = configuration.load(workdir)
    networks = {name: trained.load_network(name, workdir) for name in trained.NETWORKS}
    encoders = networks["speech_encoder"], networks["face_encoder"]
    embedded = matching.embed(*encoders, corpus, split, config)
    judges = networks["judge_speech_encoder"], networks["judge_face_encoder"]
    judged = matching.embed(*judges, corpus, split, config)
    generated = generation.draw_one_each(networks["generator"], embedded.voices, config.generator.z_size)
    metrics = {
        "split": split,
        "clips": len(embedded.speakers),
        "speakers": len(set(embedded.speakers)),
        "matching": {
            "voice_to_face": matching.evaluate(embedded.voices, embedded.faces, embedded.speakers),
            "face_to_voice": matching.evaluate(embedded.faces, embedded.voices, embedded.speakers),
        },
        "judge": generation.judge(networks["judge_face_encoder"], judged, generated),
    }
    ceiling = matching.ceiling(embedded)
    return metrics if ceiling is None else metrics | {"ceiling": {"true_factors": ceiling}}


def table(metrics: dict[str, Any]) -> str:
    """The figures in columns: value and 95 % interval in percent, with chance in the last column."""
    lines = [f"{metrics['speakers']} speakers and {metrics['clips']} clips of split '{metrics['split']}', in percent"]
    directions = {
        name: figures for part in ("matching", "judge", "ceiling") for name, figures in metrics.get(part, {}).items()
    }
    lines.append(" " * 14 + "".join(f"{name:>24}" for name in directions) + f"{'chance':>10}")
    measures = list(dict.fromkeys(measure for figures in directions.values() for measure in figures))
    for measure in measures:
        cells = [_cell(figures.get(measure)) for figures in directions.values()]
        chance = next(figures[measure]["chance"] for figures in directions.values() if measure in figures)
        lines.append(f"{measure:<14}" + "".join(f"{cell:>24}" for cell in cells) + f"{100 * chance:>10.1f}")
    return "\n".join(lines)


def _cell(figure: dict[str, float] | None) -> str:
    if figure is None:
        return "-"
    return f"{100 * figure['value']:.1f} ({100 * figure['low']:.1f}..{100 * figure['high']:.1f})"
