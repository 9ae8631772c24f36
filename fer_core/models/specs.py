"""Every model FERscope can train, as plain data. Loads without TensorFlow.

A spec names the ``family`` that builds and trains it, the input it takes, the arguments of its builder, and the
``recipe``: the training settings that ``python -m fer_core train <name>`` uses unless told otherwise
(see ``fer_core.training.config.TrainConfig`` for what each means). ``fixed_size`` marks networks that take pictures of
their input size only.
"""

from fer_core.errors import ModelError

# Decay is decoupled in Keras and so not amplified by the momentum of 0.9: 5e-3 acts like the usual L2 of 5e-4.
FROM_SCRATCH = {
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "batch_size": 128,
    "schedule": "cosine",
    "warmup_epochs": 1.0,
    "weight_decay": 5e-3,
    "label_smoothing": 0.1,
    "ema": 0.998,
    "augmentation": {"crop": 0.92, "flip": 0.5, "rotation": 10.0, "zoom": 0.1, "brightness": 0.2, "contrast": 0.2},
    "tta": "ten_view",
}

# Patil, section 4: Adam, learning rate 0.01, batch size 32, 25 epochs; dropout rates and augmentation are not printed.
PATIL = {"optimizer": "adam", "learning_rate": 0.01, "batch_size": 32, "schedule": "constant", "epochs": 25}

MODELS: dict[str, dict] = {
    "compact": {
        "title": "Compact: eight 3x3 convolutions, width 32",
        "family": "network",
        "builder": "plain_cnn",
        "input_size": 44,
        "channels": 1,
        "arguments": {"width": 32, "stages": (2, 2, 2, 2), "dropout": 0.1},
        # Small pictures first: a pass at 32 pixels costs half of one at 44, and the last passes mend the difference.
        "recipe": FROM_SCRATCH | {"epochs": 60, "sizes": [[32, 38], [44, 22]]},
    },
    "wide": {
        "title": "Wide: eight 3x3 convolutions, width 64",
        "family": "network",
        "builder": "plain_cnn",
        "input_size": 44,
        "channels": 1,
        "arguments": {"width": 64, "stages": (2, 2, 2, 2), "dropout": 0.2},
        "recipe": FROM_SCRATCH | {"epochs": 100, "sizes": [[32, 60], [44, 40]]},
    },
    "vgg16": {
        "title": "VGG16 with batch normalisation, from scratch",
        "family": "network",
        "builder": "vgg",
        "input_size": 44,
        "channels": 1,
        "arguments": {"stages": ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), "dropout": 0.3},
        "recipe": FROM_SCRATCH | {"epochs": 12, "learning_rate": 0.05, "sizes": [[32, 8], [44, 4]], "tta": "flip"},
    },
    "patil_cnn": {
        "title": "Patil's CNN for FER2013: kernels of 3x1 and 1x3, one dense layer",
        "family": "network",
        "builder": "asymmetric_cnn",
        "input_size": 48,
        "channels": 1,
        "fixed_size": True,
        "paper": "patil_thesis",
        "system": "cnn_fer2013",
        "arguments": {"dense": (512,), "dropout": 0.25},
        "recipe": PATIL,
    },
    "patil_cnn_ckplus": {
        "title": "Patil's CNN for CK+: kernels of 3x1 and 1x3, two dense layers",
        "family": "network",
        "builder": "asymmetric_cnn",
        "input_size": 48,
        "channels": 1,
        "fixed_size": True,
        "paper": "patil_thesis",
        "system": "cnn_ckplus",
        "arguments": {"dense": (512, 256), "dropout": 0.25},
        "recipe": PATIL,
    },
    "majority": {
        "title": "Majority class of the training split",
        "family": "estimator",
        "builder": "majority",
        "input_size": 48,
        "channels": 1,
        "arguments": {},
        "recipe": {},
    },
    "hog_logistic": {
        "title": "Logistic regression on HOG features",
        "family": "estimator",
        "builder": "hog_logistic",
        "input_size": 48,
        "channels": 1,
        "arguments": {"cell": 6, "C": 0.05},
        "recipe": {},
    },
}


def spec(name: str) -> dict:
    """The entry of ``MODELS`` called ``name``.

    Raises:
        ModelError: there is none.
    """
    try:
        return MODELS[name]
    except KeyError:
        raise ModelError(f"Unknown model {name!r}.", f"Expected one of {', '.join(MODELS)}.") from None
