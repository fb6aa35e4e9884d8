"""What small patches of faces look like, learnt from faces alone: features without a network, and without a label."""

import dataclasses

import numpy as np
import tensorflow as tf

from benchmarks import judges

_SIDE, _PATCH = 32, 6  # pixels of a face and of a patch
_WORDS, _ROUNDS = 128, 10  # of spherical k-means
_SEEN = 160_000  # patches that it learns from
_THRESHOLD = 0.5
_CELLS = 6  # a side, in which words are counted
_TOGETHER = 100


@dataclasses.dataclass(frozen=True)
class Patches:
    """Whitened patches against a dictionary of words, counted in cells, then whitened (Coates and Ng 2012, section 3).

    Attributes:
        centre, white: what a patch is brought to one size in all directions by, float32 [D] and [D, D].
        words: float32 [W, D], of length 1.
        middle, axes: the same for a face's counts, float32 [C] and [C, K].
    """

    centre: np.ndarray
    white: np.ndarray
    words: np.ndarray
    middle: np.ndarray
    axes: np.ndarray

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        """Faces, float32 [N, H, W, 3] in [-1, 1], to float32 [N, K]: the mean of a face and its mirror image."""
        small = _small(faces)
        counts = (self.counts(small) + self.counts(small[:, :, ::-1])) / 2
        return (counts - self.middle) @ self.axes

    def counts(self, small: np.ndarray) -> np.ndarray:
        """Of faces of 32 pixels, how much of each word or of its negative is in each cell: float32 [N, C]."""
        rows, edges = [], np.linspace(0, _SIDE - _PATCH + 1, _CELLS + 1).astype(int)[:-1]
        for start in range(0, len(small), _TOGETHER):
            patches = _windows(small[start : start + _TOGETHER])
            patches = _contrast(patches.reshape(*patches.shape[:3], -1))
            said = (patches - self.centre) @ (self.white @ self.words.T)
            both = np.concatenate([np.maximum(said - _THRESHOLD, 0), np.maximum(-said - _THRESHOLD, 0)], axis=-1)
            cells = np.add.reduceat(np.add.reduceat(both, edges, axis=1), edges, axis=2)
            rows.append(cells.reshape(len(cells), -1) * (_CELLS / both.shape[1]) ** 2)
        return np.sqrt(np.concatenate(rows) + 1e-4)


def learn(faces: np.ndarray, numbers: int = 512) -> Patches:
    """Learns words, and the directions in which faces differ most, from float32 [N, H, W, 3] in [-1, 1]."""
    rng, small = np.random.default_rng(0), _small(faces)
    each = -(-_SEEN // len(small))
    places = rng.integers(0, _SIDE - _PATCH + 1, (len(small), each, 2))
    found = _windows(small)[np.arange(len(small))[:, None], places[..., 0], places[..., 1]]
    patches = _contrast(found.reshape(len(small) * each, -1))
    centre = patches.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(patches.T))
    white = ((vectors / np.sqrt(values + 0.1)) @ vectors.T).astype(np.float32)
    patches = (patches - centre) @ white
    words = judges.unit(patches[rng.choice(len(patches), _WORDS, replace=False)])
    for _ in range(_ROUNDS):
        said = patches @ words.T
        nearest = np.abs(said).argmax(axis=1)
        total = 1e-3 * rng.normal(size=words.shape).astype(np.float32)  # so that a word without a patch is one
        np.add.at(total, nearest, patches * said[np.arange(len(said)), nearest][:, None])
        words = judges.unit(total)
    unwhitened = Patches(centre, white, words, np.zeros(1), np.zeros(1))
    counts = unwhitened.counts(small)
    middle = counts.mean(axis=0)
    return dataclasses.replace(unwhitened, middle=middle, axes=_axes(counts - middle, numbers))


def _axes(x: np.ndarray, numbers: int) -> np.ndarray:
    """The directions in which rows differ most (Halko et al. 2011, algorithm 4.4), each brought to one size."""
    numbers = min(numbers, *x.shape)
    basis = x @ np.random.default_rng(1).normal(size=(x.shape[1], numbers + 60)).astype(np.float32)
    for _ in range(2):
        basis = x @ (x.T @ np.linalg.qr(basis)[0])
    _, sizes, directions = np.linalg.svd(np.linalg.qr(basis)[0].T @ x, full_matrices=False)
    return directions[:numbers].T / (sizes[:numbers] / np.sqrt(len(x)))


def _small(faces: np.ndarray) -> np.ndarray:
    return tf.image.resize(faces, (_SIDE, _SIDE), antialias=True).numpy()


def _windows(small: np.ndarray) -> np.ndarray:
    """Every patch of each face, as a view of them: [N, 27, 27, 3, 6, 6]."""
    return np.lib.stride_tricks.sliding_window_view(small, (_PATCH, _PATCH), axis=(1, 2))


def _contrast(patches: np.ndarray) -> np.ndarray:
    """Patches of no mean, and of one spread unless there is hardly any."""
    mean = patches.mean(axis=-1, keepdims=True)
    return (patches - mean) / np.sqrt(patches.var(axis=-1, keepdims=True) + 0.01)
