"""Which WAV files are found for files and folders that are named, and what they are called."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_wav import assert_refused

from n1store.errors import N1StoreError
from n1store.sources.files import find_files


@pytest.fixture
def tree(tmp_path):
    """Return a function that makes files below a folder and returns the folder."""

    def make_files(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        return tmp_path

    return make_files


def labels(sources):
    return [label for _, label in find_files(sources)]


def test_folders_are_searched_through(tree):
    folder = tree("b.wav", "a.WAV", "x/c.Wav", "x/y/z/d.wav", "x/e.txt", "wav", "f.wav.bak")
    found = {label: path for path, label in find_files([folder])}
    assert sorted(found) == ["a.WAV", "b.wav", "x/c.Wav", "x/y/z/d.wav"]
    assert all(path == folder / label for label, path in found.items())


def test_order_does_not_depend_on_the_file_system(tree):
    names = [f"{number:03}.wav" for number in range(50)]
    folder = tree(*reversed(names))
    assert labels([folder]) == names


def test_hidden_files_and_folders_are_left_out(tree):
    folder = tree("a.wav", "._a.wav", ".hidden.wav", ".git/b.wav", "x/.y/c.wav")
    assert labels([folder]) == ["a.wav"]


def test_hidden_files_that_are_named_are_taken(tree):
    folder = tree(".hidden/a.wav", ".b.wav")
    assert labels([folder / ".hidden", folder / ".b.wav"]) == ["a.wav", ".b.wav"]


def test_folder_called_wav_is_searched_and_not_listed(tree):
    assert labels([tree("folder.wav/a.wav")]) == ["folder.wav/a.wav"]


def test_files_may_have_any_name_when_they_are_named(tree):
    folder = tree("a.dat", "b")
    assert labels([folder / "a.dat", folder / "b"]) == ["a.dat", "b"]


def test_same_file_is_listed_once(tree, monkeypatch):
    folder = tree("x/a.wav", "x/b.wav")
    monkeypatch.chdir(folder)
    sources = [Path("x/a.wav"), folder / "x", Path("x"), folder / "x" / ".." / "x" / "b.wav"]
    assert labels(sources) == ["a.wav", "b.wav"]
    assert labels([folder, folder]) == ["x/a.wav", "x/b.wav"]


def test_same_stem_in_different_folders(tree):
    folder = tree("x/a.wav", "y/a.wav", "a.wav", "b.wav")
    assert sorted(labels([folder])) == ["a.wav", "b.wav", "x/a.wav", "y/a.wav"]
    sources = [folder / "x" / "a.wav", folder / "y" / "a.wav", folder / "b.wav"]
    assert labels(sources) == ["x/a.wav", "y/a.wav", "b.wav"]


def test_same_relative_path_below_two_folders(tree):
    folder = tree("one/day/s/a.wav", "two/day/s/a.wav", "two/day/s/b.wav")
    sources = [folder / "one" / "day", folder / "two" / "day"]
    got = labels(sources)
    assert got == ["one/day/s/a.wav", "two/day/s/a.wav", "s/b.wav"]
    assert got == labels([Path(f"{source}/") for source in sources])


def test_relative_sources(tree, monkeypatch):
    folder = tree("x/a.wav", "x/y/b.wav")
    monkeypatch.chdir(folder / "x")
    assert labels([Path(".")]) == ["a.wav", "y/b.wav"]
    assert labels([Path("../x")]) == ["a.wav", "y/b.wav"]
    assert labels([Path("a.wav")]) == ["a.wav"]
    monkeypatch.chdir(folder / "x" / "y")
    assert labels([Path("..")]) == ["a.wav", "y/b.wav"]
    for path, _ in find_files([Path("..")]):
        assert path.is_absolute()
        assert path.exists()


@settings(deadline=None, max_examples=40)
@given(
    names=st.sets(
        st.lists(st.sampled_from(["a", "b", "c.wav"]), max_size=3).map(
            lambda parts: "/".join([*parts, "f.wav"])
        ),
        min_size=1,
        max_size=8,
    ),
    tops=st.sets(st.sampled_from(["", "a", "b", "a/a", "a/b"]), min_size=1),
)
def test_labels_tell_all_files_apart(tmp_path_factory, names, tops):
    folder = tmp_path_factory.mktemp("tree")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    sources = [folder / top for top in sorted(tops) if any((folder / top).rglob("f.wav"))]
    if not sources:
        return
    found = find_files(sources)
    expected = {file for source in sources for file in source.rglob("f.wav")}
    assert {path for path, _ in found} == expected
    assert len({label for _, label in found}) == len(found) == len(expected)
    assert all(path.as_posix().endswith(f"/{label}") for path, label in found)


def test_missing_source_is_an_error(tree):
    folder = tree("a.wav")
    with pytest.raises(N1StoreError, match=r"nowhere\.wav: no such file"):
        find_files([folder, folder / "nowhere.wav"])


def test_folder_without_wav_files_is_an_error(tree):
    folder = tree("a/b.wav", "empty/notes.txt", "hidden/.c.wav")
    for name in ("empty", "hidden"):
        with pytest.raises(N1StoreError, match=rf"{name}: holds no \.wav file"):
            find_files([folder / "a", folder / name])


def test_links_to_files_are_followed_and_duplicates_dropped(tree):
    folder = tree("in/a.wav", "out/b.wav", "out/c.dat")
    (folder / "in" / "link to b.wav").symlink_to("../out/b.wav")
    (folder / "in" / "z link to a.wav").symlink_to("a.wav")
    (folder / "in" / "c.wav").symlink_to("../out/c.dat")
    assert labels([folder / "in"]) == ["a.wav", "c.wav", "link to b.wav"]
    assert labels([folder / "out", folder / "in"]) == ["b.wav", "a.wav", "c.wav"]


def test_broken_links_are_listed_so_that_opening_them_tells(tree):
    folder = tree("a.wav")
    (folder / "broken.wav").symlink_to("nowhere.wav")
    found = find_files([folder])
    assert [label for _, label in found] == ["a.wav", "broken.wav"]
    assert_refused(found[1][0], "cannot be opened")


def test_links_that_lead_to_themselves_are_an_error_and_not_a_crash(tree):
    folder = tree("a.wav")
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "folder").symlink_to(".")
    for source in (folder, folder / "loop.wav"):
        try:
            found = find_files([source])
        except N1StoreError:
            continue
        assert_refused(folder / "loop.wav", "cannot be opened")
        assert folder / "loop.wav" in [path for path, _ in found]


def test_parent_of_a_linked_folder_is_the_target_s_parent(tree):
    folder = tree("here/x.txt", "there/deep/y.txt", "there/a.wav")
    (folder / "here" / "link").symlink_to(folder / "there" / "deep")
    [(path, label)] = find_files([folder / "here" / "link" / ".." / "a.wav"])
    assert label == "a.wav"
    assert path.samefile(folder / "there" / "a.wav")
