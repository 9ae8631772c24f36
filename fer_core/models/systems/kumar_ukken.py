"""Kumar & Ukken, "Facial Expression Recognition using Deep Learning": four ImageNet networks on FER2013.

Optimizer, learning rate, batch size and input size are not printed; these are ours. Early stopping is printed without
a patience (section 3.5); ours trains all epochs and keeps the best. Pictures are enlarged to 160 pixels, chosen on
parts of train and val by a softmax on MobileNetV2's frozen features, among 96, 160 and 192. "Batch normalization
layers" are read as one on the input and one before the softmax: the abstract has them "first, followed by Gaussian
noise, and then the pre-trained model layers". Augmentation is that of section 3.4.2, rotations, flips and zooming, by
amounts of ours; the abstract has shifts in the place of zooming. That reading is trained by
``--set 'augmentation={"zoom": 0, "shift": 0.1}'``.
"""

HEAD_ONLY = {
    "initial_weights": "imagenet",
    "trainable_layers": 0,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "batch_size": 128,
    "epochs": 40,
}
LAST_SIX = {
    "initial_weights": "imagenet",
    "trainable_layers": 6,
    "optimizer": "adam",
    "learning_rate": 3e-4,
    "schedule": "cosine",
    "warmup_epochs": 0.5,
    "batch_size": 64,
    "epochs": 20,
    "augmentation": {"rotation": 10.0, "zoom": 0.1, "flip": 0.5},
}


def _frozen(backbone: str, title: str, system: str) -> dict:
    return {
        "title": f"{title}, frozen, new softmax",
        "family": "network",
        "builder": "backbone_classifier",
        "input_size": 160,
        "channels": 3,
        "paper": "kumar_ukken",
        "system": system,
        "arguments": {"backbone": backbone},
        "recipe": HEAD_ONLY,
    }


def _finetuned(backbone: str, title: str, system: str, recipe: dict | None = None, **arguments) -> dict:
    return _frozen(backbone, title, system) | {
        "title": title,
        "arguments": {"backbone": backbone, "norm": "head", "input_norm": True} | arguments,
        "recipe": LAST_SIX | (recipe or {}),
    }


SYSTEMS: dict[str, dict] = {
    "mobilenetv2_frozen": _frozen("mobilenetv2", "MobileNetV2", "MobileNet_freezed"),
    "vgg16_frozen": _frozen("vgg16", "VGG16", "VGG16_freezed"),
    "xception_frozen": _frozen("xception", "Xception", "Xception_freezed"),
    "resnet50_frozen": _frozen("resnet50", "ResNet50", "ResNet50_freezed"),
    "mobilenetv2_finetuned": _finetuned(
        "mobilenetv2", "MobileNetV2, last six layers and batch norm, augmented", "MobileNet_modified"
    ),
    "vgg16_finetuned": _finetuned("vgg16", "VGG16, last six layers and batch norm, augmented", "VGG16_modified"),
    "vgg16_finetuned_noise": _finetuned(
        "vgg16", "VGG16 fine-tuned, Gaussian noise on the input", "VGG16_mod_noise", noise=0.1
    ),
    "vgg16_finetuned_faces": _finetuned(
        "vgg16", "VGG16 fine-tuned on detected and aligned faces", "VGG16_mod_face", {"faces": True}
    ),
}
