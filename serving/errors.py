"""How a request fails: with one code and one message, which each API gives its own form."""

import tensorflow as tf
from grpc import StatusCode

_BY_NUMBER = {code.value[0]: code for code in StatusCode}


class RequestError(Exception):
    """What a client is told. The codes are gRPC's, which are TensorFlow's too."""

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(code, message)  # all of it, so that it comes whole out of another process
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


def invalid(message: str) -> RequestError:
    """The request is wrong, whatever state the server is in."""
    return RequestError(StatusCode.INVALID_ARGUMENT, message)


def from_exception(error: Exception) -> RequestError:
    """The error of a request, from whatever was raised while it was answered."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, tf.errors.OpError):
        return RequestError(_BY_NUMBER.get(error.error_code, StatusCode.UNKNOWN), error.message)
    if isinstance(error, TimeoutError):
        return RequestError(StatusCode.DEADLINE_EXCEEDED, "the request took longer than it was given")
    return RequestError(StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
