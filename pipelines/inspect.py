"""`python -m pipelines.inspect clips/`: says what a corpus holds, and draws some of its clips."""

from collections.abc import Iterator

from absl import app, flags

from s2f_tf import command  # before what imports TensorFlow, which it quiets
from s2f_tf.aside import written_aside

# isort: split
from s2f_tf.data import clip
from s2f_tf.errors import UserError

from . import contact_sheet, holdings
from .holdings import Holdings

_OUT = flags.DEFINE_string("out", "contact_sheet.png", "PNG file for clips drawn at random, with their waveforms")
_CLIPS = flags.DEFINE_integer("clips", 24, "how many to draw", lower_bound=1, upper_bound=1000)
_SEED = flags.DEFINE_integer("seed", 1, "of the draw")


def main(arguments: list[str]) -> None:
    """Reads the corpus once, prints what it holds, and writes the contact sheet."""
    if len(arguments) != 1:
        raise app.UsageError(f"the folder of one corpus is expected: python -m {__package__}.inspect clips/")
    if not _OUT.value.lower().endswith(".png"):
        raise UserError(f"--out={_OUT.value} must end in .png")
    found = holdings.look(arguments[0], _CLIPS.value, _SEED.value)
    print(summary(found))
    if not found.sample:
        raise UserError(f"{arguments[0]} holds no clip that can be read: there is nothing to draw")
    try:
        with written_aside(_OUT.value) as part, open(part, "wb") as file:
            file.write(contact_sheet.draw(found.sample))
    except OSError as error:
        raise UserError(f"{_OUT.value} cannot be written: {error.strerror}") from error
    print(f"{len(found.sample)} clips drawn with seed {_SEED.value}: {_OUT.value}")


def summary(found: Holdings) -> str:
    """What a corpus holds, for a person."""
    return "\n".join(_lines(found))


def _lines(found: Holdings) -> Iterator[str]:
    told, kind = found.description, clip.kind(found.description)
    yield f"made by {told['made_by']}"
    for split in clip.SPLITS:
        speakers = told["speakers"].get(split, 0)
        yield (
            f"{split:<11}{found.clips[split]:>9,} clips{speakers:>8,} speakers"
            + (f"{found.seconds[split] / 3600:>10.2f} h" if kind.has_sound else "")
            + (f", {found.lost[split]:,} clips lost" if found.lost[split] else "")
        )
    if kind.has_sound:
        shares = {"shortest": 0, "5 %": 0.05, "half": 0.5, "95 %": 0.95, "longest": 1}
        seconds = [f"{name} {found.durations.quantile(share):.1f}" for name, share in shares.items()]
        yield f"seconds    {', '.join(seconds)}"
        level = f"half of the clips above {-found.levels.quantile(0.5):.0f} dB of full scale"
        yield f"sound      {told['audio_format']}, {level}"
    if kind.has_faces:
        yield "faces      " + ", ".join(f"{count:,} clips with {faces}" for faces, count in sorted(found.faces.items()))
        sides = ", ".join(f"{count:,} of {width} x {height}" for (width, height), count in sorted(found.sides.items()))
        yield f"pixels     {sides}; half of the files above {found.face_bytes.quantile(0.5):.1f} kB"
    for reason, count in told["dropped"].items():
        example = told.get("examples", {}).get(reason)
        yield f"dropped    {count:,} {reason}" + (f" (such as {example})" if example else "")
    if found.damaged:
        names = ", ".join(found.damaged_names) + (", ..." if found.damaged > len(found.damaged_names) else "")
        yield f"damaged    {found.damaged:,} records: {names}"
    if told.get("excluded"):
        yield f"excluded   {len(told['excluded']):,} speakers, for good"


def run() -> None:
    """The console script."""
    command.run(main, takes_arguments=True)


if __name__ == "__main__":
    run()
