"""Photographs that a person gives to the page: the faces in them, aligned as those the model has learnt from."""

import asyncio
import concurrent.futures
import importlib.util
import multiprocessing
from concurrent.futures.process import BrokenProcessPool

from grpc import StatusCode

from s2f_tf import portrait

from .errors import RequestError, invalid

MAX_BYTES = 20_000_000  # of a photograph
MAX_FACES = 16

_WAITING = 4  # photographs at a time, of which one is worked on
_SECONDS = 60.0  # for the detector to load, once, and to look at one


class Photographs:
    """Finds faces, in a process of its own: a detector is slow to load, takes memory, and reads strangers' files."""

    def __init__(self) -> None:
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None
        self._waiting = 0

    async def faces(self, photograph: bytes) -> list[portrait.AlignedFace]:
        """The faces in a photograph of any of `photograph.FORMATS`, at most 16, the largest first; nothing is kept.

        Raises `RequestError`: INVALID_ARGUMENT where it is no such file or too large, RESOURCE_EXHAUSTED where too many
        wait already, UNIMPLEMENTED where the extra `pipelines`, which has the detector, is not installed.
        """
        if importlib.util.find_spec("mtcnn") is None:
            raise RequestError(
                StatusCode.UNIMPLEMENTED,
                "photographs need the face detector of the extra `pipelines`, not installed here",
            )
        if self._waiting >= _WAITING:
            raise RequestError(StatusCode.RESOURCE_EXHAUSTED, f"{_WAITING} photographs are waiting: try again later")
        self._waiting += 1
        try:
            if self._pool is None:
                self._pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            work = asyncio.get_running_loop().run_in_executor(self._pool, _find, photograph)
            return await asyncio.wait_for(work, _SECONDS)
        except BrokenProcessPool:
            self.close()  # the next photograph gets a new process
            raise RequestError(StatusCode.INTERNAL, "the face detector died of this photograph") from None
        except TimeoutError:
            self.close()
            raise
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Ends the process, at once."""
        pool, self._pool = self._pool, None
        if pool is not None:
            for process in list(pool._processes.values()):
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)


def _find(file: bytes) -> list[portrait.AlignedFace]:
    """In the detector's process."""
    try:
        return portrait.find(file)[:MAX_FACES]
    except portrait.PictureError as error:
        raise invalid(str(error)) from None
