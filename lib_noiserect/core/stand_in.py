"""Objects that stand in for others, and attributes that are replaced for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

_MISSING = object()


class Delegate:
    """Stands in for an object: attributes that are not overridden are read from it."""

    def __init__(self, target: Any, **attributes: Any) -> None:
        self.__dict__.update(_target=target, **attributes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


class ModelStandIn(Delegate):
    """Stands in for a sampler's model: attributes are also set on the model, since samplers set some."""

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._target, name, value)


@contextlib.contextmanager
def replaced(owner: Any, **attributes: Any) -> Iterator[None]:
    """Give `owner` these attributes inside the block, and its former ones after it."""
    former = {name: vars(owner).get(name, _MISSING) for name in attributes}
    try:
        for name, value in attributes.items():
            setattr(owner, name, value)
        yield
    finally:
        for name, value in former.items():
            if value is not _MISSING:
                setattr(owner, name, value)
            elif name in vars(owner):
                delattr(owner, name)
