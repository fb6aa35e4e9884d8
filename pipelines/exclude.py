"""`python -m pipelines.exclude --corpus=clips/ --speaker=ID`: deletes speakers from a corpus, for good."""

from absl import flags

from s2f_tf import command  # before what imports TensorFlow, which it quiets

with command.extra("pipelines"):
    from . import exclusion, splits

_CORPUS = flags.DEFINE_string("corpus", None, "folder with a corpus.json", required=True)
_SPEAKER = flags.DEFINE_multi_string(
    "speaker",
    None,
    "who is to go, as the corpus calls them, or @FILE with one a line; may be given again",
    required=True,
)


def main() -> None:
    """Deletes them, and says how many clips went."""
    done = exclusion.delete(_CORPUS.value, exclusion.read_speakers(_SPEAKER.value))
    for speaker, count in done.clips.items():
        print(f"{speaker}: {count:,} clips deleted" + ("" if count else ", as all were before"))
    if done.others:
        print(f"{done.others:,} clips deleted of speakers who were excluded before")
    if done.damaged:
        print(f"{done.damaged:,} damaged records or ends of shards deleted: nobody can tell whose they were")
    print(f"{done.rewritten:,} shards rewritten; {len(done.description['excluded']):,} speakers are excluded")
    for split, fewest in splits.FEWEST.items():
        if done.description["speakers"][split] < fewest:
            print(
                f"split '{split}' is left with {done.description['speakers'][split]} speakers, and {fewest} are needed"
            )


def run() -> None:
    """The console script."""
    command.run(main)


if __name__ == "__main__":
    run()
