"""Which module of the library imports which: no circles, and no imports of a higher layer.

Imports inside functions count, those under `if TYPE_CHECKING` do not.
"""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "tlkit"


def module_of(path, root):
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_graph(root):
    """Return the modules of a package and, of each, the modules of the package that it imports.

    `from package import name` is an import of the module `package.name` where there is one; the package itself is
    loaded with it, but only counts where a name is taken from it.
    """
    files = {module_of(path, root): path for path in sorted(root.rglob("*.py"))}
    graph = {}
    for module, path in files.items():
        found = set()
        for node in imports(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
                continue
            package = node.module or ""
            if node.level:
                base = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                package = ".".join([*base[: len(base) - node.level + 1], *filter(None, [node.module])])
            for alias in node.names:
                whole = f"{package}.{alias.name}"
                found.add(whole if whole in files else package)
        graph[module] = {name for name in found if name in files and name != module}
    return graph


def imports(tree):
    """Yield the import statements of a module that are executed at some time."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield from imports(ast.Module([other], []))
        else:
            yield from imports(node)


def circles(graph):
    """Return the strongly connected components of more than one module (Tarjan 1972, "Depth-first search")."""
    number, low, stack, found = {}, {}, [], set()

    def visit(module):
        number[module] = low[module] = len(number)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in number:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], number[other])
        if low[module] == number[module]:
            at = stack.index(module)
            component = frozenset(stack[at:])
            del stack[at:]
            if len(component) > 1:
                found.add(component)

    for module in sorted(graph):
        if module not in number:
            visit(module)
    return found


def layers():
    """Return the layers of import-linter's contracts, highest first: container -> layers -> names of modules."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    return {
        container: [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
        for contract in contracts
        if contract["type"] == "layers"
        for container in contract["containers"]
    }


def upward(graph, layers_of):
    """Return the imports (importer, imported) of a layer above, or beside in the same layer."""
    found = set()
    for container, floors in layers_of.items():
        floor_of = {name: floor for floor, names in enumerate(floors) for name in names}

        def place(module, container=container, floor_of=floor_of):
            inside = (
                module.removeprefix(f"{container}.").partition(".")[0] if module.startswith(f"{container}.") else ""
            )
            return inside, floor_of.get(inside)

        for module, imported in graph.items():
            (here, floor), rest = place(module), {other: place(other) for other in imported}
            if floor is not None:
                found |= {
                    (module, other)
                    for other, (there, level) in rest.items()
                    if level is not None and level <= floor and there != here
                }
    return found


@cache
def library():
    return import_graph(LIBRARY)


def test_no_modules_import_each_other_in_a_circle():
    assert sorted(map(sorted, circles(library()))) == []


def test_no_module_imports_a_higher_layer():
    assert sorted(upward(library(), layers())) == []


def write_package(folder, **modules):
    root = folder / "package"
    root.mkdir()
    (root / "__init__.py").touch()
    for name, source in modules.items():
        (root / f"{name}.py").write_text(source)
    return import_graph(root)


def test_a_circle_is_found_also_through_an_import_inside_of_a_function(tmp_path):
    graph = write_package(
        tmp_path,
        a="from package import b",
        b="import package.c",
        c="def later():\n    from .a import name",
        d="from package.a import name",
    )
    assert graph["package.c"] == {"package.a"}
    assert circles(graph) == {frozenset({"package.a", "package.b", "package.c"})}


def test_an_import_for_type_checking_makes_no_circle(tmp_path):
    source = "import typing\nif typing.TYPE_CHECKING:\n    from package.a import name\nelse:\n    import package.c"
    graph = write_package(tmp_path, a="from package.b import name", b=source, c="")
    assert graph == {"package": set(), "package.a": {"package.b"}, "package.b": {"package.c"}, "package.c": set()}
    assert circles(graph) == set()


def test_an_import_of_a_higher_layer_is_found(tmp_path):
    graph = write_package(tmp_path, top="", floor="def later():\n    import package.top", side="import package.floor")
    assert upward(graph, {"package": [["top"], ["floor", "side"]]}) == {
        ("package.floor", "package.top"),
        ("package.side", "package.floor"),
    }
