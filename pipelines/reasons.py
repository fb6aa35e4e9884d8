"""Why a file, or a part of one, is not in the corpus."""

import collections
import dataclasses
import enum
from collections.abc import Mapping


class Reason(enum.StrEnum):
    """The whole list of reasons. What each asks is said in docs/pipelines.md."""

    EXCLUDED = "excluded"  # a speaker who is not to be in the corpus
    NO_FILE = "no file"  # a list names a video that the input folder does not hold
    UNDECODABLE = "undecodable"  # not what its name says, or so damaged that nothing can be read
    CRASHED = "crashed"  # five processes ended while they read it: FFmpeg crashes on some damage, and cannot be caught
    NO_VIDEO = "no video"  # no moving pictures: sound alone, or only a cover
    NO_SOUND = "no sound"  # no sound track
    SILENT = "silent"  # never above -80 dB of full scale
    NO_VOICE = "no voice"  # sound, but no speech in it
    TOO_SHORT = "too short"  # speech of less than a second
    NO_PICTURE = "no picture"  # while it is spoken: the pictures begin later, end earlier or are damaged
    NO_FACE = "no face"
    SEVERAL_FACES = "several faces"  # two or more of about the same size: nobody says who speaks
    FACE_NOT_FOLLOWED = "face not followed"  # one face is in fewer than half of the pictures
    FACE_TOO_SMALL = "face too small"
    TURNED_AWAY = "turned away"
    BLURRED = "blurred"
    BLANK = "blank"  # a still of one colour
    NO_STILL = "no still"  # of a speaker that can be used


@dataclasses.dataclass(frozen=True)
class Drop:
    """Something that is left out.

    Attributes:
        reason: why.
        where: what it was, for a person: such as "anna/a.mp4 at 12.0-17.5 s: 2 faces of a like size".
    """

    reason: Reason
    where: str


class Dropped:
    """How often each reason was met, with one example: the first in the order of its text, so that it is always the
    same one."""

    def __init__(self) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self.examples: dict[str, str] = {}

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Counts `count` more that were dropped for this reason."""
        self.counts[reason] += count
        self.examples[reason] = min(example, self.examples.get(reason, example))

    def merge(self, counts: Mapping[str, int], examples: Mapping[str, str]) -> None:
        """Adds what another one counted."""
        for reason, count in counts.items():
            self.add(reason, examples[reason], count)

    def described(self) -> dict[str, dict]:
        """The fields `dropped` and `examples` of `corpus.json`, in the order of the reasons."""
        names = [reason for reason in Reason if self.counts[reason]]
        return {
            "dropped": {str(name): self.counts[name] for name in names},
            "examples": {str(name): self.examples[name] for name in names},
        }


def listed(described: Mapping[str, Mapping]) -> str:
    """For a person, what the fields `dropped` and `examples` of a `corpus.json` say."""
    examples = described["examples"]
    words = (f"{count:,} {reason} (such as {examples[reason]})" for reason, count in described["dropped"].items())
    return "; ".join(words) or "nothing"
