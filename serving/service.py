"""Answers an inference request, of either API: finds the model, runs it, and keeps the count."""

from collections.abc import Callable
from typing import Any

from tensorflow_serving.apis import model_pb2

from . import monitoring
from .batching import Runner
from .inference import Plan
from .models import Models
from .servable import Servable


class Service:
    """The models that are served, and what runs them."""

    def __init__(self, models: Models, runner: Runner) -> None:
        self.models = models
        self._runner = runner

    async def infer(
        self, spec: model_pb2.ModelSpec, make_plan: Callable[[Servable], Plan], api: str, entrypoint: str
    ) -> Any:
        """The response of the plan that is made for the servable of `spec`.

        Raises whatever `errors.from_exception` knows.
        """
        # Names that clients make up would fill the memory with counters.
        known = spec.name if spec.name in self.models.names() else ""
        with monitoring.recorded(known, api, entrypoint), self.models.use(spec) as servable:
            plan = make_plan(servable)
            return plan.respond(await self._runner.run(servable, plan.feeds, plan.fetches))
