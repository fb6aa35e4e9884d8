"""What there is to be prepared: the videos of each kind of source, who speaks in them, and where to look.

**folder**: every video file below the input. The speaker is the first folder below the input; a file directly in it is
a speaker of its own.

**avspeech**: the published list, a CSV of `video id, start, end, x, y` without a header, over a folder with the videos.
A file belongs to the video whose id is its name without suffix, in whatever folder it lies. Times are seconds from the
beginning of the video; x and y, from 0 to 1, say where the face of the speaker is when it begins. Nothing says that two
videos are of one person, so each is a speaker of its own.

**voxceleb**: the trees of VoxCeleb 1 and 2, `id10001/<video>/00001.mp4`, below any folders. Sound is taken from
`00001.m4a` or `.wav` in a folder of the same name, beside the video or in another tree, and where there is none from
the video. The speaker is the folder `id10001`.

**pairs**: stills and sound files in a folder a speaker, as `pipelines/pairs.py` says.

**stills**, **sounds**: photographs alone, or sound files alone, in any folders. The speaker is, as of `folder`, the
first folder below the input; a file directly in it is a speaker of its own.
"""

import collections
import csv
import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from s2f_tf import text_file
from s2f_tf.errors import UserError

SOURCES = ("folder", "avspeech", "voxceleb", "pairs", "stills", "sounds")
VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".flv", ".ts", ".mts", ".3gp", ".wmv")
SOUNDS = (".m4a", ".wav")
# Of `pairs` and `stills`; others are looked into.
STILLS = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".gif", ".tif", ".tiff", ".bmp")
VOICES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac")  # of `pairs` and `sounds`

_WANTED = {"voxceleb": VIDEOS + SOUNDS, "pairs": STILLS + VOICES, "stills": STILLS, "sounds": VOICES}


class SourceError(UserError):
    """An input that cannot be used; the message names the file, and the line where there is one."""


@dataclasses.dataclass(frozen=True)
class Span:
    """A part of a video.

    Attributes:
        start, stop: seconds from the beginning of the video; None is its beginning, or its end.
        point: x and y of the face of who speaks, as shares of width and height, where a list names it.
    """

    start: float | None = None
    stop: float | None = None
    point: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Item:
    """A video to be looked at, a still or a sound; or, of `pairs`, a speaker.

    Attributes:
        name: unique in the corpus.
        speaker: who speaks in it, or is to be seen.
        path: of the file; None where a list names a video that is not there.
        sound: path of a sound file that goes with it, where its sound is not in the video.
        spans: the parts to look at, in order; none means all of it.
        stills: name and path of each still of a speaker, in the order in which they are dealt out.
        sounds: name and path of each sound file of a speaker.
    """

    name: str
    speaker: str
    path: str | None
    sound: str | None = None
    spans: tuple[Span, ...] = ()
    stills: tuple[tuple[str, str], ...] = ()
    sounds: tuple[tuple[str, str], ...] = ()

    @property
    def paths(self) -> list[str]:
        """Every file that it is made of."""
        videos = [path for path in (self.path, self.sound) if path is not None]
        return [*videos, *(path for _, path in self.stills + self.sounds)]


