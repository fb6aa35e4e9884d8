"""`python -m s2f_tf.evaluate`: how well a trained run matches and draws speakers that it has never heard."""

import os

from absl import flags

from s2f_tf import command
from s2f_tf.data import attributes, reader
from s2f_tf.errors import UserError
from s2f_tf.evaluation import report, results, summary
from s2f_tf.evaluation.run import Run

_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "trained run")
_CORPUS = flags.DEFINE_string("corpus", None, "folder of clips; by default <workdir>/corpus")
_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "the speakers to evaluate on")
_OUTPUT = flags.DEFINE_string("output", None, "folder for figures and report; by default <workdir>/evaluation")
_VERBOSE = flags.DEFINE_boolean("verbose", False, "print every table of the report as well")
_COMPARE = flags.DEFINE_boolean("compare", False, "print two evaluated runs, named after the flag, side by side")


def main(runs: list[str]) -> None:
    """Says how good a run is, and leaves every figure as JSON, PNG and HTML; or compares two evaluated runs."""
    if _COMPARE.value:
        if len(runs) != 2:
            raise UserError(f"--compare takes two work directories, not {len(runs)}")
        print(results.compare(*(os.path.join(run, "evaluation") for run in runs)))
        return
    if runs:
        raise UserError(f"unexpected argument '{runs[0]}': settings are given as --name=value")
    workdir = _WORKDIR.value
    output = _OUTPUT.value or os.path.join(workdir, "evaluation")
    corpus = reader.Corpus(_CORPUS.value or os.path.join(workdir, "corpus"))
    of_speakers = attributes.read(corpus.folder)
    run = Run(workdir)
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output={output} cannot be made: {error.strerror}") from error
    measured = summary.measure(run, corpus, _SPLIT.value, of_speakers)
    if _VERBOSE.value:
        print(report.text(measured.figures), end="\n\n")
    print(report.answers(measured.figures))
    results.save(measured.figures, output)
    print("All tables, with pictures (--verbose prints them, metrics.json has the numbers):")
    print(report.write(run, corpus, measured, output))


def run() -> None:
    """The console script."""
    command.run(main, takes_arguments=True)


if __name__ == "__main__":
    run()
