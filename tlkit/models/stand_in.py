"""Stand-ins for modules that many import and few use: the real thing is imported when it is asked for something."""

from __future__ import annotations

import importlib
import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class StandIn(ModuleType):
    """Stands for a module: gives the answers that it has, and imports the real one for every other question.

    Args:
        name: full name of the module.
        answers: the attributes that need no import.
    """

    def __init__(self, name: str, **answers: Any) -> None:
        super().__init__(name)
        vars(self).update(answers, _answers=answers, _noted={})

    def __getattr__(self, name: str) -> Any:
        """Return the attribute of the real module."""
        if name.startswith("__"):  # whoever looks through all modules wants no news of this one
            raise AttributeError(name)
        give_way()
        return getattr(importlib.import_module(self.__name__), name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Note what is set, for the real module; set it there, once that has taken its place."""
        if name.startswith("__"):
            super().__setattr__(name, value)
        elif sys.modules.get(self.__name__) is self:
            self._noted[name] = vars(self)[name] = value
        else:
            setattr(importlib.import_module(self.__name__), name, value)


def put_in(*modules: StandIn) -> None:
    """Have modules imported in place of the real ones, until `give_way`.

    Args:
        modules: a package before its parts. What they are parts of is imported, or stands before them.
    """
    for module in modules:
        name = module.__name__
        package, _, part = name.rpartition(".")
        vars(sys.modules[package])[part] = module
        module.__spec__ = PathFinder.find_spec(name, sys.modules[package].__path__) or ModuleSpec(name, None)
        module.__path__ = []  # so that Python asks for parts that have no stand-in, see `_Parts`
        sys.modules[name] = module
    if _Parts not in sys.meta_path:
        sys.meta_path.insert(0, _Parts)


def give_way() -> None:
    """Take all stand-ins out; the real modules are imported when they are next asked for."""
    found = {name: module for name, module in sys.modules.items() if isinstance(module, StandIn)}
    for name, module in found.items():
        del sys.modules[name]
        package, _, part = name.rpartition(".")
        if vars(whole := sys.modules.get(package, module)).get(part) is module:
            delattr(whole, part)
    if _Parts in sys.meta_path:
        sys.meta_path.remove(_Parts)
    for module in found.values():  # whoever holds one asks the real module from now on
        for name in (*module._answers, *module._noted):
            vars(module).pop(name, None)
    for module in found.values():
        for name, value in module._noted.items():
            setattr(module, name, value)


class _Parts:
    """Finds the parts of a package that has a stand-in: imports the real package first, as importing a part does."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if not isinstance(sys.modules.get(name.rpartition(".")[0]), StandIn):
            return None
        give_way()
        return ModuleSpec(name, _Loaded(importlib.import_module(name)))


class _Loaded(Loader):
    """Hands over a module that is imported already."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__
        module.__spec__ = None  # else Python takes that in place of what led here, and executes the module once more

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec
