"""What the neural rungs of language modelling and translation share: settings checked, a model built from a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlpladder.config import build
from nlpladder.errors import ConfigError, did_you_mean
from nlpladder.ladder import Rung
from nlpladder.tasks.base import RungSettings
from nlpladder.training.sequence_options import SequenceTrainingOptions


def sequence_training_options(rung: Rung, settings: RungSettings) -> SequenceTrainingOptions:
    """Return the rung's training defaults with `settings.training` on top, names and types checked."""
    wanted = {**rung.training, **settings.training}
    return build(SequenceTrainingOptions, wanted, where=f"the training options of {rung.name}")


def build_model(rung: Rung, wanted: Mapping[str, Any], **decided: Any) -> Any:
    """Build the rung's model with random weights.

    Args:
        rung: Its class and the class's config say which settings there are.
        wanted: Settings of the config.
        decided: Settings that the data decide, such as the size of the vocabulary; those that this config does not
            have are left out.

    Raises:
        ConfigError: for a setting that the config does not have, with the nearest, or a value it refuses.
    """
    model_class = rung.load_class()
    config_class = model_class.config_class
    valid = config_class().to_dict()
    for name in wanted:
        if name not in valid:
            raise ConfigError(f"{rung.name} has no setting {name!r}.{did_you_mean(name, valid)}")
        if name in decided:
            raise ConfigError(f"The setting {name!r} of {rung.name} follows from the data; leave it out.")
    known = {name: value for name, value in decided.items() if name in valid}
    try:
        return model_class(config_class(**{**wanted, **known}))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{rung.name} cannot be built from these settings: {error}") from error
