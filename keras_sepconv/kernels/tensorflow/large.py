"""Depthwise convolutions with large kernels: their gradients are fast."""

import math

import tensorflow as tf

from keras_sepconv._spec import ConvSpec, Tensor
from keras_sepconv.kernels.tensorflow.derivatives import differentiable
from keras_sepconv.kernels.tensorflow.sizes import sizes_of

# TensorFlow's gradient of a large kernel is slow: for 31x31 it takes 50 times
# as long as the convolution itself. A kernel is large if it has at least this
# many taps; the second number is for kernels with one row.
_MANY_TAPS = 25
_MANY_IN_A_ROW = 9

# The gradient of a large kernel is computed image by image, for up to this many
# images. Each image adds an operation to the graph.
_MOST_IN_TURN = 32


def has_large_kernel(spec: ConvSpec, kernel: Tensor) -> bool:
    """Tells whether `large` can convolve, and is faster."""
    many = _MANY_IN_A_ROW if spec.kernel_size[0] == 1 else _MANY_TAPS
    return (
        math.prod(spec.kernel_size) >= many
        and max(spec.strides + spec.dilation_rate) == 1
        and (spec.padding == "valid" or all(n % 2 for n in spec.kernel_size))
        and kernel.shape[-1] == 1
    )


def large(spec: ConvSpec, inputs: Tensor, kernel: Tensor) -> Tensor:
    """Convolves with a large kernel; its gradients are convolutions too.

    The kernel has odd sizes, or the padding is `"valid"`.
    """
    is_same = spec.padding == "same"
    rows, cols = (size - 1 for size in spec.kernel_size)
    before = (rows // 2, cols // 2) if is_same else (0, 0)

    def convolve(image: Tensor, kernel: Tensor) -> Tensor:
        padding = "SAME" if is_same else "VALID"
        return tf.nn.depthwise_conv2d(image, kernel, (1, 1, 1, 1), padding)

    def image_gradient(cotangent: Tensor, kernel: Tensor) -> Tensor:
        kernel = tf.reverse(kernel, (0, 1))
        if is_same:
            return convolve(cotangent, kernel)
        margins = ((0, 0), (rows, rows), (cols, cols), (0, 0))
        image = convolve(tf.pad(cotangent, margins), kernel)
        # For an empty batch, oneDNN returns the sizes of its input.
        return image[:, : inputs.shape[1], : inputs.shape[2]]

    def kernel_gradient(image: Tensor, cotangent: Tensor) -> Tensor:
        batch = image.shape[0]
        if batch is None or batch > _MOST_IN_TURN:
            return of_all_images(image, cotangent)
        # Image by image: all at once takes up to an eighth longer.
        images, cotangents = (
            tf.split(tensor, batch) for tensor in (image, cotangent)
        )
        pairs = zip(images, cotangents, strict=True)
        return tf.add_n([of_all_images(*pair) for pair in pairs])

    def of_all_images(image: Tensor, cotangent: Tensor) -> Tensor:
        """Convolves all images at once, as the channels of one image."""
        sides = sizes_of(cotangent)[:3]
        # TensorFlow raises an error for an empty filter.
        more = [tf.maximum(1 - size, 0) for size in sides]
        filled = ((0, zeros) for zeros in more)
        window = _side_by_side(tf.pad(cotangent, (*filled, (0, 0))))
        margins = (
            (0, more[0]),
            (before[0], before[0] + more[1]),
            (before[1], before[1] + more[2]),
            (0, 0),
        )
        padded = _side_by_side(tf.pad(image, margins))
        sums = tf.nn.depthwise_conv2d(
            padded[None], window[..., None], (1, 1, 1, 1), "VALID"
        )
        sums = tf.reshape(sums, (*kernel.shape[:2], -1, kernel.shape[2]))
        return tf.reduce_sum(sums, 2)[..., None]

    return differentiable(convolve, image_gradient, kernel_gradient)(
        inputs, kernel
    )


def _side_by_side(images: Tensor) -> Tensor:
    """Puts the images of a batch side by side, as channels of one image.

    The result has no batch axis.
    """
    count, rows, cols, channels = sizes_of(images)
    images = tf.transpose(images, (1, 2, 0, 3))
    return tf.reshape(images, (rows, cols, count * channels))
