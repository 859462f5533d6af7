"""Data that comes from files: models refuse what they do not know, and a file with mistakes is answered in words."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import JudgeError
from .text import mistakes


class Data(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


T = TypeVar("T", bound=Data)


def read(path: Path, model: type[T]) -> T:
    """The content of a YAML file. Raises JudgeError where it cannot be read, or is not as the model says."""
    try:
        if path.exists() and not path.is_file():  # a pipe would never end
            raise JudgeError(f"{path} cannot be read: it is no file")
        return model.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise JudgeError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise JudgeError("\n".join([f"{path.name} is not what it should be:", *mistakes(error)])) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # such as a date that there is not
        raise JudgeError(f"{path.name} is no YAML: {' '.join(str(error).split())}") from None
