"""Drawn faces."""
def dataset(): raise NotImplementedError
