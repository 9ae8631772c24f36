"""Patil, "Facial Emotion Recognition Using Deep Learning" (thesis, 2023): two CNNs, and SVMs on chosen features."""

# Patil, section 4: Adam, learning rate 0.01, batch size 32, 25 epochs; dropout rates and augmentation are not printed.
PATIL = {"optimizer": "adam", "learning_rate": 0.01, "batch_size": 32, "schedule": "constant", "epochs": 25}

SYSTEMS: dict[str, dict] = {
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
}
