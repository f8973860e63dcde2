"""The rooms of the house: which package or module may know which.

`python tests/unit/test_rooms.py` prints the floors on which rooms and files stand, and the arrows
between rooms.
"""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import n1store

PACKAGE = Path(__file__).resolve().parents[2] / "n1store"

# The drawing. A room knows only rooms on the floors below its own; from the top to the ground:
HOUSE = [
    ["__init__", "__main__"],
    ["cli"],
    ["bench", "study.report"],
    ["conversion", "export", "implant", "inspection", "n1file", "study", "verification"],
    ["sources"],
    ["reference", "store_kinds"],
    ["sizes", "stores.nwb", "stores.zarr"],
    ["codecs.library", "stores"],
    ["codecs", "recording", "session", "system"],
    ["display", "errors", "regular", "version"],
]
FLOORS = {room: floor for floor, rooms in enumerate(reversed(HOUSE)) for room in rooms}


def files():
    """Return the package's files, by the names of their modules without ``n1store.``."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in paths}


def room_of(file):
    """Return a file's room: its package, or itself if it is at the top."""
    return file.rpartition(".")[0] or file


def imports_of(path, known):
    """Return the files that one imports, at whatever place and also only for types."""
    found = set()

    def add(module, name=None):
        if module != "n1store" and not module.startswith("n1store."):
            return
        inner = module.removeprefix("n1store").lstrip(".")
        options = [f"{inner}.{name}".lstrip(".")] if name else []
        options += [inner, f"{inner}.__init__".lstrip("."), "__init__"]
        found.add(next(option for option in options if option in known))

    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for each in node.names:
                add(each.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for each in node.names:
                add(node.module, each.name)
    return found


@cache
def file_arrows():
    known = files()
    return {name: imports_of(path, known) - {name} for name, path in known.items()}


def room_arrows():
    arrows = defaultdict(set)
    for file, targets in file_arrows().items():
        arrows[room_of(file)] |= {room_of(target) for target in targets} - {room_of(file)}
    return dict(arrows)


def floors_of(arrows):
    """Return the floor of each: above all that it knows. Circles have none, and raise."""
    floors = {}

    def floor(name, above):
        if name in above:
            circle = [*above[above.index(name) :], name]
            raise ValueError(f"a circle: {' -> '.join(circle)}")
        if name not in floors:
            floors[name] = 1 + max(
                (floor(other, [*above, name]) for other in sorted(arrows.get(name, ()))), default=-1
            )
        return floors[name]

    for name in sorted(arrows):
        floor(name, [])
    return floors


def test_every_room_is_in_the_drawing():
    assert {room_of(file) for file in files()} == set(FLOORS)


def test_a_file_knows_only_what_is_below_its_room():
    upwards = [
        f"{file} imports {target}"
        for file, targets in file_arrows().items()
        for target in targets
        if room_of(target) != room_of(file) and FLOORS[room_of(target)] >= FLOORS[room_of(file)]
    ]
    assert not upwards


def test_there_are_no_circles_among_files_and_among_rooms():
    floors_of(file_arrows())
    floors_of(room_arrows())


def test_few_floors_are_between_the_command_line_and_errors():
    floors = floors_of(room_arrows())
    assert floors["cli"] - floors["errors"] <= 8


def test_no_module_hides_what_is_public():
    """Importing a module sets an attribute of its package, such as a function of its name."""
    modules = {file.partition(".")[0] for file in files()}
    assert not modules & set(n1store.__all__)
    for name in n1store.__all__:
        assert callable(getattr(n1store, name))


def test_codecs_in_c_know_only_what_is_common():
    core = PACKAGE.parent / "filters/core"
    sources = [path for path in core.glob("*/*") if path.suffix in (".c", ".h")]
    assert len(sources) > 40
    for path in sources:
        for name in re.findall(r'^#include "(.*)"', path.read_text(), re.M):
            folder = (path.parent / name).resolve().parent
            assert folder in (path.parent, core / "common"), f"{path} includes {name}"


def main():
    floors = floors_of(room_arrows())
    arrows = room_arrows()
    for number in sorted(set(floors.values()), reverse=True):
        print(f"{number}  {', '.join(sorted(room for room in floors if floors[room] == number))}")
    count = sum(map(len, arrows.values()))
    print(f"{len(arrows)} rooms, {count} arrows between them, no circles")
    print(
        f"{len(files())} files on {1 + max(floors_of(file_arrows()).values())} floors, no circles"
    )


if __name__ == "__main__":
    main()
