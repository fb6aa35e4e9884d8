"""A trained model as a program calls it: paths or arrays in, arrays out, by the graph that is exported."""

import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from s2f_tf.data import audio
from s2f_tf.data.face import MAX_SIDE
from s2f_tf.errors import UserError
from s2f_tf.models import layers
from s2f_tf.saved_model import Signatures

Voice = str | os.PathLike | np.ndarray
Picture = str | os.PathLike | np.ndarray


class PictureError(UserError):
    """A picture that cannot be used; the message names it and says what is wrong."""


class Model:
    """What `s2f_tf.load` returns.

    A voice is the path of a sound file, or a waveform, float [S], mono, 16 kHz. Either must last `config.MIN_SECONDS`
    and not be silent: `SoundError` otherwise. What is longer than `config.MAX_SECONDS` is heard in equal pieces, whose
    mean embedding counts. A picture is the path of a JPEG or PNG file, or uint8 [H, W, 3], of one
    face, aligned as the model's own: `PictureError` where it is none.
    """

    def __init__(self, workdir: str) -> None:
        signatures = Signatures(workdir)
        self.config = signatures.config
        endpoints = signatures.endpoints()
        self._embed_speech, self._embed_face = endpoints["embed_speech"], endpoints["embed_face"]
        self._draw = tf.function(signatures.draw, autograph=False)
        voice, pictures = tf.TensorSpec([self.config.embedding_size], tf.float32), tf.TensorSpec([None], tf.string)
        self._match = tf.function(signatures.match, autograph=False, input_signature=[voice, pictures])

    def draw(self, voice: Voice, faces: int = 6, seed: int = 1) -> np.ndarray:
        """Faces that could belong to a voice, uint8 [faces, H, W, 3]: one for each of the seeds from `seed` upwards.

        The voice is listened to once, and each face depends on it and its own seed alone.
        """
        if faces < 1:
            raise ValueError(f"faces must be at least 1, not {faces}")
        embedding = tf.constant(self.embed(voice))
        return np.stack([self._draw(embedding, tf.constant(seed + i, tf.int64)).numpy() for i in range(faces)])

    def embed(self, voice: Voice) -> np.ndarray:
        """What the model hears of a voice, float32 [E], of unit length."""
        pieces = self._embed_speech(tf.constant(_wavs(voice)))["embedding"].numpy()
        return pieces[0] if len(pieces) == 1 else layers.unit_length(pieces.mean(axis=0)).numpy()

    def embed_face(self, picture: Picture) -> np.ndarray:
        """What it sees of a face, float32 [E], of unit length."""
        return self._embed_face(tf.constant([_encoded(picture)]))["embedding"][0].numpy()

    def match(self, voice: Voice, pictures: Sequence[Picture]) -> np.ndarray:
        """How likely each of these faces is that of the voice, given that one of them is: float32 [N], of sum 1."""
        encoded = tf.constant([_encoded(picture) for picture in pictures], tf.string)
        return self._match(tf.constant(self.embed(voice)), encoded).numpy()


def _wavs(voice: Voice) -> list[bytes]:
    if not isinstance(voice, np.ndarray):
        return audio.read_voice(os.fspath(voice))
    audio.require_voice(voice, "the waveform")
    return audio.encode_voice(voice)


def _encoded(picture: Picture) -> bytes:
    if isinstance(picture, np.ndarray):
        return tf.io.encode_png(picture).numpy()
    try:
        with open(picture, "rb") as file, Image.open(file, formats=("JPEG", "PNG")) as image:
            if max(image.size) > MAX_SIDE:
                raise PictureError(f"{picture} has {image.size} pixels: at most {MAX_SIDE} a side are allowed")
            image.load()
            file.seek(0)
            return file.read()
    except OSError as error:
        raise PictureError(f"{picture} cannot be read as JPEG or PNG: {error}") from error
