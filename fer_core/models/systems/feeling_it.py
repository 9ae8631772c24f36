"""Kroening, Liu, Miftah and Shen, "Feeling It: Emotion Classification with Machine Learning": masked faces.

Printed: inputs of 128 x 128, a learning rate of 1e-4, batch size 32, patience 3 on the validation loss, at most 30
epochs, exact duplicates removed, a stratified 80/20 split of the training pictures; Adam of ResNet50 alone. "Batch
normalization layers" are read as one after each convolution of VGG16, and one before the softmax of ResNet50, which has
its own. Ours: initial weights, global average pooling and a softmax in the place of VGG16's dense layers, and that the
best epoch's weights are kept.
"""

OURS = {"initial_weights": "imagenet", "optimizer": "adam"}
PRINTED = {
    "learning_rate": 1e-4,
    "schedule": "constant",
    "batch_size": 32,
    "epochs": 30,
    "patience": 3,
    "monitor": "val_loss",
    "holdout": 0.2,
    "dedupe": True,
}
# Ours -> the paper's name of the system.
MASKS = {"forehead": "forehead_mask", "eyes": "eye_mask", "mouth": "nose_and_mouth_mask"}
CONTROL = {"vgg16": {"norm": "conv", "dropout": 0.3}, "resnet50": {"norm": "head", "dropout": 0.3}}


def _system(backbone: str, title: str, system: str, arguments: dict, mask: str = "") -> dict:
    return {
        "title": title,
        "family": "network",
        "builder": "backbone_classifier",
        "input_size": 128,
        "channels": 3,
        "paper": "feeling_it",
        "system": system,
        "arguments": {"backbone": backbone} | arguments,
        "recipe": OURS | PRINTED | ({"mask": mask} if mask else {}),
    }


def _five(backbone: str, title: str, masked: dict) -> dict[str, dict]:
    """Plain, with overfitting control, and with each mask on the arguments that the paper chose (``masked``)."""
    printed = {"vgg16": "VGG-16", "resnet50": "ResNet50"}[backbone]
    systems = {
        f"{backbone}_plain": _system(backbone, f"{title}, plain", f"{printed}:no_mask_no_overfitting_control", {}),
        f"{backbone}_bn_dropout": _system(
            backbone,
            f"{title}, batch norm and dropout 0.3",
            f"{printed}:no_mask_overfitting_control",
            CONTROL[backbone],
        ),
    }
    for mask, name in MASKS.items():
        systems[f"{backbone}_masked_{mask}"] = _system(
            backbone, f"{title}, trained with the {mask} mask", f"{printed}:{name}", masked, mask
        )
    return systems


# "All models with masking layers use the same architecture" as VGG16 with batch norm and dropout; ResNet50 without.
SYSTEMS: dict[str, dict] = _five("vgg16", "VGG16", CONTROL["vgg16"]) | _five("resnet50", "ResNet50", {})
