"""`python -m serving.client --live`: faces that come about while a voice comes through a pipe."""

import contextlib
import os
import signal
import sys
import types
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from s2f_tf import live, pictures
from s2f_tf.data.audio import NoVoiceError
from s2f_tf.data.pipe import PipedSound

if TYPE_CHECKING:
    from .client import Client


def show(client: "Client", rate: int | None, channels: int | None, seeds: Sequence[int], out: str, strip: bool) -> None:
    """Draws what standard input holds, anew after each second of voice, and says on stderr what was heard.

    Memory is bounded, however long the sound is. It ends with the input, or by Ctrl-C or SIGTERM.

    Args:
        client: of the server that hears and draws.
        rate: see `PipedSound`.
        channels: see `PipedSound`.
        seeds: of the faces.
        out: path of the PNG file, which is whole whenever it is looked at.
        strip: whether one picture is written at the end instead: a row for each face, a column after the first second
            of voice, after times that double, and for the whole.

    Raises:
        SoundError: where standard input holds no sound.
        NoVoiceError: at the end, where it holds no voice.
        ServerError: where the server does not answer.
        UserError: where the picture cannot be written.
    """
    columns: list[tuple[float, np.ndarray]] = []
    with _ended_by_signals(sys.stdin.fileno()) as signals:
        sound = PipedSound(sys.stdin.buffer, "standard input", rate, channels)
        _say(f"standard input: {sound.channels} x {sound.rate} Hz; its end or Ctrl-C ends it")
        for embedding, seconds in live.embeddings(sound, sound.rate, client.embed_speech):
            faces = client.draw_embedding(embedding, seeds)
            if len(columns) > 1 and columns[-1][0] < 2 * columns[-2][0]:
                columns.pop()
            columns.append((seconds, faces))
            if not strip:
                pictures.save_png(pictures.near_square(faces), out)
            _say(f"{seconds:.1f} s heard")
        if signals:
            _say("ended by a signal")
        elif sound.missing:
            _say(f"standard input broke off: {sound.missing} bytes are missing")
    if not columns:
        raise NoVoiceError(
            "standard input holds no voice: hum, noise, music or silence alone, or less than half a second"
        )
    if strip:
        pictures.save_png(pictures.grid(np.stack([faces for _, faces in columns], axis=1)), out)
        _say(pictures.columns_after([seconds for seconds, _ in columns]))


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _ended_by_signals(descriptor: int) -> Iterator[list[int]]:
    """Inside, the first Ctrl-C or SIGTERM is the end of a file that is read; what is done meanwhile is done to its end.

    The second is what it always is.

    Yields:
        The signals that came so far.
    """
    came: list[int] = []

    def end(number: int, _: types.FrameType | None) -> None:
        came.append(number)
        signal.signal(number, before[number])
        with open(os.devnull, "rb") as nothing:  # a read that waits is tried again, and finds the end
            os.dup2(nothing.fileno(), descriptor)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
