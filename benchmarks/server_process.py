"""The embedded server as a process of its own, for what measures it and what tests it."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

_FROM_CHECKOUT = (sys.executable, "-m", "serving.server")
_READY_SECONDS = 120  # after which a server that has not said that it serves is killed


class ServerProcess:
    """The server, on free ports, ready to answer.

    Args:
        flags: of the server, beside its ports.
        log: a file to which it may write what it has to say.
        program: what starts it.

    Attributes:
        target: host:port of gRPC.
        url: of REST.
        process: of the server.

    Raises:
        RuntimeError: with its log, where it does not come to serve.
    """

    def __init__(self, *flags: object, log: pathlib.Path, program: Sequence[str] = _FROM_CHECKOUT) -> None:
        self.port, self.rest_port = _free_port(), _free_port()
        self.target, self.url = f"localhost:{self.port}", f"http://localhost:{self.rest_port}"
        self.log = log
        ports = [f"--port={self.port}", f"--rest_api_port={self.rest_port}"]
        self._command = [*program, *ports, *map(str, flags)]
        self.start()

    def start(self) -> None:
        """Starts it, again where it was stopped, and waits until it serves."""
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=log, text=True)
        timer = threading.Timer(_READY_SECONDS, self.process.kill)  # its output ends then
        timer.start()
        said = ""
        for line in self.process.stdout:
            said += line
            if line.startswith("Serving "):
                break
        timer.cancel()
        if "Serving " not in said:
            raise RuntimeError(said + self.log.read_text())

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends it a signal, and returns its exit status."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code

    def memory(self) -> int:
        """Bytes of memory that it holds. Linux alone tells."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(status.split("VmRSS:")[1].split()[0])

    def processor(self) -> float:
        """Seconds of a core that it has taken since it was started. Linux alone tells."""
        after_name = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, after_name[11:13])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]
