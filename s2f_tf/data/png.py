"""Generated faces as PNG files that say what they are."""

import struct
import zlib

import tensorflow as tf

import s2f_tf

TEXT = {"Software": f"s2f_tf {s2f_tf.__version__}", "Comment": "synthetic face generated from speech"}

_HEADER_BYTES = 33  # signature and IHDR, after which other chunks may stand


def encode_png(image: tf.Tensor) -> tf.Tensor:
    """A graph op: uint8 [H, W, 3] to a PNG file, a string scalar, with the text chunks of `TEXT`.

    So a generated face can always be told from a photograph.
    """
    png = tf.io.encode_png(image)
    chunks = b"".join(_text_chunk(key, value) for key, value in TEXT.items())
    return tf.strings.join(
        [tf.strings.substr(png, 0, _HEADER_BYTES), chunks, tf.strings.substr(png, _HEADER_BYTES, -1)]
    )


def _text_chunk(key: str, value: str) -> bytes:
    data = b"tEXt" + key.encode("latin-1") + b"\0" + value.encode("latin-1")
    return struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
