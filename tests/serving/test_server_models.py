import asyncio
import pathlib
import threading
import time

import pytest
from google.protobuf import text_format
from grpc import StatusCode
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving import versions
from serving.errors import RequestError
from serving.models import Models, State


class Loaded:
    """What the manager sees of a servable."""

    def __init__(self, name, version, folder):
        self.name, self.version, self.folder, self.closed = name, version, folder, False

    def close(self):
        self.closed = True


def spec(name="m", version=None, label=None):
    result = model_pb2.ModelSpec(name=name)
    if version is not None:
        result.version.value = version
    if label is not None:
        result.version_label = label
    return result


def config(*models):
    text = "".join(f'config {{ model_platform: "tensorflow" {model} }}' for model in models)
    return text_format.Parse(f"model_config_list {{ {text} }}", model_server_config_pb2.ModelServerConfig())


def policy(text=""):
    return text_format.Parse(text, versions.Policy())


async def until(condition):
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to that")


def states(models, name="m"):
    return {one.version: one.state for one in models.status(spec(name)).model_version_status}


def answers(models, wanted_spec=None):
    try:
        with models.use(wanted_spec or spec()) as servable:
            return servable.version
    except RequestError as error:
        return error.code


def run(test):
    return asyncio.run(asyncio.wait_for(test, 60))


@pytest.fixture
def disk(tmp_path):
    """A function that makes versions of a model on disk."""

    def make(*numbers, name="m"):
        for number in numbers:
            (tmp_path / name / str(number)).mkdir(parents=True)
        return f'name: "{name}" base_path: "{tmp_path / name}"'

    return make


@pytest.mark.parametrize(
    "policy_text, expected",
    [
        ("", {10}),
        ("latest {}", {10}),
        ("latest { num_versions: 2 }", {7, 10}),
        ("latest { num_versions: 9 }", {1, 7, 10}),
        ("all {}", {1, 7, 10}),
        ("specific { versions: 7 versions: 1 }", {1, 7}),
        ("specific { versions: 8 }", set()),
    ],
)
def test_a_policy_chooses_among_the_numbered_folders(tmp_path, policy_text, expected):
    for name in ("1", "00000007", "10", "part", "12.part", "-3", "1e3", "99999999999999999999"):
        (tmp_path / name).mkdir()
    (tmp_path / "11").touch()
    wanted = versions.wanted(str(tmp_path), policy(policy_text))
    assert set(wanted) == expected
    assert all(int(folder.rsplit("/", 1)[1]) == number for number, folder in wanted.items())


def test_of_two_folders_of_one_version_one_is_taken(tmp_path):
    for name in ("1", "01"):
        (tmp_path / name).mkdir()
    assert list(versions.wanted(str(tmp_path), policy("all {}"))) == [1]


def test_the_latest_version_answers_unless_another_is_asked_for(disk):
    async def test():
        models = Models(Loaded)
        await models.start(config(disk(1, 2, 3) + "model_version_policy { latest { num_versions: 2 } }"))
        assert answers(models) == 3
        assert answers(models, spec(version=2)) == 2
        for asked, message in (
            (spec(version=1), "Servable not found for request: Specific(m, 1)"),
            (spec("n"), "Servable not found for request: Latest(n)"),
        ):
            with pytest.raises(RequestError) as error, models.use(asked):
                pass
            assert (error.value.code, error.value.message) == (StatusCode.NOT_FOUND, message)
        models.close()

    run(test())


def test_the_status_of_what_is_not_there_is_not_found(disk):
    async def test():
        models = Models(Loaded)
        await models.start(config(disk(1)))
        for asked, message in (
            (spec("n"), "Could not find any versions of model n"),
            (spec(version=9), "Could not find version 9 of model m"),
        ):
            with pytest.raises(RequestError) as error:
                models.status(asked)
            assert (error.value.code, error.value.message) == (StatusCode.NOT_FOUND, message)
        with pytest.raises(RequestError, match="ModelSpec has no name specified."):
            models.status(spec(""))
        models.close()

    run(test())


def test_the_old_version_answers_until_the_new_one_can(disk):
    gate = threading.Event()

    def load(name, version, folder):
        if version == 2:
            gate.wait(30)
        return Loaded(name, version, folder)

    async def test():
        models = Models(load)
        await models.start(config(disk(1)))
        with models.use(spec()) as old:
            disk(2)
            models.poll()
            await until(lambda: states(models)[2] == State.LOADING)
            assert answers(models) == 1 and states(models)[1] == State.AVAILABLE
            gate.set()
            await until(lambda: answers(models) == 2)
            # The request that began on the old version ends on it.
            assert states(models)[1] == State.UNLOADING and not old.closed
        await until(lambda: states(models) == {2: State.AVAILABLE, 1: State.END})
        assert old.closed
        models.close()

    run(test())


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_serving_and_is_tried_again(disk):
    tries = []

    def load(name, version, folder):
        tries.append(version)
        if version == 2 and len(tries) < 4:
            raise RuntimeError("half written")
        return Loaded(name, version, folder)

    async def test():
        models = Models(load, retries=2, retry_seconds=0.01)
        await models.start(config(disk(1)))
        disk(2)
        models.poll()
        await until(lambda: answers(models) == 2)
        assert tries == [1, 2, 2, 2]
        models.close()

    run(test())


