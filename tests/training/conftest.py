import numpy as np
import pytest

from s2f_tf.models import trained
from s2f_tf.training import loop


@pytest.fixture
def trained_whole_and_stopped(tmp_path, monkeypatch):
    """Trains in two folders, in the second stopped as by a signal, and checks that both leave the same networks.

    Takes what trains in a folder, the names of the networks, and the stage and its step, with a checkpoint, to stop at.
    """

    def make(train, networks, stage, at):
        whole, stopped, save = tmp_path / "whole", tmp_path / "stopped", loop.Loop._save

        def save_and_stop(self, step, positions):
            save(self, step, positions)
            if (self.trainer.name, step) == (stage, at):
                raise loop.Interrupted("as by a signal")

        train(whole)
        with monkeypatch.context() as patch, pytest.raises(loop.Interrupted):
            patch.setattr(loop.Loop, "_save", save_and_stop)
            train(stopped)
        train(stopped)
        for name in networks:
            pair = (trained.load_network(name, str(folder)).get_weights() for folder in (whole, stopped))
            for a, b in zip(*pair, strict=True):
                np.testing.assert_array_equal(a, b)
        return whole, stopped

    return make
