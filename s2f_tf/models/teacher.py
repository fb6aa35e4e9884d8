"""What the networks of teachers have in common that S or F may be made of."""

import keras


class TeacherNetwork(keras.layers.Layer):
    """A network that learnt from other people, and is not trained on: S or F learns a head on what it says.

    Its weights are in a file of its name, which `pipelines.networks` writes, and `trained.make` reads as training
    begins. From then on they are among those of S or F, and neither the file nor the packages are needed.

    Who inherits makes all weights in `build`, and then calls this one's; `call` works at full precision, and returns
    what the network says, [B, K].
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dtype=keras.config.floatx())

    def build(self, input_shape: tuple) -> None:
        """Lets the weights stay as they are, once they are made."""
        self.trainable = False  # only what is there already is told

    def by_name(self) -> dict[str, keras.Variable]:
        """Its weights, by the names that they have in the file: their paths below this layer."""
        return {variable.path.split(f"{self.name}/", 1)[1]: variable for variable in self.weights}