def test_what_cannot_be_loaded_ends_with_its_error_until_it_has_been_away(disk, tmp_path):
    def load(name, version, folder):
        if (tmp_path / "m" / "2" / "bad").exists():
            raise ValueError("bad model")
        return Loaded(name, version, folder)

    async def test():
        models = Models(load, retries=0)
        await models.start(config(disk(1)))
        disk(2)
        (tmp_path / "m" / "2" / "bad").touch()
        models.poll()
        await until(lambda: states(models)[2] == State.END)
        status = models.status(spec(version=2)).model_version_status[0].status
        assert status.error_code == StatusCode.INTERNAL.value[0] and "bad model" in status.error_message
        models.poll()
        assert states(models)[2] == State.END and answers(models) == 1
        (tmp_path / "m" / "2" / "bad").rename(tmp_path / "bad")
        (tmp_path / "m" / "2").rmdir()
        models.poll()
        disk(2)
        models.poll()
        await until(lambda: answers(models) == 2)
        models.close()

    run(test())


def test_a_model_without_versions_is_waited_for_and_one_that_loses_them_is_unloaded(disk, tmp_path):
    async def test():
        (tmp_path / "m").mkdir()
        models = Models(Loaded, poll_seconds=0.01)
        polling = asyncio.create_task(models.poll_forever())
        started = asyncio.create_task(models.start(config(f'name: "m" base_path: "{tmp_path / "m"}"')))
        await asyncio.sleep(0.1)
        assert not started.done()
        (tmp_path / "m" / "1").mkdir()
        await started
        (tmp_path / "m" / "1").rmdir()
        await until(lambda: states(models) == {1: State.END})
        assert answers(models) == StatusCode.NOT_FOUND
        (tmp_path / "m" / "1").mkdir()
        await until(lambda: answers(models) == 1)
        # Where the folder itself is gone the disk may be: what is loaded goes on.
        (tmp_path / "m").rename(tmp_path / "elsewhere")
        await asyncio.sleep(0.1)
        assert answers(models) == 1
        polling.cancel()
        models.close()

    run(test())


def test_labels_name_versions_that_are_loaded(disk):
    async def test():
        models = Models(Loaded)
        every = "model_version_policy { all {} }"
        first = disk(1, 2) + every
        await models.start(config(first))
        await models.reload(config(first + 'version_labels { key: "stable" value: 1 }'))
        assert answers(models, spec(label="stable")) == 1
        with pytest.raises(RequestError) as error:
            await models.reload(config(first + 'version_labels { key: "canary" value: 9 }'))
        assert error.value.code == StatusCode.FAILED_PRECONDITION
        assert "label to version 9 of model m, which is not currently available" in error.value.message
        assert answers(models, spec(label="stable")) == 1  # nothing has changed
        await models.reload(config(first + 'version_labels { key: "stable" value: 2 }'))
        assert answers(models, spec(label="stable")) == 2
        with pytest.raises(RequestError, match="Unrecognized servable version label: canary") as error:
            models.status(spec(label="canary"))
        assert error.value.code == StatusCode.INVALID_ARGUMENT
        models.close()

    run(test())


def test_new_labels_may_come_before_their_versions_where_the_flag_says_so(disk):
    async def test():
        labelled = disk(1) + 'version_labels { key: "stable" value: 1 }'
        with pytest.raises(RequestError) as error:
            await Models(Loaded).start(config(labelled))
        assert error.value.code == StatusCode.FAILED_PRECONDITION
        models = Models(Loaded, labels_before_versions=True)
        await models.start(config(labelled))
        assert answers(models, spec(label="stable")) == 1
        with pytest.raises(RequestError) as error:  # it would take the label from a version that serves
            await models.reload(config(labelled.replace("value: 1", "value: 2")))
        assert error.value.code == StatusCode.FAILED_PRECONDITION
        models.close()

    run(test())


