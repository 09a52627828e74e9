"""A stand-in answers what it knows, and is otherwise the module that it stands for."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import pytest

from tlkit.models.stand_in import StandIn, give_way, put_in

FILES = {
    "host/__init__.py": "",
    "host/guest/__init__.py": "from host.guest.core import answer\nfrom host.guest import settings\nslow = 'slow'",
    "host/guest/core.py": "import imported\nimported.names.append('core')\nanswer = 42",
    "host/guest/settings.py": "strict = False\nlevel = 1",
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
