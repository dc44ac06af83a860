"""Times the layers against stock Keras; `python -m keras_sepconv bench`."""
