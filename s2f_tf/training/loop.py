"""The training loop: one small loop for one device, many, and many workers.

It is ours, since Keras 3's `fit` does not run under `MultiWorkerMirroredStrategy`. Keras gives the models and the
optimizers; TensorFlow the distribution, the checkpoints and the summaries.
"""

import json
import math
import os
import shutil
import signal
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from s2f_tf.aside import written_aside
from s2f_tf.config import Config, ConfigError
from s2f_tf.data import reader
from s2f_tf.errors import UserError
from s2f_tf.progress import Progress


class TrainingError(UserError):
    """Training that cannot go on: the message says where it stopped, why, and what was kept."""


class Interrupted(SystemExit):
    """Raised once a checkpoint is written after SIGINT or SIGTERM; the same command goes on from there."""


def choose_strategy() -> tf.distribute.Strategy:
    """`MultiWorkerMirroredStrategy` where `TF_CONFIG` is set, else `MirroredStrategy` over every device there is."""
    if os.environ.get("TF_CONFIG"):
        return tf.distribute.MultiWorkerMirroredStrategy()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def may_compute() -> bool:
    """Whether anything may be computed before `choose_strategy`: several workers must make their strategy first."""
    return not os.environ.get("TF_CONFIG")


def place(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """This process's number among the workers, and how many there are. Number 0, the chief, writes the files."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return 0, 1
    workers = resolver.cluster_spec().num_tasks("worker")
    if resolver.cluster_spec().as_dict().get("chief"):
        return (0 if resolver.task_type == "chief" else resolver.task_id + 1), workers + 1
    return resolver.task_id, workers


class Loop:
    """Runs a trainer's `train_step` over a corpus until its last step, from wherever it stopped before.

    What is kept in `folder`: `checkpoint-*` (the trainer's whole state, the step and the place in the corpus),
    `log.jsonl` (a line each `loop.log_every` steps: means of what `train_step` returned since the line before) and
    `tensorboard/`. A line on the standard error shows how far the stage is. A step depends on nothing but the state and
    the step's number, so a run that was interrupted in any way and started again ends with the weights of one that was
    not.

    With `best_by` what the stage leaves is not what it ends with but what did best on the validation split: it is part
    of the checkpoint, and the log says which step it is of.

    Args:
        strategy: what the trainer was made under.
        trainer: a `keras.Model` whose `train_step(batch)` returns scalars, the sums of which over replicas are means,
            whose `state()` lists every variable that a step changes, and whose `result()` lists those whose values the
            stage is run for.
        corpus: where the clips are.
        config: the run's settings.
        batch_size: of the global batch.
        steps: how many there are in all.
        folder: where the stage's files go.
        picture: called with the step each `loop.picture_every` steps and at the end; returns uint8 [H, W, 3].
        validate: called with the values of `trainer.result()` each `loop.validate_every` steps and at the end, by the
            chief alone; returns scalars for the log.
        best_by: which of those scalars is highest for the best weights; None leaves the last.
        line: what of the log stands in the line of progress, each under a short name.
        table: what of the log is printed at each look at the validation split, each under the head of its column.
        read: makes batches of the corpus, as `reader.batches` does.
    """

    def __init__(
        self,
        *,
        strategy: tf.distribute.Strategy,
        trainer: keras.Model,
        corpus: reader.Corpus,
        config: Config,
        batch_size: int,
        steps: int,
        folder: str,
        picture: Callable[[int], np.ndarray] | None = None,
        validate: Callable[[list[np.ndarray]], dict[str, float]] | None = None,
        best_by: str | None = None,
        line: Mapping[str, str] = types.MappingProxyType({}),
        table: Mapping[str, str] = types.MappingProxyType({}),
        read: Callable[..., tf.data.Dataset] = reader.batches,
    ) -> None:
        if batch_size % strategy.num_replicas_in_sync:
            raise ConfigError(
                f"{trainer.name}.batch_size must be a multiple of the {strategy.num_replicas_in_sync} replicas, "
                f"not {batch_size}"
            )
        self.strategy, self.trainer, self.corpus, self.config = strategy, trainer, corpus, config
        self.batch_size, self.steps, self.folder, self.picture = batch_size, steps, folder, picture
        self.validate, self.best_by = validate, best_by
        self.line, self.table, self.read = line, table, read
        self.worker, self.workers = place(strategy)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.position = tf.Variable(0, dtype=tf.int64, trainable=False)
        # By name, since TensorFlow's checkpoints miss layers that Keras models hold in lists, and say nothing of it.
        state = {variable.path.replace("/", "."): variable.value for variable in trainer.state()}
        assert len(state) == len(trainer.state()), "two variables of one name"
        self.best_step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best_score = tf.Variable(-np.inf, dtype=tf.float64, trainable=False)
        self.best = [tf.Variable(variable.numpy(), trainable=False) for variable in trainer.result()] if best_by else []
        self.checkpoint = tf.train.Checkpoint(
            step=self.step,
            position=self.position,
            best_step=self.best_step,
            best_score=self.best_score,
            best=self.best,
            **state,
        )
        self.manager = tf.train.CheckpointManager(self.checkpoint, folder, max_to_keep=2, checkpoint_name="checkpoint")
        self.signalled = False

    def run(self) -> list[np.ndarray]:
        """Trains to the last step, and returns the values of `trainer.result()`: the best, or else the last.

        Raises `TrainingError`, or `Interrupted` after SIGINT or SIGTERM.
        """
        self._restore()
        start = int(self.step)
        if start == self.steps:
            return self._result()
        print(f"{self.trainer.name}: " + (f"from step {start} on" if start else f"{self.steps} steps"), flush=True)
        os.makedirs(self.folder, exist_ok=True)
        self._forget_after(start)
        handlers = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            with Progress(self.steps, "step", stage=self.trainer.name, before=start) as progress:
                self._run(start, progress)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return self._result()

    def _run(self, start: int, progress: Progress) -> None:
        train_step = tf.function(
            lambda batch: self.strategy.run(self.trainer.train_step, args=(batch,)), autograph=False
        )
        every = self.config.loop
        table = Table(self.table)
        damage = reader.DamageCount(
            self.corpus, "train", self.config.seed, int(self.position), worker=self.worker, workers=self.workers
        )
        since_line: list[dict[str, Any]] = []
        writer = tf.summary.create_file_writer(os.path.join(self.folder, "tensorboard")) if self.worker == 0 else None
        batches = self._batches()
        for step in range(start + 1, self.steps + 1):
            batch = next(batches)
            since_line.append(train_step(batch))
            positions = np.concatenate([x.numpy() for x in self.strategy.experimental_local_results(batch["position"])])
            damage.add(positions)
            last = step == self.steps
            stop = self.signalled  # read once: a signal may come between saving and stopping
            save = last or stop or step % every.checkpoint_every == 0
            validate = self.validate and self.worker == 0 and (last or step % every.validate_every == 0)
            if save or validate or step % every.log_every == 0:
                means = self._means(since_line, step)
                since_line = []
                measured = self._validate(step) if validate else {}
                told = means | measured
                progress.update(step, {short: told[name] for name, short in self.line.items() if name in told})
                if validate:
                    progress.print(table.row(step, told))
                if writer:
                    self._log(writer, step, told | {"damaged_records": damage.count})
            if writer and self.picture and (last or step % every.picture_every == 0):
                with writer.as_default(step):
                    tf.summary.image("faces", self.picture(step)[None])
            if save:
                self._save(step, positions)
            progress.update(step)
            if stop and not last:
                raise Interrupted(f"stopped at step {step} of {self.steps}: the same command goes on from there")

    def _batches(self) -> Iterator[dict[str, Any]]:
        def dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
            return self.read(
                self.corpus,
                "train",
                self.config.data,
                batch_size=context.get_per_replica_batch_size(self.batch_size),
                seed=self.config.seed,
                start=int(self.position),
                worker=context.input_pipeline_id,
                workers=context.num_input_pipelines,
            )

        if self.strategy.num_replicas_in_sync == 1 and not tf.config.list_physical_devices("GPU"):
            return iter(dataset(tf.distribute.InputContext()))  # a distributed one tunes itself, for which see `reader`
        return iter(self.strategy.distribute_datasets_from_function(dataset))

    def _validate(self, step: int) -> dict[str, float]:
        """What the validation split says of this step, and which step is the best so far; that one is kept."""
        scalars = self.validate([variable.numpy() for variable in self.trainer.result()])
        measured = {f"validation_{name}": value for name, value in scalars.items()}
        if not self.best_by:
            return measured
        if scalars[self.best_by] > float(self.best_score):
            self.best_score.assign(scalars[self.best_by])
            self.best_step.assign(step)
            for kept, variable in zip(self.best, self.trainer.result(), strict=True):
                kept.assign(variable.value)
        return measured | {"best_step": int(self.best_step)}

    def _result(self) -> list[np.ndarray]:
        if not int(self.best_step):
            return [variable.numpy() for variable in self.trainer.result()]
        if self.worker == 0:
            print(f"{self.trainer.name}: kept step {int(self.best_step)}, the best on the validation split", flush=True)
        return [variable.numpy() for variable in self.best]

    def _means(self, results: list[dict[str, Any]], step: int) -> dict[str, float]:
        """Means over the steps since the last line; stops the run where one is not finite."""
        means = {}
        for name in results[0]:
            values = [float(self.strategy.reduce("SUM", result[name], axis=None)) for result in results]
            if not all(map(math.isfinite, values)):
                bad = step - len(values) + 1 + next(i for i, v in enumerate(values) if not math.isfinite(v))
                raise TrainingError(self._not_finite(name, bad))
            means[name] = float(np.mean(values))
        return means

    def _not_finite(self, name: str, step: int) -> str:
        kept = self.manager.latest_checkpoint
        return (
            f"{self.trainer.name}: {name} is not finite at step {step}; "
            + (f"the last good checkpoint is {kept}" if kept else "no checkpoint had been written yet")
            + ". A smaller learning rate, or precision=float32, is the usual cure."
        )

    def _save(self, step: int, positions: np.ndarray) -> None:
        for variable in self.trainer.trainable_variables:
            if not np.isfinite(variable.numpy()).all():
                raise TrainingError(self._not_finite(f"weight {variable.path}", step))
        self.step.assign(step)
        # The next record that no worker has read: workers take turns.
        self.position.assign(-(-(int(positions.max()) + 1) // self.workers) * self.workers)
        if self.worker != 0:
            return
        try:
            self.manager.save(checkpoint_number=step)
        except (tf.errors.OpError, OSError) as error:
            free = shutil.disk_usage(self.folder).free / 2**20
            kept = self.manager.latest_checkpoint
            raise TrainingError(
                f"{self.folder}: the checkpoint of step {step} could not be written ({free:.0f} MiB free on the disk): "
                f"{getattr(error, 'message', error)}. "
                + (f"The last good checkpoint is {kept}." if kept else "No earlier checkpoint is there.")
            ) from error

    def _restore(self) -> None:
        latest = self.manager.latest_checkpoint
        if latest:
            try:
                self.checkpoint.restore(latest).assert_existing_objects_matched()
            except (tf.errors.OpError, ValueError, IndexError, AssertionError) as error:
                raise TrainingError(f"{latest} cannot be read: {error}") from error

    def _forget_after(self, step: int) -> None:
        """Drops the lines of log.jsonl that tell of steps after the checkpoint: they are made again."""
        path = os.path.join(self.folder, "log.jsonl")
        if not os.path.exists(path) or self.worker != 0:
            return
        with open(path, encoding="utf-8") as file:
            whole = [line for line in file if line.endswith("\n")]
        with written_aside(path) as part, open(part, "w", encoding="utf-8") as file:
            file.writelines(line for line in whole if json.loads(line)["step"] <= step)

    def _log(self, writer: tf.summary.SummaryWriter, step: int, values: dict[str, float]) -> None:
        with open(os.path.join(self.folder, "log.jsonl"), "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step} | values) + "\n")
        with writer.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def _on_signal(self, number: int, frame: types.FrameType | None) -> None:
        if self.signalled:
            raise KeyboardInterrupt
        self.signalled = True


class Table:
    """Rows under heads, as they come: what is there at the first row gets a column."""

    def __init__(self, heads: Mapping[str, str]) -> None:
        self._heads = heads
        self._columns: dict[str, str] = {}

    def row(self, step: int, values: Mapping[str, float]) -> str:
        """What of one step has a column; the first time, below the heads."""
        lines = []
        if not self._columns:
            self._columns = {name: head for name, head in self._heads.items() if name in values}
            lines.append(["step", *self._columns.values()])
        cells = [values[name] for name in self._columns]
        lines.append([f"{step:,}", *(f"{cell:,}" if isinstance(cell, int) else f"{cell:.3f}" for cell in cells)])
        widths = [7, *(max(len(head), 6) for head in self._columns.values())]
        return "\n".join("  ".join(map(str.rjust, line, widths)) for line in lines)
