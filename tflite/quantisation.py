"""Eight bits where the weights and the work are, floats where eight bits would be too few."""

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
    *("ADD", "SUB", "NEG", "MUL", "CONCATENATION", "LOGISTIC", "TANH"),
)


def int8(converter: tf.lite.TFLiteConverter, samples: Samples, float_model: bytes) -> bytes:
    """A model whose convolutions and dense layers have weights and activations of eight bits.

    Inputs and outputs stay as they are, and so does the filterbank, whose energies eight bits cannot hold.

    Args:
        converter: of the model.
        samples: pairs of a signature and its inputs, from which the ranges of activations are read.
        float_model: what the converter makes without quantisation.
    """
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: iter(samples)
    options = tf.lite.experimental.QuantizationDebugOptions(
        denylisted_ops=list(_FLOAT_OPERATIONS), denylisted_nodes=_up_to_logarithm(float_model, "embed_speech")
    )
    # Not for debugging: TensorFlow has no other public way to leave single operations in float.
    debugger = tf.lite.experimental.QuantizationDebugger(converter=converter, debug_options=options)
    return debugger.get_nondebug_quantized_model()


def _up_to_logarithm(model: bytes, signature_name: str) -> list[str]:
    """Names of what the operations of a signature put out, up to and with the logarithm of the energies."""
    tree = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    (signature,) = [s for s in tree.signatureDefs if s.signatureKey == signature_name.encode()]
    graph = tree.subgraphs[signature.subgraphIndex]
    names = []
    for operator in graph.operators:
        names += [graph.tensors[output].name.decode() for output in operator.outputs]
        if tree.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.LOG:
            return names
    raise ValueError(f"no logarithm in {signature_name}")
