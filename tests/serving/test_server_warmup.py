import numpy as np
import pytest
import tensorflow as tf
from grpc import StatusCode
from tensorflow_serving.apis import inference_pb2, prediction_log_pb2

from serving import warmup
from serving.errors import RequestError
from serving.servable import SavedModel, session_config


class Counted(SavedModel):
    """Counts what it runs."""

    def __init__(self, folder):
        super().__init__("half", 1, str(folder), ["serve"], session_config())
        self.runs = []

    def run(self, feeds, fetches):
        self.runs.append((dict(feeds), list(fetches)))
        return super().run(feeds, fetches)


@pytest.fixture
def model(half_plus, tmp_path):
    """A function that loads a model which brings along the records that it is given."""
    loaded = []

    def load(*records):
        half_plus(tmp_path / "1")
        (tmp_path / "1" / "assets.extra").mkdir()
        with tf.io.TFRecordWriter(str(tmp_path / "1" / "assets.extra" / warmup.FILE)) as writer:
            for record in records:
                writer.write(record if isinstance(record, bytes) else record.SerializeToString())
        loaded.append(Counted(tmp_path / "1"))
        return loaded[0]

    yield load
    for servable in loaded:
        servable.close()


def predict_log(x=2.0, name="x"):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.name = "half"
    log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto([x], tf.float32))
    return log


def with_example(request):
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(2.0)


def every_log():
    logs = [prediction_log_pb2.PredictionLog() for _ in range(3)]
    for log, field, signature in (
        (logs[0], "classify_log", "classify_x_to_y"),
        (logs[1], "regress_log", "regress_x_to_y"),
    ):
        request = getattr(log, field).request
        request.model_spec.name, request.model_spec.signature_name = "half", signature
        with_example(request)
    request = logs[2].multi_inference_log.request
    request.tasks.append(inference_pb2.InferenceTask(method_name="tensorflow/serving/regress"))
    request.tasks[0].model_spec.name, request.tasks[0].model_spec.signature_name = "half", "regress_x_to_y"
    with_example(request)
    return [predict_log(), *logs]


def refusal(servable):
    with pytest.raises(RequestError) as error:
        warmup.warm_up(servable)
    return error.value.code, error.value.message


def test_every_kind_of_request_is_answered_as_often_as_is_said(model):
    servable = model(*every_log())
    warmup.warm_up(servable)
    assert len(servable.runs) == 4
    np.testing.assert_array_equal(servable.runs[0][0]["x:0"], [2.0])
    warmup.warm_up(servable, iterations=3)
    assert len(servable.runs) == 4 + 12


def test_a_model_without_requests_is_not_warmed_up(half_plus, tmp_path):
    half_plus(tmp_path / "1")
    servable = Counted(tmp_path / "1")
    warmup.warm_up(servable)
    assert not servable.runs
    servable.close()


def test_a_thousand_requests_are_answered_and_no_more_are_allowed(model):
    servable = model(*[predict_log()] * 1001)
    code, message = refusal(servable)
    assert code == StatusCode.INVALID_ARGUMENT and "exceeds the maximum (1000)" in message
    assert len(servable.runs) == 1000


def session_log():
    log = prediction_log_pb2.PredictionLog()
    log.session_run_log.SetInParent()
    return log


@pytest.mark.parametrize(
    "record, code, message",
    [
        (b"\xff\xff", StatusCode.INVALID_ARGUMENT, "Failed to parse warmup record from "),
        (predict_log(name="z"), StatusCode.INVALID_ARGUMENT, "input tensor alias not found in signature: z"),
        (session_log(), StatusCode.UNIMPLEMENTED, "Unsupported log_type for warmup: session_run_log"),
        (b"", StatusCode.UNIMPLEMENTED, "Unsupported log_type for warmup: None"),
    ],
    ids=["no proto", "wrong input", "session", "empty"],
)
def test_a_bad_request_fails_the_load(model, record, code, message):
    servable = model(predict_log(), record)
    answered, said = refusal(servable)
    assert answered == code and message in said
    assert len(servable.runs) == 1


def test_a_damaged_file_fails_the_load(model, tmp_path):
    servable = model(predict_log(), predict_log())
    file = tmp_path / "1" / "assets.extra" / warmup.FILE
    content = bytearray(file.read_bytes())
    content[-6] ^= 1
    file.write_bytes(content)
    code, message = refusal(servable)
    assert code == StatusCode.DATA_LOSS and "verify your warmup data is in TFRecord format" in message


def test_an_export_is_warmed_up_in_every_signature(demo):
    class Model(Counted):
        def __init__(self, folder):
            super().__init__(folder)
            self.name = "s2f"

    servable = Model(f"{demo}/1")
    warmup.warm_up(servable)
    outputs = {tensor.name for s in servable.signatures.values() for tensor in s.outputs.values()}
    ran = {fetch for _, fetches in servable.runs for fetch in fetches}
    assert {name for name in outputs if name != "NoOp"} == ran
    servable.close()
