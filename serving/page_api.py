"""What the page needs beside the REST API: its own files, what the model is, and the faces in a photograph."""

import base64
import os

from aiohttp import web
from grpc import StatusCode
from tensorflow_serving.apis import model_pb2

from s2f_tf import config
from s2f_tf.config import ConfigError

from .errors import RequestError
from .limits import Intake
from .photographs import MAX_BYTES, Photographs
from .rest_api import error_response
from .service import Service

FOLDER = os.path.join(os.path.dirname(__file__), "page")

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
}


class PageApi:
    """`/` and the files beside it, `/info` and `/faces`. The page shows the first of the models."""

    def __init__(self, service: Service, photographs: Photographs, intake: Intake) -> None:
        self._service = service
        self._intake = intake
        self._photographs = photographs

    def add_to(self, application: web.Application) -> None:
        """Takes its paths; no path that anything else has taken."""
        application.router.add_get("/info", self._info)
        application.router.add_post("/faces", self._faces)
        if os.path.isdir(FOLDER):
            application.router.add_get("/", self._index)
            application.router.add_static("/", FOLDER)
        application.on_response_prepare.append(_add_headers)

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(os.path.join(FOLDER, "index.html"))

    async def _info(self, request: web.Request) -> web.Response:
        try:
            name = self._service.models.names()[0]
            with self._service.models.use(model_pb2.ModelSpec(name=name)) as servable:
                settings = config.load(servable.extra(""))
                version = servable.version
        except (IndexError, ConfigError):
            return error_response(RequestError(StatusCode.NOT_FOUND, "the model that is served draws no faces"))
        except RequestError as error:
            return error_response(error)
        return web.json_response(
            {
                "model_name": name,
                "version": version,
                "z_size": settings.generator.z_size,
                "embedding_size": settings.embedding_size,
                "face_size": settings.data.face_size,
                "sample_rate": config.SAMPLE_RATE,
                "min_seconds": config.MIN_SECONDS,
                "max_seconds": config.MAX_SECONDS,
                "taught": settings.taught,
            }
        )

    async def _faces(self, request: web.Request) -> web.Response:
        try:
            with self._intake.counting() as count:
                found = await self._photographs.faces(await self._intake.read(request, count, MAX_BYTES))
        except Exception as error:
            return error_response(error)
        return web.json_response(
            {"faces": [{"jpeg_b64": base64.b64encode(face.jpeg).decode(), "box": face.box} for face in found]}
        )


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
