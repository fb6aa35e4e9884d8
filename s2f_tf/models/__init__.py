"""The networks, written with Keras layers and `keras.ops` alone; they know nothing of training."""
