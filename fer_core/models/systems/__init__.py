"""The systems FERscope trains, a module per paper, each a plain dict ``SYSTEMS``. Loads without TensorFlow."""
