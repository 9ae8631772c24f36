"""Settings of trainings: what makes no sense is refused, and changes of a recipe are of what they name alone."""

from dataclasses import asdict, replace

import pytest

from fer_core.errors import ConfigError
from fer_core.training.config import Augmentation, TrainConfig
from fer_core.training.run import recipe


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "lion"},
        {"schedule": "step"},
        {"precision": "float8"},
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": -1.0},
        {"warmup_epochs": 99},
        {"label_smoothing": 1.0},
        {"ema": 1.0},
        {"augmentation": {"crop": 0.0}},
        {"augmentation": {"sparkle": 1}},
        {"colour": "blue"},
        {"mixup": "much"},
        {"epochs": 2.5},
        {"sizes": 32},
        {"sizes": [[32, "all"]]},
        {"classes": "happy"},
        {"faces": 1},
        {"augmentation": {"flip": "often"}},
        {"augmentation": {"flip": 10}},
        {"augmentation": {"zoom": 10}},
        {"augmentation": {"erase": -0.5}},
        {"augmentation": {"shift": 1}},
        {"tta": "five_view"},
        {"seed": -1},
        {"min_delta": -0.1},
        {"input_size": -48},
        {"sizes": [[32, 0]]},
        {"sizes": [[0, 30]]},
        {"sizes": [[32, 40], [48, -10]]},
        {"augmentation": 1},
        {"arguments": 1},
    ],
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(ConfigError):
        TrainConfig.from_dict(change)


def test_a_change_of_augmentation_leaves_the_rest_of_it_as_the_recipe_has_it():
    own = recipe("compact").augmentation
    assert own.flip and own.rotation and own.crop < 1
    assert recipe("compact", {"augmentation": {"flip": 0.0}}).augmentation == replace(own, flip=0.0)
    assert recipe("compact", {"augmentation": {}}).augmentation == own
    assert recipe("compact", {"augmentation": asdict(own) | {"crop": 1.0}}).augmentation == replace(own, crop=1.0)
    assert recipe("compact", {"augmentation": "none"}).augmentation == Augmentation()
    stored = TrainConfig.from_dict({"augmentation": {"flip": 0.5}})
    assert stored.augmentation == Augmentation(flip=0.5), "what is stored is the whole of it"


def test_an_unknown_augmentation_is_named_with_those_there_are():
    said = (
        r"no augmentation setting flop\. Received {'flop': 1}\. Expected some of crop, flip, rotation, zoom, brightness"
    )
    with pytest.raises(ConfigError, match=said):
        recipe("compact", {"augmentation": {"flop": 1}})
    with pytest.raises(ConfigError, match=r"Received 'all'.*none leaves all of it out"):
        recipe("compact", {"augmentation": "all"})
