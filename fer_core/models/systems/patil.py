"""Patil, "Facial Emotion Recognition Using Deep Learning" (thesis, 2023): two CNNs, and SVMs on chosen features.

Printed (sections 4.1 and 4.2): Adam, learning rate 0.01, batch size 32, 25 epochs, and Keras' early stopping with a
``min_delta`` of 0.0001. Not printed: its patience and what it watches. Here it stops after 5 epochs without improvement
of the accuracy on val, which is what the text speaks of, and the best epoch's weights are kept. Dropout rates and
augmentation are not printed either: 0.25, and none.
"""

PATIL = {
    "optimizer": "adam",
    "learning_rate": 0.01,
    "batch_size": 32,
    "schedule": "constant",
    "epochs": 25,
    "patience": 5,
    "min_delta": 0.0001,
    "monitor": "val_accuracy",
}

SVM = {
    "family": "estimator",
    "builder": "svm",
    "input_size": 48,
    "channels": 1,
    "paper": "patil_thesis",
    "system": "svm_fer2013",
    "recipe": {},
}
# Chosen on val after 6,000 training pictures: two sizes of cells did better than either.
HOG = {"features": ("hog",), "hog": {"cells": (6, 8)}, "scaling": "none", "components": 200}

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
    "svm_hog_rbf": SVM
    | {
        "title": "SVM with an RBF kernel on HOG features",
        "arguments": HOG | {"kernel": "rbf", "C": 3.0, "gamma": 0.1},
    },
    "svm_hog_linear": SVM
    | {
        "title": "Linear SVM (liblinear, one class against the rest) on HOG features",
        "arguments": HOG | {"kernel": "linear", "scaling": "zscore", "C": 0.001},
    },
    "svm_hog_poly": SVM
    | {
        "title": "SVM with a cubic kernel on HOG features",
        "arguments": HOG | {"kernel": "poly", "components": 100, "degree": 3, "C": 0.1, "gamma": 0.1},
    },
    "svm_pixels_rbf": SVM
    | {
        "title": "SVM with an RBF kernel on pixels",
        "ship_weights": False,
        "arguments": {"features": ("pixels",), "equalize": "hist", "components": 100}
        | {"kernel": "rbf", "C": 3.0, "gamma": 0.001},
    },
    "svm_landmarks_rbf": SVM
    | {
        "title": "SVM with an RBF kernel on distances and angles of five landmarks",
        "arguments": {"features": ("landmarks",), "kernel": "rbf", "C": 3.0, "gamma": 0.015},
    },
    "svm_ckplus": SVM
    | {
        "title": "SVM with an RBF kernel on HOG features, for CK+",
        "system": "svm_ckplus",
        "arguments": HOG | {"kernel": "rbf", "C": 3.0, "gamma": "scale"},
    },
    # The compact network's 256 pooled features; name another run and its weights_sha256 for another network.
    "svm_embedding_rbf": SVM
    | {
        "title": "SVM with an RBF kernel on the embeddings of compact",
        "arguments": {"features": ("embedding",), "components": 50, "kernel": "rbf", "C": 1.0, "gamma": 0.001}
        | {
            "embedding": {
                "run": "fer2013-compact-s0-20261125",
                "weights_sha256": "3e7175d566c3fda7af0ece81c59efcd4a450597ab09f71e373bacd4c8b887afc",
            }
        },
    },
}