def rows(source: str, folder: str, list_path: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a source consists of, one row at a time, so that a list of any length takes no memory.

    Yields:
        A speaker, and a row that `items` understands together with all others of that speaker.

    Raises:
        SourceError: where the input cannot be read, or a line of the list is not as it should be.
    """
    if not os.path.isdir(folder):
        raise SourceError(f"{folder} is not a folder")
    wanted, by_content = _WANTED.get(source, VIDEOS), source in ("pairs", "stills")
    try:
        if source == "avspeech":
            yield from _listed(list_path)
        for path in _walk(folder, "", frozenset()):
            stem, suffix = os.path.splitext(path)
            if suffix.lower() in wanted or (by_content and _is_still(os.path.join(folder, path))):
                row = _ROW[source](_text(path), _text(stem).split("/"))
                if row is not None:
                    yield row[0], row[1] | {"path": os.path.join(folder, path)}
    except OSError as error:
        raise SourceError(f"{folder} cannot be read: {error}") from error


def items(source: str, of_speaker: Iterable[Mapping[str, Any]], speaker: str) -> list[Item]:
    """The files of a speaker, in order, from all rows of the speaker; of `pairs`, the one item that the speaker is."""
    if source == "pairs":
        files = sorted((row["name"], row["path"]) for row in of_speaker)
        stills, sounds = (
            [file for file in files if (os.path.splitext(file[1])[1].lower() in VOICES) == are_sounds]
            for are_sounds in (False, True)
        )
        stills.sort(key=lambda file: hashlib.sha256(file[0].encode()).digest())
        return [Item(speaker, speaker, None, stills=tuple(stills), sounds=tuple(sounds))]
    found: dict[str, dict[str, Any]] = collections.defaultdict(dict)
    spans: dict[str, set[Span]] = collections.defaultdict(set)
    for row in of_speaker:
        name = row["name"]
        if "span" in row:
            start, stop, *point = row["span"]
            spans[name].add(Span(start, stop, tuple(point)))
        else:
            beside = source == "voxceleb" and os.path.splitext(row["path"])[1].lower() in SOUNDS
            kind = "sound" if beside else "path"
            # Of several files of one name, the first in order.
            found[name][kind] = min(row["path"], found[name].get(kind, row["path"]))
    named = spans if source == "avspeech" else found
    return [
        Item(
            name=name,
            speaker=speaker,
            path=found[name].get("path", found[name].get("sound")),
            sound=found[name].get("sound"),
            spans=tuple(sorted(spans[name], key=dataclasses.astuple)),
        )
        for name in sorted(named)
    ]


def _is_still(path: str) -> bool:
    """Whether a file of another name than a still's is one all the same."""
    from s2f_tf import photograph  # what it imports is of the extra `pipelines`

    return photograph.is_one(path)


def _folder_row(path: str, parts: list[str]) -> tuple[str, dict[str, Any]]:
    return (path.split("/")[0] if len(parts) > 1 else path), {"name": path}


def _avspeech_row(path: str, parts: list[str]) -> tuple[str, dict[str, Any]]:
    return parts[-1], {"name": parts[-1]}


def _voxceleb_row(path: str, parts: list[str]) -> tuple[str, dict[str, Any]] | None:
    return (parts[-3], {"name": "/".join(parts[-3:])}) if len(parts) >= 3 else None


def _pairs_row(path: str, parts: list[str]) -> tuple[str, dict[str, Any]] | None:
    return (path.split("/")[0], {"name": path}) if len(parts) > 1 else None


_ROW = dict.fromkeys(SOURCES, _folder_row) | {"pairs": _pairs_row, "avspeech": _avspeech_row, "voxceleb": _voxceleb_row}


def _listed(path: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    if path is None:
        raise SourceError("--source=avspeech needs --list, the CSV that names the parts of the videos")
    with text_file.opened(path) as file:
        try:
            for number, line in enumerate(csv.reader(file), 1):
                if line:
                    yield line[0], {"name": line[0], "span": _span(line, f"{path}, line {number}")}
        except csv.Error as error:
            raise SourceError(f"{path} cannot be read: {error}") from error


def _span(line: list[str], where: str) -> tuple[float, float, float, float]:
    try:
        _, *numbers = line
        start, stop, x, y = map(float, numbers)
    except ValueError:
        found = ",".join(line)
        if ";" in found or "\t" in found:
            why = "commas are expected between the values, and not semicolons or tabs"
        elif not any(character.isdigit() for character in found):
            why = "this is a header, which the list must not have"
        else:
            why = "one value each"
        raise SourceError(f"{where}: 'video id, start, end, x, y' is expected, not {found!r}: {why}") from None
    if not 0 <= start < stop < float("inf"):
        raise SourceError(f"{where}: start and end are {start} and {stop}: 0 <= start < end is allowed")
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise SourceError(f"{where}: x and y are {x} and {y}: shares of the picture, from 0 to 1, are allowed")
    return start, stop, x, y


def _walk(root: str, folder: str, above: frozenset[str]) -> Iterator[str]:
    """Every file below a folder, in order, hidden ones aside. Links are followed, unless they lead back up."""
    here = os.path.realpath(os.path.join(root, folder))
    if here in above:
        return
    with os.scandir(os.path.join(root, folder)) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = os.path.join(folder, entry.name)
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _walk(root, path, above | {here})
            elif entry.is_file():
                yield path


def _text(name: str) -> str:
    """A file name as text: one that is not UTF-8 on disk cannot be stored as it is."""
    return os.fsencode(name).decode(errors="replace")
