"""Synthetic speakers: the corpus that comes with the software, whose true factors are known.

A speaker is a set of factors. The shared ones shape both the voice and the face, so they are what a voice can tell of a
face. The others shape one of the two alone. Skin, hair colour, eyes and the like are never linked to the voice: a
model trained on such a link would learn that the colour of a skin can be heard, which is false and harmful; and they
are the control of the experiment, since in a generated face they must follow z and not the voice.

A clip depends on the seed, its speaker and its own number alone, so that workers can make clips in any order.
"""

import concurrent.futures
import dataclasses
import io
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from s2f_tf.config import SyntheticConfig
from s2f_tf.data import clip as clips
from s2f_tf.data.clip import Clip, CorpusError
from s2f_tf.data.synthetic_face import draw
from s2f_tf.data.synthetic_voice import speak
from s2f_tf.progress import Progress

_SHARDS = {"train": 8, "validation": 1, "test": 1}
_CLIPS_PER_WORKER = 150  # fewer are made sooner than another process starts
_REALISATION = 0.08  # standard deviation of an utterance's shared factors about the speaker's
_JPEG_QUALITY = 95


@dataclasses.dataclass(frozen=True)
class Factor:
    """What a speaker, an utterance or a photograph is like, in one number drawn uniformly from [low, high].

    Attributes:
        name: its name in `Clip.factors`.
        shapes: "both", "face" or "voice".
        level: what it is drawn for: each "speaker", each "utterance" or each "photo".
        low: least value.
        high: greatest value.
        doc: what it does, from low to high.
        share: of a factor that is a yes or a no, 1 or 0: how often it is 1. None for all others.
    """

    name: str
    shapes: str
    level: str
    low: float
    high: float
    doc: str
    share: float | None = None

    def draw(self, rng: np.random.Generator) -> float:
        """A value drawn at random."""
        value = rng.uniform(self.low, self.high)
        return value if self.share is None else float(value < self.share)


FACTORS: tuple[Factor, ...] = (
    Factor(
        "pitch", "both", "speaker", -1, 1, "85 to 260 Hz; full beard, thick brows and neck to none, thin and slender"
    ),
    Factor("tract", "both", "speaker", -1, 1, "long to short vocal tract (low to high formants); long to round head"),
    Factor(
        "age", "both", "speaker", -1, 1, "steady and clear to hoarse, trembling, slow; brown and smooth to grey, lined"
    ),
    Factor("fullness", "both", "speaker", -1, 1, "bright to dark timbre; narrow to wide cheeks and jaw"),
    Factor("nasality", "both", "speaker", -1, 1, "oral to nasal timbre; small to large nose"),
    Factor("articulation", "both", "speaker", -1, 1, "mumbled to over-clear vowels; small thin to wide full mouth"),
    Factor("skin", "face", "speaker", -1, 1, "light to dark"),
    Factor("hair_colour", "face", "speaker", -1, 1, "black over brown and red to blond"),
    Factor("hair_length", "face", "speaker", -1, 1, "cropped to below the shoulders"),
    Factor("parting", "face", "speaker", -1, 1, "hair swept to one side or the other"),
    Factor("eye_colour", "face", "speaker", -1, 1, "brown over hazel and green to blue"),
    Factor("glasses", "face", "speaker", 0, 1, "wears none to wears them", share=0.35),
    Factor("pose", "face", "photo", -1, 1, "turned to the left to turned to the right"),
    Factor("light", "face", "photo", -1, 1, "lit from the right to lit from the left"),
    Factor("smile", "face", "photo", -1, 1, "corners of the mouth down to up"),
    Factor("background", "face", "photo", -1, 1, "its colour"),
    Factor("clothes", "face", "photo", -1, 1, "their colour"),
    Factor("rate", "voice", "utterance", -1, 1, "slow to fast"),
    Factor("snr", "voice", "utterance", 25, 45, "level of the voice over the noise, in dB"),
    Factor("channel", "voice", "utterance", -1, 1, "slope of the microphone's response, in dB an octave"),
    Factor("loudness", "voice", "utterance", -4, 4, "level in dB about the mean"),
)
SHARED = tuple(factor.name for factor in FACTORS if factor.shapes == "both")


def speaker_factors(seed: int, speaker: int) -> dict[str, float]:
    """The factors of a speaker, of level "speaker", independent of one another."""
    return _drawn("speaker", np.random.default_rng([seed, speaker]))


def make_clip(config: SyntheticConfig, face_size: int, seed: int, speaker: int, clip: int) -> Clip:
    """Clip number `clip` of speaker number `speaker`, with its factors.

    Recorded by plain name are the speaker's factors and the utterance's; as `voice/<name>` the shared factors as this
    utterance realises them, which vary about the speaker's; as `<name>/<k>` those of the k-th photograph.
    """
    rng = np.random.default_rng([seed, speaker, clip + 1])  # default_rng([seed, speaker, 0]) is the speaker's own
    of_speaker = speaker_factors(seed, speaker)
    of_utterance = _drawn("utterance", rng)
    realised = {name: of_speaker[name] + rng.normal(0.0, _REALISATION) for name in SHARED}
    waveform = speak(realised | of_utterance, rng, config.seconds * rng.uniform(0.85, 1.15))
    photos = [_drawn("photo", rng) for _ in range(config.faces_per_clip)]
    return Clip(
        id=f"{_name(speaker)}-c{clip:02d}",
        speaker=_name(speaker),
        waveform=waveform,
        faces=tuple(_jpeg(draw(of_speaker | photo, face_size)) for photo in photos),
        factors=of_speaker
        | {f"voice/{name}": value for name, value in realised.items()}
        | of_utterance
        | {f"{name}/{k}": value for k, photo in enumerate(photos) for name, value in photo.items()},
    )


