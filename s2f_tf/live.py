"""A voice that is still being spoken: heard about each second, in pieces, each of which is held only while it grows."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from s2f_tf.config import MIN_SECONDS, SAMPLE_RATE
from s2f_tf.data.audio import channel_weights, encode_wav, raised, resampled
from s2f_tf.data.voice import voiced_seconds
from s2f_tf.latent import EmbeddingSoFar

_SECOND = SAMPLE_RATE  # samples, after which a voice is heard anew
_PIECE = 3 * _SECOND  # samples of a piece that is full
_ENOUGH = 1 / 3  # seconds of voice; a hum or a tone that began so long ago is told from one
_MORE = 0.05  # seconds of voice; less is nothing new


def embeddings(
    blocks: Iterable[np.ndarray], rate: int, embed: Callable[[bytes], np.ndarray]
) -> Iterator[tuple[np.ndarray, float]]:
    """What is heard of a voice while it is spoken.

    The sound is cut into pieces of 3 s, which count by their seconds of voice, as those of a long sound do. The piece
    that is being heard grows by seconds, and is embedded anew with each: 2 s of sound for each second, in the mean.
    The cosine with the embedding of the whole is 1 up to 3 s, and at least 0.98 after it: of 24 synthetic voices of 4
    to 10 s, the least was 0.986. Pieces of 2 s, grown alike, had 0.977 after 3.3 s; pieces of 1 s, each embedded once,
    had 0.952 after 3 s that began between two of them.

    A piece with little voice, so far, waits for the next second: what begins may be a hum, and what is cut a word.

    Args:
        blocks: float [n] in [-1, 1], or [n, C], of any n, of one sound; with their end the sound ends.
        rate: of the blocks, in Hz.
        embed: gives the embedding, float32 [E], of unit length, of a 16-bit WAV file of 0.5 to 4 s.

    Yields:
        The embedding of all that was heard, float32 [E], of unit length, and how much that is, in seconds of sound:
        after about each second in which there was voice, and at the end. Nothing where there is no voice, or less
        than `MIN_SECONDS` of sound.

    Raises:
        SoundError: where a block is not what is said above.
    """
    closed = so_far = EmbeddingSoFar()
    piece, voice, heard, told = np.zeros(0, np.float32), 0.0, 0, 0
    for sound in _seconds(blocks, rate):
        is_last = len(sound) < _SECOND
        if len(piece) == _PIECE and not is_last:
            if so_far is closed:  # there is no voice in it, or one that has just begun
                piece = piece[-_SECOND:]
            else:
                closed, piece, voice = so_far, piece[:0], 0.0
        piece, heard = np.concatenate([piece, sound]), heard + len(sound)
        before, voice = voice, voiced_seconds(piece)
        is_new = False
        if not voice:
            so_far = closed  # what seemed to be a voice is none
        elif so_far is closed or voice > before + _MORE:
            is_new = (voice >= _ENOUGH or before > 0 or is_last) and len(piece) >= MIN_SECONDS * SAMPLE_RATE
        if is_new:
            so_far = closed.add(embed(encode_wav(raised(piece))), voice)
        if is_new or (is_last and told < heard and so_far.embedding is not None):
            told = heard
            yield so_far.embedding, heard / SAMPLE_RATE


def _seconds(blocks: Iterable[np.ndarray], rate: int) -> Iterator[np.ndarray]:
    """Sound in blocks to seconds of it, float32 [16000], mono, 16 kHz; the last is shorter, and may be empty."""
    waiting, count = [], 0
    for block in resampled(blocks, rate, "a block"):
        waiting.append(block)
        count += len(block)
        if count >= _SECOND:
            joined, whole = np.concatenate(waiting), count - count % _SECOND
            yield from map(_mixed, np.split(joined[:whole], whole // _SECOND))
            waiting, count = [joined[whole:]], count - whole
    yield _mixed(np.concatenate(waiting)) if count else np.zeros(0, np.float32)


def _mixed(channels: np.ndarray) -> np.ndarray:
    return channels @ channel_weights(channels)
