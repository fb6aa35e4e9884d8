"""How a stage does on the validation split while it trains: speakers from whom it does not learn."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from s2f_tf.config import Config
from s2f_tf.data import reader
from s2f_tf.data.clip import CorpusError
from s2f_tf.evaluation import distribution, matching
from s2f_tf.evaluation.run import graph
from s2f_tf.latent import z_from_seed
from s2f_tf.models import trained
from s2f_tf.training import losses

_MOST = 500  # clips: enough for a point or two, and few enough to be looked at often
_WAYS = (2, 10)


@dataclasses.dataclass(frozen=True)
class HeldOutClips:
    """The validation split in memory, its first 500 clips.

    Attributes:
        waveforms: whole utterances, float32 [S] each.
        faces: float32 [N, H, W, 3] in [-1, 1], the first of each clip.
        speakers: int64 [N].
    """

    waveforms: list[np.ndarray]
    faces: np.ndarray
    speakers: np.ndarray


def load(corpus: reader.Corpus, config: Config) -> HeldOutClips | None:
    """The clips to measure on; None, with a line that says so, where there are not two speakers to tell apart."""
    try:
        clips = list(reader.clips(corpus, "validation", config.data.face_size, limit=_MOST))
    except CorpusError as error:
        print(f"not validated, so the last weights are kept: {error}", flush=True)
        return None
    _, speakers = np.unique([clip.speaker for clip in clips], return_inverse=True)
    if speakers.max() == 0:
        print(f"not validated, so the last weights are kept: {corpus.folder} has one speaker in split 'validation'")
        return None
    return HeldOutClips([c.waveform for c in clips], np.stack([c.faces[0] for c in clips]), speakers)


class MatchingValidation:
    """Measures S and F by whole utterances and first faces.

    Args:
        config: the run's settings.
        clips: to measure on.
        teachers: folder of teachers' networks, where S or F is made of one.
    """

    def __init__(self, config: Config, clips: HeldOutClips, teachers: str | None = None) -> None:
        self.settings, self.clips = config.matching, clips
        self.encoders = [trained.make(name, config, teachers) for name in ("speech_encoder", "face_encoder")]
        self.hear = graph(self.encoders[0], [None])
        self.see = graph(self.encoders[1], clips.faces.shape[1:])

    def __call__(self, values: Sequence[np.ndarray]) -> dict[str, float]:
        """Measures the weights of S and, behind them, those of F. `k2` is the 2-way accuracy over both directions."""
        _assign([v for encoder in self.encoders for v in encoder.trainable_variables], values)
        voices = np.concatenate([self.hear(waveform[None]) for waveform in self.clips.waveforms])
        faces = self.see(self.clips.faces)
        scalars = {"loss": self._loss(voices, faces)}
        scalars |= _accuracies("voice_to_face", voices, faces, self.clips.speakers)
        scalars |= _accuracies("face_to_voice", faces, voices, self.clips.speakers)
        return scalars | {"k2": (scalars["voice_to_face_k2"] + scalars["face_to_voice_k2"]) / 2}

    def _loss(self, voices: np.ndarray, faces: np.ndarray) -> float:
        """The training loss, with galleries as large as a batch if there are so many clips."""
        size = min(self.settings.batch_size, len(faces))
        found = []
        for start in range(0, len(faces) - size + 1, size):
            rows = slice(start, start + size)
            speakers = self.clips.speakers[rows]
            for queries, gallery in ((voices[rows], faces[rows]), (faces[rows], voices[rows])):
                found.append(
                    losses.matching(queries, speakers, gallery, speakers, np.arange(size), self.settings.scale)
                )
        return float(np.mean(found))


class GenerationValidation:
    """Measures G by one face drawn from each voice: which voice F picks for it, and how near real faces they are.

    None of it may choose the weights: the Fréchet distance, in F's feature space, was lowest at step 150 of 1200 on
    people, where G drew coloured noise of which F makes nothing, and the faces of step 1200 were the best.
    """

    def __init__(self, config: Config, clips: HeldOutClips, workdir: str, *, judged: bool) -> None:
        self.clips = clips
        self.generator = trained.make("generator", config)
        self.draw = graph(self.generator, [config.generator.z_size], [config.embedding_size])
        self.z = z_from_seed(np.arange(len(clips.faces)), config.generator.z_size).numpy()
        face_shape = clips.faces.shape[1:]
        self.viewers = {}
        for prefix in ("", "judge_") if judged else ("",):
            hear = graph(trained.load_network(f"{prefix}speech_encoder", workdir), [None])
            face_encoder = trained.load_network(f"{prefix}face_encoder", workdir)
            voices = np.concatenate([hear(waveform[None]) for waveform in clips.waveforms])
            self.viewers[prefix] = voices, graph(face_encoder, face_shape)
            if not prefix:
                self.features = graph(face_encoder.body, face_shape)
        self.real_features = self.features(clips.faces)

    def __call__(self, values: Sequence[np.ndarray]) -> dict[str, float]:
        """Measures the weights of G."""
        _assign(self.generator.trainable_variables, values)
        drawn = self.draw(self.z, self.viewers[""][0])
        scalars = {"frechet": distribution.frechet(self.real_features, self.features(drawn))}
        for prefix, (voices, see) in self.viewers.items():
            scalars |= _accuracies(f"{prefix}voice_to_drawn", voices, see(drawn), self.clips.speakers)
        return scalars


def _accuracies(name: str, queries: np.ndarray, gallery: np.ndarray, speakers: np.ndarray) -> dict[str, float]:
    """K-way accuracies by name; those for which a query has too few negatives are left out."""
    ranks = matching.rank(queries @ gallery.T, speakers)
    return {
        f"{name}_k{ways}": float(matching.win_probability(ranks, ways).mean())
        for ways in _WAYS
        if ways - 1 <= ranks.negatives.min()
    }


def _assign(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