def speak_again(factors: Mapping[str, float], rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Another utterance in the voice of a clip, whose `Clip.factors` are given: float32 [S] in [-1, 1] at 16 kHz."""
    return speak({**factors, **{name: factors[f"voice/{name}"] for name in SHARED}}, rng, seconds)


def write_corpus(
    config: SyntheticConfig, face_size: int, seed: int, folder: str, audio_format: str, workers: int | None = None
) -> None:
    """Writes the shards and, last, `corpus.json` to `folder`; a corpus that is already there and the same is kept.

    Args:
        config: how many speakers, clips and faces.
        face_size: height and width of a face in pixels.
        seed: decides every draw.
        folder: made where it does not exist. What an interrupted run has left there is written again.
        audio_format: one of `config.AUDIO_FORMATS`.
        workers: processes; None takes as many as there are cores and work for. It does not change what is written.

    Raises:
        CorpusError: `folder` holds another corpus, or a split would be without speakers.
    """
    speakers = {split: [s for s in range(config.speakers) if clips.split_of(_name(s)) == split] for split in _SHARDS}
    description = {
        "made_by": f"s2f_tf.data.synthetic.write_corpus, seed {seed}",
        "settings": {"seed": seed, **dataclasses.asdict(config)},
        "audio_format": audio_format,
        "face_size": face_size,
        "clips": {split: len(members) * config.clips_per_speaker for split, members in speakers.items()},
        "speakers": {split: len(members) for split, members in speakers.items()},
        "dropped": {},
    }
    if os.path.exists(os.path.join(folder, "corpus.json")):
        _check_same(clips.read_description(folder), description, folder)
        return
    for split, members in speakers.items():
        if not members:
            raise CorpusError(
                f"{config.speakers} synthetic speakers leave none for the split '{split}': "
                f"ask for at least {_fewest_speakers()}"
            )
    os.makedirs(folder, exist_ok=True)
    shards = [
        _Shard(config, face_size, seed, folder, audio_format, split, index, tuple(speakers[split][index::count]))
        for split, count in _SHARDS.items()
        for index in range(count)
    ]
    total = sum(description["clips"].values())
    _write_shards(shards, total, workers or min(_cores(), len(shards), total // _CLIPS_PER_WORKER + 1))
    clips.write_description(folder, description)


@dataclasses.dataclass(frozen=True)
class _Shard:
    """All that a worker has to know to write one shard."""

    config: SyntheticConfig
    face_size: int
    seed: int
    folder: str
    audio_format: str
    split: str
    index: int
    speakers: tuple[int, ...]

    def clips(self) -> Iterator[Clip]:
        for speaker in self.speakers:
            for clip in range(self.config.clips_per_speaker):
                yield make_clip(self.config, self.face_size, self.seed, speaker, clip)


def _write_shards(shards: Sequence[_Shard], total: int, workers: int) -> None:
    """Writes every shard, in this process or in several, and shows how far it is."""
    with Progress(total, "clip", stage="synthetic speakers") as progress:
        if workers == 1:
            for shard in shards:
                _write_shard(shard, progress.add)
            return
        # Not forked: TensorFlow's threads, which the parent may have started, do not survive a fork.
        context = multiprocessing.get_context("spawn")
        done = context.Value("l", 0)
        with concurrent.futures.ProcessPoolExecutor(workers, context, _start_worker, (done,)) as pool:
            waiting = {pool.submit(_write_shard_in_worker, shard) for shard in shards}
            try:
                while waiting:
                    finished, waiting = concurrent.futures.wait(waiting, 0.5, concurrent.futures.FIRST_EXCEPTION)
                    for future in finished:
                        future.result()
                    progress.update(done.value)
            except BaseException:  # an interrupt too: shards that are not begun need not be waited for
                pool.shutdown(cancel_futures=True)
                raise


def _write_shard(shard: _Shard, tick: Any) -> None:
    def ticking() -> Iterator[Clip]:
        for clip in shard.clips():
            yield clip
            tick()

    clips.write_shard(shard.folder, shard.split, shard.index, _SHARDS[shard.split], ticking(), shard.audio_format)


def _start_worker(done: Any) -> None:
    global _clips_done
    _clips_done = done


def _write_shard_in_worker(shard: _Shard) -> None:
    def tick() -> None:
        with _clips_done.get_lock():
            _clips_done.value += 1

    _write_shard(shard, tick)


def _check_same(found: Mapping[str, Any], wanted: Mapping[str, Any], folder: str) -> None:
    """Raises `CorpusError`, naming what differs, where a corpus was not made with the settings that are wanted."""
    found, wanted = ({**whole, **whole.get("settings", {})} for whole in (found, wanted))
    different = [
        field for field in wanted if field not in ("made_by", "settings") and found.get(field) != wanted[field]
    ]
    if different:
        named = ", ".join(f"{field} is {found.get(field)!r}, not {wanted[field]!r}" for field in different)
        raise CorpusError(f"{folder} holds another corpus, whose {named}: remove it or name another folder")


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _fewest_speakers() -> int:
    """The fewest speakers of which every split gets one."""
    missing, speakers = set(_SHARDS), 0
    while missing:
        missing.discard(clips.split_of(_name(speakers)))
        speakers += 1
    return speakers


def _drawn(level: str, rng: np.random.Generator) -> dict[str, float]:
    """Values for the factors of a level."""
    return {factor.name: factor.draw(rng) for factor in FACTORS if factor.level == level}


def _name(speaker: int) -> str:
    return f"s{speaker:05d}"


def _jpeg(face: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(face).save(file, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return file.getvalue()
