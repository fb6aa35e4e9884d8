"""Eight bits where the weights and the work are, floats where eight bits would be too few."""

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

Samples = Sequence[tuple[str, Mapping[str, np.ndarray]]]

# Statistics over time and space have squares and roots that eight bits cannot hold, and the errors of sums would add up
# from block to block. What is left is convolutions, dense layers and the activations between them.
_FLOAT_OPERATIONS = (
    *("MEAN", "SQUARED_DIFFERENCE", "SQRT", "RSQRT", "L2_NORMALIZATION"),
    *("ADD", "SUB", "NEG", "MUL", "DIV", "SUM", "MAX_POOL_2D", "CONCATENATION", "SPLIT", "LOGISTIC", "TANH"),
)
_NO_RANGE = 1e-5  # of what was zero; TensorFlow writes 2e-6


def int8(converter: tf.lite.TFLiteConverter, samples: Samples, float_model: bytes) -> bytes:
    """A model whose convolutions and dense layers have weights and activations of eight bits.

    Inputs and outputs stay as they are. The filterbank, whose energies eight bits cannot hold, works in floats, with
    taps of sixteen bits. So does what puts out nothing but zeros for every sample: it has no range to be read off.

    Args:
        converter: of the model.
        samples: pairs of a signature and its inputs, from which the ranges of activations are read.
        float_model: what the converter makes without quantisation.
    """
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: iter(samples)
    in_float = _up_to_logarithm(float_model, "embed_speech")
    tree = _quantised(converter, in_float)
    if dead := _without_range(tree):
        tree = _quantised(converter, in_float + dead)
    _store_filterbank_in_half(tree)
    _leave_out_names(tree)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(tree))


def _tree(model: bytes) -> schema.ModelT:
    return flatbuffer_utils.convert_bytearray_to_object(bytearray(model))


def _quantised(converter: tf.lite.TFLiteConverter, in_float: list[str]) -> schema.ModelT:
    """A model but for some operations, which are named by what they put out."""
    options = tf.lite.experimental.QuantizationDebugOptions(
        denylisted_ops=list(_FLOAT_OPERATIONS), denylisted_nodes=in_float
    )
    # Not for debugging: TensorFlow has no other public way to leave single operations in float.
    debugger = tf.lite.experimental.QuantizationDebugger(converter=converter, debug_options=options)
    return _tree(debugger.get_nondebug_quantized_model())


def _without_range(tree: schema.ModelT) -> list[str]:
    """Names of what operations put out that put out, or take in, what was zero for every sample: a ReLU no voice wakes.

    TensorFlow gives it a range of a millionth, into which nothing else would fit. And XNNPACK refuses steps so much
    finer than those of the inputs; that of LiteRT 2.3.0 then frees a table twice, which ends the process.
    """
    names = []
    for graph in tree.subgraphs:
        put_out = {i for operator in graph.operators for i in operator.outputs}
        int8 = {i for i in put_out if graph.tensors[i].type == schema.TensorType.INT8}
        dead = {i for i in int8 if 255 * graph.tensors[i].quantization.scale[0] < _NO_RANGE}
        touching = [operator for operator in graph.operators if dead & {*operator.inputs, *operator.outputs}]
        names += [graph.tensors[i].name.decode() for operator in touching for i in operator.outputs]
    return names


def _up_to_logarithm(model: bytes, signature_name: str) -> list[str]:
    """Names of what the operations of a signature put out, up to and with the last logarithm of energies."""
    tree = _tree(model)
    (signature,) = [s for s in tree.signatureDefs if s.signatureKey == signature_name.encode()]
    graph = tree.subgraphs[signature.subgraphIndex]
    codes = [tree.operatorCodes[operator.opcodeIndex].builtinCode for operator in graph.operators]
    last = max(i for i, code in enumerate(codes) if code == schema.BuiltinOperator.LOG)
    return [graph.tensors[i].name.decode() for operator in graph.operators[: last + 1] for i in operator.outputs]


def _store_filterbank_in_half(tree: schema.ModelT) -> None:
    """Stores the kernels of convolutions in floats with 16 bits, which are widened as the model is loaded."""
    convolution, widen = schema.BuiltinOperator.CONV_2D, schema.OperatorCodeT()
    widen.builtinCode = widen.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    widen.version = 3  # the first that takes halves
    tree.operatorCodes.append(widen)
    for graph in tree.subgraphs:
        for operator in [o for o in graph.operators if tree.operatorCodes[o.opcodeIndex].builtinCode == convolution]:
            kernel = graph.tensors[operator.inputs[1]]
            if kernel.type != schema.TensorType.FLOAT32:
                continue
            half, step = copy.deepcopy(kernel), schema.OperatorT()
            half.name, half.type = kernel.name + b"/half", schema.TensorType.FLOAT16
            buffer, kernel.buffer = tree.buffers[kernel.buffer], 0
            buffer.data = np.frombuffer(bytes(buffer.data), np.float32).astype(np.float16).view(np.uint8)
            graph.tensors.append(half)
            step.opcodeIndex = len(tree.operatorCodes) - 1
            step.inputs, step.outputs = [len(graph.tensors) - 1], [operator.inputs[1]]
            graph.operators.insert(graph.operators.index(operator), step)


def _leave_out_names(tree: schema.ModelT) -> None:
    """Leaves out what tensors within are called, 2 % of a small model; the same stands in the one in floats."""
    for graph in tree.subgraphs:
        for i, tensor in enumerate(graph.tensors):
            if i not in {*graph.inputs, *graph.outputs}:
                tensor.name = None
