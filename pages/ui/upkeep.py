"""Libraries stay out of garbage collection.

After every run of a page Streamlit collects garbage, and so does Keras, which Streamlit resets then. Either walks every
object of every library, most of them TensorFlow's, while no other session is answered.
"""

import gc
import importlib
import threading

_lock = threading.Lock()
_spared: set[str] = set()


def spare(module: str) -> None:
    """Import ``module``, and spare what it brings, and all else that is there by then, from later collections; once.

    To be called before something is made that shall go away again: cycles among what is spared are never freed.
    """
    with _lock:
        if module not in _spared:
            importlib.import_module(module)
            gc.collect()
            gc.freeze()
            _spared.add(module)
