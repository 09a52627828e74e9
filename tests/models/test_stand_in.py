"""A stand-in answers what it knows, and is otherwise the module that it stands for."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tlkit.models.stand_in import StandIn, give_way, put_in

FILES = {
    "host/__init__.py": "",
    "host/guest/__init__.py": "from host.guest.core import answer\nfrom host.guest import settings\nslow = 'slow'\n"
    "__all__ = ['answer', 'core', 'settings']",
    "host/guest/core.py": "import imported\nimported.names.append('core')\nanswer = 42",
    "host/guest/settings.py": "strict = False\nlevel = 1",
    "host/guest/strict.py": """
import sys, types

class Settings(types.ModuleType):
    def __setattr__(self, name, value):
        raise AttributeError(name)

level = 1
sys.modules[__name__].__class__ = Settings
""",
    "host/guest/aside.py": "import imported\nimported.names.append('aside')\nfrom host.guest.core import answer",
    "imported.py": "names = []",
}


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Return a stand-in for the package host.guest, whose part `settings` has one, too."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    import host

    package = StandIn("host.guest", quick="quick", slow="at once")
    put_in(package, StandIn("host.guest.settings"))
    assert host.guest is package
    yield package
    give_way()
    for name in [name for name in sys.modules if name.partition(".")[0] in ("host", "imported")]:
        del sys.modules[name]


def is_loaded():
    return not isinstance(sys.modules["host.guest"], StandIn)


def test_what_it_knows_it_answers_and_nothing_is_imported(stand_in):
    import host.guest
    from host.guest import quick, slow

    assert (host.guest, quick, slow) == (stand_in, "quick", "at once")
    assert importlib.util.find_spec("host.guest").origin.endswith("__init__.py")
    assert not hasattr(stand_in, "__file__")  # as those ask who look through all modules
    assert not is_loaded()


def test_any_other_question_the_real_module_answers_and_from_then_on_all(stand_in):
    from host.guest import answer

    assert answer == 42
    assert is_loaded()
    import host.guest

    assert host.guest is sys.modules["host.guest"] is not stand_in
    assert stand_in.slow == host.guest.slow == "slow"
    with pytest.raises(AttributeError, match="quick"):
        stand_in.quick  # noqa: B018


@pytest.mark.parametrize("part", ["core", "aside"])  # the package imports the first itself
def test_a_part_without_a_stand_in_is_imported_once_and_after_its_package(stand_in, part):
    module = importlib.import_module(f"host.guest.{part}")
    import host.guest
    import imported

    assert is_loaded()
    assert module is sys.modules[module.__name__] is getattr(host.guest, part)
    assert module.answer == 42
    assert imported.names == ["core"] + ["aside"] * (part == "aside")
    assert module.__spec__.origin == module.__file__
    assert importlib.reload(module) is module


def test_a_part_that_is_missing_is_missing(stand_in):
    with pytest.raises(ModuleNotFoundError, match=r"host\.guest\.nowhere"):
        importlib.import_module("host.guest.nowhere")
    from host.guest import answer

    assert answer == 42


def test_asking_where_a_part_lies_leaves_it_whole(stand_in):
    assert importlib.util.find_spec("host.guest.core").origin.endswith("core.py")
    assert importlib.util.find_spec("host.guest.core").origin.endswith("core.py")
    import host.guest.core
    import imported

    assert importlib.reload(host.guest.core) is host.guest.core
    assert imported.names == ["core", "core"]


def test_a_part_that_takes_no_attributes_is_imported_all_the_same(stand_in):  # as torch._dynamo.config is one
    import host.guest.strict

    assert host.guest.strict.level == 1
    assert host.guest.strict.__spec__.origin == host.guest.strict.__file__


def test_all_of_it_can_be_imported_and_it_is_pickled_by_name(stand_in):
    pickled = pickle.dumps(stand_in)
    names = {}
    exec("from host.guest import *", names)
    assert {"answer", "core", "settings"} <= set(names)
    import host.guest

    assert pickle.loads(pickled) is host.guest


def test_threads_that_ask_at_once_are_all_answered(stand_in):
    import host.guest.settings as settings

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    ready = threading.Barrier(8)

    def ask(number):
        ready.wait(10)
        return (stand_in.answer, settings.level, importlib.import_module("host.guest.core").answer)[number % 3]

    try:
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(8))) == [42, 1, 42, 42, 1, 42, 42, 1]
    finally:
        sys.setswitchinterval(before)


def test_what_is_set_reaches_the_real_module_before_and_after_it_is_imported(stand_in):
    import host.guest.settings as held

    held.strict = True
    assert held.strict is True
    assert not is_loaded()
    assert held.level == 1  # which the real module knows
    import host.guest.settings as real

    assert real is not held
    assert real.strict is True
    held.level = 2
    assert (real.level, held.level) == (2, 2)
    real.strict = False
    assert held.strict is False


def test_nothing_is_left_of_it_in_the_import_system(stand_in):
    assert any(getattr(finder, "__name__", "") == "_Parts" for finder in sys.meta_path)
    give_way()
    assert not any(getattr(finder, "__name__", "") == "_Parts" for finder in sys.meta_path)
    import host

    assert "guest" not in vars(host)
    assert not [name for name, module in sys.modules.items() if isinstance(module, StandIn)]
