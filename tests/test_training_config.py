"""Settings of trainings: what makes no sense is refused, and changes of a recipe are of what they name alone."""

import shlex
from dataclasses import asdict, replace

import pytest

from fer_core import jobs
from fer_core.commands.train import parse_settings
from fer_core.errors import ConfigError
from fer_core.models.specs import spec
from fer_core.training import run as training
from fer_core.training.config import Augmentation, TrainConfig, config_of_entry, needed_changes
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


@pytest.mark.parametrize(
    "changes",
    [
        {"input_size": 64, "sizes": [[32, 8], [44, 4]]},  # the recipe's own, which 64 alone would scale
        {"input_size": 10, "sizes": [[10, 12]]},  # scaled, the recipe's would be too small
        {"epochs": 6, "sizes": [[44, 6]]},
    ],
)
def test_sizes_are_named_where_the_other_changes_do_not_imply_them(changes):
    """Else a job, a run's command and that of a sweep's best trial would train others."""
    entry = spec("vgg16")
    config = config_of_entry(entry, changes)
    assert needed_changes(entry, config.to_dict()) == needed_changes(entry, changes) == changes
    assert jobs.settings_changed("vgg16", changes) == changes
    told = shlex.split(training._retrain_command("vgg16", "fer2013", config))
    assert recipe("vgg16", parse_settings([word for word in told if "=" in word])) == config


def test_sizes_that_follow_from_the_others_are_not_named():
    entry = spec("vgg16")
    for changes in ({}, {"epochs": 6}, {"input_size": 64}):
        assert needed_changes(entry, config_of_entry(entry, changes).to_dict()) == changes
    assert needed_changes(entry, {"sizes": entry["recipe"]["sizes"]}) == {}


def test_an_unknown_augmentation_is_named_with_those_there_are():
    said = (
        r"no augmentation setting flop\. Received {'flop': 1}\. Expected some of crop, flip, rotation, zoom, brightness"
    )
    with pytest.raises(ConfigError, match=said):
        recipe("compact", {"augmentation": {"flop": 1}})
    with pytest.raises(ConfigError, match=r"Received 'all'.*none leaves all of it out"):
        recipe("compact", {"augmentation": "all"})
