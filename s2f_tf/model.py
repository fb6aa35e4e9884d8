"""A trained model as a program calls it: paths or arrays in, arrays out, by the graph that is exported."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from s2f_tf import live
from s2f_tf.config import MIN_SECONDS, SAMPLE_RATE
from s2f_tf.data import audio
from s2f_tf.data.audio import Sound
from s2f_tf.latent import mean_embedding
from s2f_tf.portrait import Picture, encode_face, encode_faces
from s2f_tf.saved_model import Signatures


class Model:
    """What `s2f_tf.load` returns.

    A voice is the path of a sound file, or a waveform, float [S] in [-1, 1], mono, or [S, C]. A file says its rate;
    that of a waveform must be given, in samples a second: `embed(waveform, rate=44_100)`. Either must last
    `config.MIN_SECONDS` and hold a voice: `SoundError` otherwise; with `any_sound`, hum, noise and music are taken as
    well. What is longer than `config.MAX_SECONDS` is heard in pieces, one after another, and each counts by how much
    voice it holds.

    A picture is a photograph of one person: the path of a file of any of `photograph.FORMATS`, its bytes, or uint8
    [H, W, 3]. The face is found, turned upright and aligned, as the page and the pipelines do it, which takes the extra
    `pipelines`: `MissingExtraError` otherwise, and `PictureError` where there is no face, or several. With `aligned`, a
    picture is an aligned face already, as those of clips and the drawn ones are, and is taken as it is: a square, in a
    JPEG or PNG file.
    """

    def __init__(self, workdir: str) -> None:
        signatures = Signatures(workdir)
        self.config = signatures.config
        endpoints = signatures.endpoints()
        self._embed_speech, self._embed_face = endpoints["embed_speech"], endpoints["embed_face"]
        self._draw = tf.function(signatures.draw, autograph=False)
        voice, pictures = tf.TensorSpec([self.config.embedding_size], tf.float32), tf.TensorSpec([None], tf.string)
        self._match = tf.function(signatures.match, autograph=False, input_signature=[voice, pictures])

    def draw(
        self, voice: Sound, faces: int = 6, seed: int = 1, any_sound: bool = False, *, rate: int | None = None
    ) -> np.ndarray:
        """Faces that could belong to a voice, uint8 [faces, H, W, 3]: one for each of the seeds from `seed` upwards.

        The voice is listened to once, and each face depends on it and its own seed alone.
        """
        _require_faces(faces)
        return self._faces(self.embed(voice, any_sound, rate=rate), faces, seed)

    def draw_growing(
        self, voice: Sound, faces: int = 6, seed: int = 1, any_sound: bool = False, *, rate: int | None = None
    ) -> tuple[np.ndarray, list[float]]:
        """How faces come about: what `draw` gives of the first 0.5, 1, 2, 4 ... s of a sound, and of all of it.

        Beginnings without a voice are left out. The sound is held whole.

        Returns:
            uint8 [faces, T, H, W, 3], and the T lengths, in seconds.
        """
        _require_faces(faces)
        waveform, whole = audio.read_sound(voice, rate), self.embed(voice, any_sound, rate=rate)
        seconds, columns = [], []
        length = round(MIN_SECONDS * SAMPLE_RATE)
        while length < len(waveform):
            with contextlib.suppress(audio.NoVoiceError, audio.SilentError):
                columns.append(self._faces(self.embed(waveform[:length], any_sound, rate=SAMPLE_RATE), faces, seed))
                seconds.append(length / SAMPLE_RATE)
            length *= 2
        columns.append(self._faces(whole, faces, seed))
        return np.stack(columns, axis=1), [*seconds, len(waveform) / SAMPLE_RATE]

    def listen(
        self, blocks: Iterable[np.ndarray], rate: int, faces: int = 6, seed: int = 1
    ) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
        """Faces that come about while somebody speaks. Memory is bounded, however long that lasts.

        Args:
            blocks: float [n] in [-1, 1], mono, or [n, C], of any n, as they come; with their end the sound ends.
            rate: of the blocks, in Hz.
            faces: how many.
            seed: of the first face; each further face takes the next.

        Yields:
            What `draw` and `embed` would give of all that was heard so far, uint8 [faces, H, W, 3] and float32 [E], all
            but the same (see `live.embeddings`), and how much that is, in seconds of sound: after about each second in
            which there was voice, and at the end. Nothing where there is no voice, or less than `config.MIN_SECONDS`.

        Raises:
            SoundError: where a block is not what is said above.
        """
        _require_faces(faces)
        for embedding, seconds in live.embeddings(blocks, rate, self._hear):
            yield self._faces(embedding, faces, seed), embedding, seconds

    def embed(self, voice: Sound, any_sound: bool = False, *, rate: int | None = None) -> np.ndarray:
        """What the model hears of a voice, float32 [E], of unit length."""
        pieces = audio.encode_voice(voice, any_sound, rate=rate)
        return mean_embedding((self._hear(wav), weight) for wav, weight in pieces)

    def embed_face(self, picture: Picture, *, aligned: bool = False) -> np.ndarray:
        """What it sees of a face, float32 [E], of unit length."""
        return self._embed_face(tf.constant([encode_face(picture, aligned)]))["embedding"][0].numpy()

    def match(
        self,
        voice: Sound,
        pictures: Sequence[Picture],
        any_sound: bool = False,
        *,
        rate: int | None = None,
        aligned: bool = False,
    ) -> np.ndarray:
        """How likely each of these faces is that of the voice, given that one of them is: float32 [N], of sum 1."""
        embedding = tf.constant(self.embed(voice, any_sound, rate=rate))
        return self._match(embedding, tf.constant(encode_faces(pictures, aligned), tf.string)).numpy()

    def _hear(self, wav: bytes) -> np.ndarray:
        return self._embed_speech(tf.constant([wav]))["embedding"][0].numpy()

    def _faces(self, embedding: np.ndarray, faces: int, seed: int) -> np.ndarray:
        c = tf.constant(embedding)
        return np.stack([self._draw(c, tf.constant(seed + i, tf.int64)).numpy() for i in range(faces)])


def _require_faces(faces: int) -> None:
    if faces < 1:
        raise ValueError(f"faces must be at least 1, not {faces}")
