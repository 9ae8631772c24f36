"""Every model FERscope can train, as plain data. Loads without TensorFlow.

A spec names the ``family`` that builds and trains it, the input it takes, the arguments of its builder, and the
``recipe``: the training settings that ``python -m fer_core train <name>`` uses unless told otherwise
(see ``fer_core.training.config.TrainConfig`` for what each means). ``fixed_size`` marks networks that take pictures of
their input size only. ``paper`` and ``system`` name the row of ``artifacts/reported`` that a spec reproduces. A recipe
whose ``initial_weights`` is ``imagenet`` needs weights that Keras downloads, or ``FER_PRETRAINED_DIR``.
"""

from fer_core.errors import ModelError
from fer_core.models.systems import feeling_it, kumar_ukken, own, patil, ugwu

MODELS: dict[str, dict] = own.SYSTEMS | kumar_ukken.SYSTEMS | feeling_it.SYSTEMS | ugwu.SYSTEMS | patil.SYSTEMS


def spec(name: str) -> dict:
    """The entry of ``MODELS`` called ``name``.

    Raises:
        ModelError: there is none.
    """
    try:
        return MODELS[name]
    except KeyError:
        raise ModelError(f"Unknown model {name!r}.", f"Expected one of {', '.join(MODELS)}.") from None
