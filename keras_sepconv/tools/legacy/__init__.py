"""Loads models from files, including those of tf.keras up to 2.15.

`load` has the public function. `reading` finds out the format of a file
(`files`). It passes files of Keras 3 on to Keras. From older files it makes the
model itself: the layers (`config`, `tables`), the graph between them (`graph`,
`ops`, `operations`), the weights (`weights`), and the compile state
(`compile`).
"""

from keras_sepconv.tools.legacy.load import load_model

__all__ = ["load_model"]
