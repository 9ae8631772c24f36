"""Half precision where it is wanted: bfloat16 activations, float32 weights. Loads without TensorFlow."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def policy(bfloat16: bool) -> Iterator[None]:
    """Networks that are built inside compute in mixed_bfloat16, or in float32."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if bfloat16 else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def has_bfloat16_units() -> bool:
    """Whether this machine multiplies bfloat16 faster than float32: by an accelerator, or see below."""
    return has_accelerator() or processor_has_bfloat16_units()


def has_accelerator() -> bool:
    """Whether Keras computes through JAX on a GPU or TPU."""
    import keras

    if keras.backend.backend() != "jax":
        return False
    import jax

    return jax.default_backend() in ("gpu", "tpu")


def processor_has_bfloat16_units() -> bool:
    """Whether the processor multiplies bfloat16 faster than float32: AMX or AVX512-BF16, told by Linux only."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags
