"""FERscope: train, measure and explain facial-expression recognition models."""
