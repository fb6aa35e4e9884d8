"""Writes the files that corpora are made of: stills of a public-domain portrait, and sounds of a tone."""

import av
import numpy as np
import soundfile
import videos
from PIL import Image

from s2f_tf.config import SAMPLE_RATE


def tone(seconds, hertz=220.0, rate=SAMPLE_RATE):
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def write_sound(path, waveform, rate=SAMPLE_RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = {".mp3": "mp3", ".m4a": "aac"}.get(path.suffix.lower())
    if codec is None:
        soundfile.write(path, waveform, rate)
        return
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(waveform[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def write_still(path, picture=None, **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = videos.portrait() if picture is None else picture
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path, **save)
