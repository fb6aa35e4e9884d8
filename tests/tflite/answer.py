"""`python answer.py MODEL`: a converted model at the other end of a pipe, for the tests of the Android app.

Says the window, and the sizes of z, of an embedding and of a face. Then answers `e` and a waveform by an embedding, and
`d`, an embedding and z by a face. Numbers are big-endian, as Java reads and writes them.
"""

import struct
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main(path: str) -> None:
    interpreter = Interpreter(path)
    embed, generate = (interpreter.get_signature_runner(name) for name in ("embed_speech", "generate"))
    window = int(embed.get_input_details()["waveform"]["shape"][1])
    z_size, embedding_size = (int(generate.get_input_details()[name]["shape"][1]) for name in ("z", "embedding"))
    face_size = int(generate.get_output_details()["image"]["shape"][1])

    def numbers(count: int) -> np.ndarray:
        return np.frombuffer(sys.stdin.buffer.read(4 * count), ">f4").astype(np.float32)[None]

    answer = struct.pack(">4i", window, z_size, embedding_size, face_size)
    while True:
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()
        match sys.stdin.buffer.read(1):
            case b"e":
                answer = embed(waveform=numbers(window))["embedding"].astype(">f4").tobytes()
            case b"d":
                answer = generate(embedding=numbers(embedding_size), z=numbers(z_size))["image"].tobytes()
            case _:
                return


if __name__ == "__main__":
    main(sys.argv[1])
