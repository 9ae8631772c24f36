"""FERscope: train, measure and explain facial-expression recognition models."""

import os

# TensorFlow turns oneDNN's convolutions on for processors with AVX512-VNNI, BF16 or AMX only, and says nothing of the
# others; benchmarks/onednn.py measures what they gain. Read when TensorFlow is imported, so it is set here.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
