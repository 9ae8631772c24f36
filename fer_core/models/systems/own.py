"""FERscope's own networks, trained from random weights, and the baselines they are compared with."""

AUGMENTATION = {"crop": 0.92, "flip": 0.5, "rotation": 10.0, "zoom": 0.1, "brightness": 0.2, "contrast": 0.2}
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
    "augmentation": AUGMENTATION,
    "tta": "ten_view",
}

SYSTEMS: dict[str, dict] = {
    "compact": {
        "title": "Compact: eight 3x3 convolutions, width 32",
        "family": "network",
        "builder": "plain_cnn",
        "input_size": 44,
        "channels": 1,
        "arguments": {"width": 32, "stages": (2, 2, 2, 2), "dropout": 0.1},
        # Small pictures first: a pass at 32 pixels costs half of one at 44, and the last passes mend the difference.
        "recipe": FROM_SCRATCH | {"epochs": 40, "sizes": [[32, 26], [44, 14]]},
    },
    "wide": {
        "title": "Wide: eight 3x3 convolutions, width 64",
        "family": "network",
        "builder": "plain_cnn",
        "input_size": 44,
        "channels": 1,
        "arguments": {"width": 64, "stages": (2, 2, 2, 2), "dropout": 0.2},
        "recipe": FROM_SCRATCH | {"epochs": 100, "mixup": 0.2, "augmentation": AUGMENTATION | {"erase": 0.5}},
    },
    "vgg16": {
        # Stands beside Kumar & Ukken's best system too: its augmentation and batch norm, but all layers trained, with
        # SGD, from random weights, and a batch norm after each convolution.
        "title": "VGG16 with batch normalisation, from scratch",
        "family": "network",
        "builder": "vgg",
        "input_size": 44,
        "channels": 1,
        "paper": "kumar_ukken",
        "system": "VGG16_modified",
        "arguments": {"stages": ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), "dropout": 0.3},
        "recipe": FROM_SCRATCH | {"epochs": 12, "learning_rate": 0.05, "sizes": [[32, 8], [44, 4]], "tta": "flip"},
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
