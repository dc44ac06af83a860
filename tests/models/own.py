"""Models as users write them: one functional, two with their own classes."""

from typing import Any

import keras

layers = keras.layers
_package = keras.saving.register_keras_serializable("models")


def eegnet() -> Any:
    """Returns EEGNet-8,2 (Lawhern et al. 2018) for 64 electrodes, 1 s."""
    inputs = keras.Input((64, 128, 1))
    x = layers.Conv2D(8, (1, 64), padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv2D(
        (64, 1),
        use_bias=False,
        depth_multiplier=2,
        depthwise_constraint=keras.constraints.MaxNorm(1.0),
    )(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("elu")(x)
    x = layers.AveragePooling2D((1, 4))(x)
    x = layers.Dropout(0.5)(x)
    x = layers.SeparableConv2D(16, (1, 16), use_bias=False, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("elu")(x)
    x = layers.AveragePooling2D((1, 8))(x)
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(4)(layers.Flatten()(x))
    return keras.Model(inputs, outputs, name="eegnet")


@_package
class Classifier(keras.Model):
    """Residual separable blocks in a list, with a head in a dictionary."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stem = layers.Conv2D(32, 3, strides=2, padding="same")
        self.blocks = [
            {
                "conv": layers.SeparableConv2D(32, 3, padding="same"),
                "norm": layers.BatchNormalization(),
                "mix": layers.Conv2D(32, 1),
            }
            for _ in range(4)
        ]
        self.pool = layers.GlobalAveragePooling2D()
        self.head = layers.Dense(10)

    def build(self, input_shape: Any) -> None:
        """Makes the weights."""
        self.stem.build(input_shape)
        shape = self.stem.compute_output_shape(input_shape)
        for block in self.blocks:
            for layer in block.values():
                layer.build(shape)
        self.head.build((None, 32))
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the logits."""
        x = keras.ops.relu(self.stem(inputs))
        for block in self.blocks:
            y = block["norm"](block["conv"](x), training=training)
            x = x + block["mix"](keras.ops.relu(y))
        return self.head(self.pool(x))


def _generator() -> Any:
    return keras.Sequential(
        [
            keras.Input((96, 96, 3)),
            layers.Conv2D(24, 1, activation="relu", name="expand"),
            layers.DepthwiseConv2D(5, padding="same", name="spread"),
            layers.BatchNormalization(name="norm"),
            layers.Activation("relu", name="relu"),
            layers.Conv2D(3, 1, activation="tanh", name="image"),
        ],
        name="generator",
    )


def _discriminator() -> Any:
    return keras.Sequential(
        [
            keras.Input((96, 96, 3)),
            layers.SeparableConv2D(
                16, 3, strides=2, activation="relu", name="first"
            ),
            layers.SeparableConv2D(
                32, 3, strides=2, activation="relu", name="second"
            ),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(1, name="real"),
        ],
        name="discriminator",
    )


@_package
class Gan(keras.Model):
    """Makes images from images, with its own training step.

    The generator learns to deceive the discriminator. The discriminator learns
    to distinguish the generator's images from the real ones.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.generator = _generator()
        self.discriminator = _discriminator()
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the images that the generator makes."""
        return self.generator(inputs, training=training)

    def losses_of(self, real: Any, fake: Any) -> Any:
        """Returns the loss; the generator raises it, the other lowers it."""
        ops = keras.ops
        # Least squares, where the fake's gradient reaches both.
        return ops.mean(ops.square(real - 1)) + ops.mean(ops.square(fake))

    def train_step(self, *args: Any) -> Any:
        """Makes one step; each backend does it differently."""
        backend = keras.backend.backend()
        return getattr(self, f"_{backend}_step")(*args)

    def _loss(self, images: Any) -> Any:
        fake = self.discriminator(self(images, training=True), training=True)
        return self.losses_of(self.discriminator(images, training=True), fake)

    def _signed(self, gradients: Any) -> Any:
        """Reverses the signs of the generator's gradients.

        Args:
            gradients: The gradients of all trainable weights, in order.
        """
        mine = {id(w) for w in self.generator.trainable_variables}
        return [
            -gradient if id(weight) in mine else gradient
            for gradient, weight in zip(
                gradients, self.trainable_variables, strict=True
            )
        ]

    def _jax_step(self, state: Any, data: Any) -> Any:
        import jax

        images = data[0]
        trainable, fixed, optimizer, metrics = state

        def compute(trainable: Any, fixed: Any) -> Any:
            variables = (
                *zip(self.trainable_variables, trainable, strict=True),
                *zip(self.non_trainable_variables, fixed, strict=True),
            )
            with keras.StatelessScope(state_mapping=variables) as scope:
                loss = self._loss(images)
            fixed = [
                value if (new := scope.get_current_value(v)) is None else new
                for v, value in zip(
                    self.non_trainable_variables, fixed, strict=True
                )
            ]
            return loss, fixed

        (loss, fixed), gradients = jax.value_and_grad(compute, has_aux=True)(
            trainable, fixed
        )
        trainable, optimizer = self.optimizer.stateless_apply(
            optimizer, self._signed(gradients), trainable
        )
        return {"loss": loss}, (trainable, fixed, optimizer, metrics)

    def _tensorflow_step(self, data: Any) -> Any:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = self._loss(data[0])
        weights = self.trainable_variables
        # The gradient of a Keras variable is the gradient of its value.
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        self.optimizer.apply(self._signed(gradients), weights)
        return {"loss": loss}

    def _torch_step(self, data: Any) -> Any:
        import torch

        self.zero_grad()
        loss = self._loss(data[0])
        loss.backward()
        weights = self.trainable_variables
        gradients = [weight.value.grad for weight in weights]
        with torch.no_grad():
            self.optimizer.apply(self._signed(gradients), weights)
        return {"loss": loss.detach()}
