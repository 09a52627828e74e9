"""Stand-ins for modules that many import and few use: the real thing is imported when it is asked for something."""

from __future__ import annotations

import importlib
import sys
from copy import copy
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
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
        if name.startswith("__") and name != "__all__":  # whoever looks through all modules wants no news of this one
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

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as modules are by those who can: by name."""
        return importlib.import_module, (self.__name__,)


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
    with _taking_out:  # nothing is imported under it: who imports holds locks that another thread may wait for
        # a copy is made at a stroke; a list of items is not, and another thread may import something meanwhile
        found = {name: module for name, module in sys.modules.copy().items() if isinstance(module, StandIn)}
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


_taking_out = RLock()


class _Parts:
    """Finds the parts of a package that has a stand-in: imports the real package first, as importing a part does."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if not isinstance(sys.modules.get(name.rpartition(".")[0]), StandIn):
            return None
        give_way()
        module = importlib.import_module(name)
        if not isinstance(module.__spec__, ModuleSpec):
            return None
        if not isinstance(module.__spec__.loader, _Loaded):
            found = copy(module.__spec__)
            found.loader = _Loaded(module)
            vars(module)["__spec__"] = found  # Python takes that in place of what is returned
        return module.__spec__


class _Loaded(Loader):
    """Hands over a module that is imported already; Python would execute it once more."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__spec__"] = self._spec  # modules of settings refuse others by `setattr`
