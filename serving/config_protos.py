"""TensorFlow Serving's configuration files: the messages that its Python package lacks, and how any of them is read."""

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

from s2f_tf.errors import UserError

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "tensorflow.serving"
_SCALARS = {"bool": _Field.TYPE_BOOL, "int64": _Field.TYPE_INT64, "string": _Field.TYPE_STRING}

# As in TensorFlow Serving's session_bundle_config.proto, monitoring_config.proto and ssl_config.proto.
_MESSAGES = {
    "BatchingParameters": {
        "max_batch_size": (1, "Int64Value"),
        "batch_timeout_micros": (2, "Int64Value"),
        "max_enqueued_batches": (3, "Int64Value"),
        "num_batch_threads": (4, "Int64Value"),
        "thread_pool_name": (5, "StringValue"),
        "allowed_batch_sizes": (6, "repeated int64"),
        "pad_variable_length_inputs": (7, "bool"),
        "enable_large_batch_splitting": (8, "BoolValue"),
        "max_execution_batch_size": (9, "Int64Value"),
    },
    "PrometheusConfig": {"enable": (1, "bool"), "path": (2, "string")},
    "MonitoringConfig": {"prometheus_config": (1, "PrometheusConfig")},
    "SSLConfig": {
        "server_key": (1, "string"),
        "server_cert": (2, "string"),
        "custom_ca": (3, "string"),
        "client_verify": (4, "bool"),
    },
}


def _declare() -> dict[str, type[message.Message]]:
    """Classes made here and not by protoc, whose output would be tied to one release of protobuf."""
    file = descriptor_pb2.FileDescriptorProto(
        name="serving/config.proto", package=_PACKAGE, syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name]
    )
    for name, fields in _MESSAGES.items():
        declared = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            field = declared.field.add(name=field_name, number=number, label=_Field.LABEL_OPTIONAL)
            if kind.startswith("repeated "):
                kind, field.label = kind.removeprefix("repeated "), _Field.LABEL_REPEATED
            if kind in _SCALARS:
                field.type = _SCALARS[kind]
            else:
                package = _PACKAGE if kind in _MESSAGES else "google.protobuf"
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{package}.{kind}"
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_CLASSES = _declare()
ModelServerConfig = model_server_config_pb2.ModelServerConfig
BatchingParameters = _CLASSES["BatchingParameters"]
MonitoringConfig = _CLASSES["MonitoringConfig"]
SSLConfig = _CLASSES["SSLConfig"]


def read(path: str, kind: type[message.Message]) -> message.Message:
    """Reads a text proto. Raises `UserError` that names the file, and the line where it is not what it should be."""
    try:
        with open(path, encoding="utf-8") as file:
            return text_format.Parse(file.read(), kind())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"Invalid protobuf file: '{path}' is not text") from error
    except text_format.ParseError as error:
        raise UserError(
            f"Invalid protobuf file: '{path}'. Error parsing text-format {kind.DESCRIPTOR.full_name}: {error}"
        ) from error
