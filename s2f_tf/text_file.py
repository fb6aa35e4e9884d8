"""Text files that people write, with whatever program."""

import codecs
import contextlib
from collections.abc import Iterator
from typing import TextIO

from s2f_tf.errors import UserError

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class TextFileError(UserError):
    """A file that cannot be read as text; the message names it and says what is allowed."""


@contextlib.contextmanager
def opened(path: str) -> Iterator[TextIO]:
    """The text of a file in UTF-8, with or without a byte order mark. Line ends are left as they are.

    Raises `TextFileError` where there is no such file, or, inside of `with`, where it is of another encoding.
    """
    try:
        with open(path, "rb") as file:
            begin = file.read(64)
        if begin.startswith(_UTF_16) or b"\0" in begin:
            raise TextFileError(f"{path} is in UTF-16 or is no text: save it as UTF-8")
        with open(path, encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise TextFileError(f"{path} is not in UTF-8: save it so ({error})") from error
    except OSError as error:
        raise TextFileError(f"{path} cannot be read: {error}") from error
