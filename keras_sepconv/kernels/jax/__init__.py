"""The kernels of the JAX backend, the fastest first.

Read the files in this order:

- `dispatch`: what runs for one call;
- `primitive`, `depthwise`, `separable`: derivatives and platforms;
- `blocks`: the steps on a CPU, a few images at a time;
- `taps`: the sums.
"""

from keras_sepconv.kernels.jax.dispatch import KERNEL

KERNELS = (KERNEL,)
