"""Reads the files of models, those of tf.keras up to 2.15 too.

`reading` opens a file as what it is (`files`) and hands it to Keras, or, where
it is an old one, makes the model itself: the layers (`config`, `tables`), the
graph between them (`graph`, `ops`, `operations`), the weights (`weights`), and
what `compile` had made (`compile`).
"""

from keras_sepconv.tools.legacy.reading import no_weights, read

__all__ = ["no_weights", "read"]