def test_a_canary_is_tried_promoted_and_rolled_back_by_edits_of_the_file_that_is_deployed(disk, tmp_path):
    """The steps of docs/serving.md, begun with serving/deploy/models.config."""
    deployed = (pathlib.Path(__file__).parents[2] / "serving" / "deploy" / "models.config").read_text()
    first = deployed.replace('"/models/s2f"', f'"{tmp_path / "s2f"}"')
    canary = first.replace("versions: 1 ", "versions: [1, 2] ").replace(
        "version_labels {", 'version_labels { key: "canary" value: 2 }\n    version_labels {', 1
    )
    promoted = canary.replace('key: "stable" value: 1', 'key: "stable" value: 2')
    alone = first.replace("versions: 1 ", "versions: 2 ").replace("value: 1", "value: 2")
    assert len({first, canary, promoted, alone}) == 4

    def read(text):
        return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())

    async def test():
        disk(1, 2, name="s2f")
        models = Models(Loaded, labels_before_versions=True)
        await models.start(read(first))
        stable, trial = spec("s2f", label="stable"), spec("s2f", label="canary")
        assert answers(models, stable) == 1 and set(states(models, "s2f")) == {1}  # an export goes live by no accident
        await models.reload(read(canary))
        await until(lambda: answers(models, trial) == 2)
        assert answers(models, stable) == 1
        await models.reload(read(promoted))
        assert answers(models, stable) == 2
        await models.reload(read(canary))  # back, at once
        assert answers(models, stable) == 1
        await models.reload(read(promoted))
        await models.reload(read(alone))
        await until(lambda: states(models, "s2f") == {2: State.AVAILABLE, 1: State.END})
        assert answers(models, stable) == 2
        with pytest.raises(RequestError, match="not currently available"):  # version 1 is to be loaded first
            await models.reload(read(first))
        assert answers(models, stable) == 2
        models.close()

    run(test())


def test_a_new_config_loads_what_is_new_and_unloads_what_is_left_out(disk):
    async def test():
        models = Models(Loaded)
        await models.start(config(disk(1)))
        await models.reload(config(disk(5, name="n")))
        assert answers(models, spec("n")) == 5
        await until(lambda: states(models) == {1: State.END})
        assert models.names() == ["n"]
        models.close()

    run(test())


@pytest.mark.parametrize(
    "models_text, message",
    [
        (['name: "m" base_path: "relative"'], "absolute path"),
        (['name: "m" base_path: "/does/not/exist"'], "Could not find base path /does/not/exist"),
        (['base_path: "/tmp"'], "no name"),
        (['name: "m" base_path: "/tmp"', 'name: "m" base_path: "/tmp"'], "model m multiple times"),
        (['name: "m" base_path: "/tmp" logging_config {}'], "logging"),
    ],
)
def test_a_config_that_cannot_be_is_refused_and_changes_nothing(disk, models_text, message):
    async def test():
        models = Models(Loaded)
        await models.start(config(disk(1)))
        with pytest.raises(RequestError, match=message) as error:
            await models.reload(config(*models_text))
        assert error.value.code == StatusCode.INVALID_ARGUMENT
        assert answers(models) == 1
        models.close()

    run(test())


@pytest.mark.parametrize("text", ["", "custom_model_config {}", 'model_config_list { config { name: "m" } }'])
def test_other_kinds_of_config_and_platforms_are_refused(text):
    wrong = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    with pytest.raises(RequestError) as error:
        run(Models(Loaded).start(wrong))
    assert error.value.code == StatusCode.INVALID_ARGUMENT


def test_a_new_model_that_cannot_be_loaded_is_told(disk):
    def load(name, version, folder):
        if name == "n":
            raise OSError("no saved_model.pb")
        return Loaded(name, version, folder)

    async def test():
        models = Models(load, retries=0)
        both = [disk(1), disk(1, name="n")]
        with pytest.raises(RequestError, match="did not become available.*no saved_model.pb"):
            await models.start(config(*both))
        models.close()

    run(test())


def test_requests_never_fail_while_versions_come_and_go(disk, tmp_path):
    """Eight clients on a manager that loads and unloads as fast as it can."""
    closed_in_use = []

    def load(name, version, folder):
        time.sleep(0.002)
        return Loaded(name, version, folder)

    async def client(models, stop):
        count = 0
        while not stop.is_set():
            with models.use(spec()) as servable:
                await asyncio.sleep(0.001)
                closed_in_use.extend([servable] * servable.closed)
            count += 1
        return count

    async def test():
        models = Models(load)
        await models.start(config(disk(1)))
        stop = asyncio.Event()
        clients = [asyncio.create_task(client(models, stop)) for _ in range(8)]
        for number in range(2, 30):
            disk(number)
            models.poll()
            await until(lambda number=number: answers(models) == number)
            (tmp_path / "m" / str(number - 1)).rmdir()
            models.poll()
        stop.set()
        assert min(await asyncio.gather(*clients)) > 0
        assert not closed_in_use
        models.close()

    run(test())
