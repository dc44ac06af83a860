"""The command line. `import keras_sepconv` does not import it."""
