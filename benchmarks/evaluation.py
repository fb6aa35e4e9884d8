"""`python -m benchmarks.evaluation`: how fast voices and faces are compared, and what that means for a large split."""

import time

import numpy as np
from absl import app, flags

from s2f_tf.evaluation import matching

_CLIPS = flags.DEFINE_integer("clips", 8000, "clips of the split that is measured", lower_bound=200)
_SIZE = flags.DEFINE_integer("size", 64, "size of the embedding", lower_bound=2)
_FOR = flags.DEFINE_multi_integer("for", [10_000, 100_000, 1_000_000], "clips to say the time for", lower_bound=2)


def main(_: list[str]) -> None:
    """Times one direction of `matching.score` beside the bare matrix product on the same embeddings."""
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(2, _CLIPS.value, _SIZE.value)).astype(np.float32)
    for embeddings in (queries, gallery):
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    speakers = np.arange(_CLIPS.value) // 2
    pairs = _CLIPS.value**2
    similarity = matching.cosine(queries, gallery)
    start = time.perf_counter()
    everyone = np.arange(_CLIPS.value)
    for row in range(0, _CLIPS.value, 512):
        similarity(everyone[row : row + 512], everyone)
    product = time.perf_counter() - start
    start = time.perf_counter()
    matching.score(similarity, speakers)
    whole = time.perf_counter() - start
    print(f"{_CLIPS.value} clips, embeddings of {_SIZE.value}: {pairs / whole / 1e6:.0f} million pairs a second")
    print(f"{whole:.1f} s, {whole / product:.1f} times the bare matrix product of the same pairs ({product:.2f} s)")
    for clips in getattr(flags.FLAGS, "for"):
        compared = clips * min(clips, matching.LARGEST_GALLERY)
        print(f"{clips} clips: {whole * compared / pairs / 60:.1f} minutes a direction, in proportion to the pairs")


if __name__ == "__main__":
    app.run(main)
