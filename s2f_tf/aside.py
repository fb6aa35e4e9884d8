"""Files that are whole or not there: they are written aside and then renamed."""

import contextlib
import os
import uuid
from collections.abc import Iterator


@contextlib.contextmanager
def written_aside(path: str, *, shared: bool = False) -> Iterator[str]:
    """A path to write to. What is there at the end takes the place of `path`; after an error nothing is left.

    With `shared`, workers that write one file at once do not disturb each other; of one that was killed its part stays.
    """
    part = f"{path}.{uuid.uuid4().hex}.part" if shared else f"{path}.part"
    try:
        yield part
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            os.remove(part)
