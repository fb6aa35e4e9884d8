"""Makes videos of a public-domain portrait that speaks: of any container, codec, rate and turn, and broken ones."""

import fractions
import functools
from collections.abc import Sequence

import av
import cv2
import numpy as np
from skimage import data

from pipelines.extract import Settings
from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import synthetic, synthetic_voice

CODECS = {  # of pictures and of sound, by suffix
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "pcm_s16le"),
    ".mkv": ("libx264", "libopus"),
    ".webm": ("libvpx", "libopus"),
    ".avi": ("mpeg4", "libmp3lame"),
    ".mpg": ("mpeg2video", "mp2"),
    ".flv": ("flv", "libmp3lame"),
}
WIDTH, HEIGHT = 320, 240
SECONDS = 1.6  # of each video of the forty
SETTINGS = Settings(face_size=48, faces_per_clip=2, max_seconds=10.0, audio_format="wav")  # for clips of them
FLAGS = ("--face_size=48", "--faces_per_clip=2", "--max_seconds=10", "--audio_format=wav")  # of the command

_astronaut = functools.cache(data.astronaut)  # which decodes its file at every call


@functools.cache
def voice(seed: int, seconds: float) -> np.ndarray:
    """Babble in the voice of a speaker, float32 [S], 16 kHz."""
    rng = np.random.default_rng(seed)
    names = (*synthetic.SHARED, "rate", "channel")
    factors = {name: float(rng.uniform(-0.6, 0.6)) for name in names} | {"snr": 35.0, "loudness": 0.0}
    return synthetic_voice.speak(factors, rng, seconds)


def portrait(shift: float = 0.0, zoom: float = 1.0, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """The head and shoulders of the astronaut, moved to the side by so many pixels: uint8 [height, width, 3].

    The face is about 0.3 times as wide as the picture is high, times `zoom`.
    """
    scale = zoom * height / 300
    centre = np.array([224.0, 140.0])
    matrix = np.array([[scale, 0, width / 2 - scale * centre[0] + shift], [0, scale, height / 2 - scale * centre[1]]])
    flags = {"flags": cv2.INTER_AREA, "borderMode": cv2.BORDER_REPLICATE}
    return cv2.warpAffine(_astronaut(), matrix, (width, height), **flags)


def scene(seed: int, frames: int) -> list[np.ndarray]:
    """The portrait, a little different for each seed, moving slowly."""
    zoom = 1.0 + 0.05 * (seed % 5)
    return [portrait(shift=12 * np.sin(seed + index / 7), zoom=zoom) for index in range(frames)]


def two_faces(frames: int) -> list[np.ndarray]:
    """The portrait twice, side by side."""
    return [np.hstack([portrait(width=WIDTH // 2), portrait(width=WIDTH // 2)[:, ::-1]])] * frames


def landscape(seed: int, frames: int) -> list[np.ndarray]:
    """Smooth noise, without a face."""
    noise = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return [cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)] * frames


def write(
    path,
    pictures: Sequence[np.ndarray] | None,
    sounds: Sequence[tuple[float, np.ndarray]] = (),
    *,
    rate: float = 10.0,
    times: Sequence[float] | None = None,
    degrees: int = 0,
    aspect: int = 1,
    default: int | None = None,
) -> None:
    """Writes a video.

    Args:
        path: its suffix chooses container and codecs.
        pictures: uint8 [H, W, 3] each, or None.
        sounds: for each track, the time at which it begins in seconds and its waveform, float32 [S] at 16 kHz.
        rate: pictures a second.
        times: of each picture in seconds, where they do not come at that rate.
        degrees: by which a player turns it, anticlockwise; the pictures are stored turned the other way.
        aspect: how many times as wide as high a pixel is.
        default: number of the sound track that is marked as the one to play.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    of_pictures, of_sound = CODECS[path.suffix]
    with av.open(str(path), "w") as container:
        packets = []
        if pictures is not None:
            stored = [np.ascontiguousarray(np.rot90(picture, -degrees // 90)) for picture in pictures]
            stream = container.add_stream(of_pictures, rate=fractions.Fraction(rate).limit_denominator(1001))
            stream.height, stream.width = stored[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.gop_size = 12
            stream.codec_context.bit_rate = 1_500_000
            if of_pictures == "libx264":
                stream.options = {"preset": "ultrafast", "crf": "18"}
            if of_pictures == "libvpx":
                stream.options = {"deadline": "realtime", "cpu-used": "8"}
            if path.suffix == ".avi":
                stream.codec_context.max_b_frames = 0
            if times is not None:
                stream.codec_context.time_base = fractions.Fraction(1, 1000)
            stream.codec_context.sample_aspect_ratio = fractions.Fraction(aspect)
            if degrees:
                stream.set_display_rotation(degrees)
        tracks = []
        for number in range(len(sounds)):
            track = container.add_stream(of_sound, rate=48_000 if of_sound == "libopus" else 44_100)
            track.layout = "mono"
            if default is not None:
                track.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
            tracks.append(track)
        if pictures is not None:
            for index, picture in enumerate(stored):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.time_base = fractions.Fraction(1, 1000)
                frame.pts = round(1000 * (index / rate if times is None else times[index]))
                if times is None:
                    frame.time_base, frame.pts = 1 / stream.codec_context.framerate, index
                packets += stream.encode(frame)
            packets += stream.encode(None)
        for track, (start, waveform) in zip(tracks, sounds, strict=True):
            packets += _sound(track, start, waveform)
        for packet in sorted(packets, key=lambda packet: float((packet.dts or 0) * packet.time_base)):
            container.mux(packet)


def _sound(track: av.AudioStream, start: float, waveform: np.ndarray) -> list[av.Packet]:
    frame = av.AudioFrame.from_ndarray(waveform[None].astype(np.float32), format="fltp", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    resampler = av.AudioResampler(track.codec_context.format.name, "mono", track.rate, track.codec_context.frame_size)
    packets, samples = [], 0
    for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
        resampled.time_base = fractions.Fraction(1, track.rate)
        resampled.pts = round(start * track.rate) + samples
        samples += resampled.samples
        packets += track.encode(resampled)
    return packets + track.encode(None)
