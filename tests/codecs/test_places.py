"""A codec is in each place that it needs; a test that fails names the place that was forgotten."""

import inspect
import pickle
import re
import shutil
from dataclasses import fields
from importlib.metadata import entry_points

import numcodecs
import pytest
from places import CORE, ENTRY_POINTS, FORMAT, IDENTIFIERS, LIST, ROOT, TABLE, forgotten

from n1store.codecs import native
from n1store.codecs.catalogue import CATALOGUE
from n1store.codecs.simple_table import SIMPLE_CODECS
from n1store.errors import N1StoreError

OWN = {name: entry for name, entry in CATALOGUE.items() if entry.codec_id.startswith("n1store.")}


def test_simple_codecs_are_in_all_places():
    lines = forgotten(ROOT)
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize("row", SIMPLE_CODECS, ids=lambda row: row.name)
def test_a_forgotten_place_is_named(row, tmp_path):
    """Each line that names a codec is taken out of a copy of the checkout, one after the other."""
    name = row.name
    lines = {
        f"{CORE}/{name}.c": [r'    \.name = "{}",'],
        LIST: [r"CODEC\({}, .*"],
        FORMAT: [r"## `{}`"],
        IDENTIFIERS: [r"\| `{}` .*"],
        TABLE: [r'        name="{}",'],
        ENTRY_POINTS: [r'"n1store.{}" = ".*simple:.*"', r'"n1store.{}" = ".*zarr3:.*"'],
    }
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / CORE, copy / CORE)
    for file in (FORMAT, IDENTIFIERS, TABLE, ENTRY_POINTS):
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, copy / file)
    for place, patterns in lines.items():
        for pattern in patterns:
            content = (ROOT / place).read_text()
            changed = re.sub(f"^{pattern.format(name)}\n", "", content, flags=re.MULTILINE)
            assert changed != content
            (copy / place).write_text(changed)
            (line,) = forgotten(copy)
            (copy / place).write_text(content)
            assert line.startswith(f"{name} is not in ")
            assert place in line or line.endswith(f"a file in {CORE}")


def test_what_was_built_and_installed_is_of_this_checkout():
    remedy = "make setup builds and installs it"
    assert set(native.simple_codec_names()) == {row.name for row in SIMPLE_CODECS}, remedy
    for entry in OWN.values():
        (point,) = entry_points(group="numcodecs.codecs", name=entry.codec_id) or [None]
        assert point is not None, f"{entry.codec_id}: {remedy}"


@pytest.mark.parametrize("name", OWN)
def test_entry_points_are_those_of_the_catalogue(name):
    entry = OWN[name]
    for group, module in (("numcodecs.codecs", None), ("zarr.codecs", "n1store.codecs.zarr3")):
        found = [point.value for point in entry_points(group=group, name=entry.codec_id)]
        home, _, class_name = entry.home.partition(":")
        assert found == [f"{module or home}:{class_name}"], f"{ENTRY_POINTS}, {group}"
    for page, text in ((IDENTIFIERS, entry.codec_id), ("docs/codecs.md", name)):
        assert f"`{text}`" in (ROOT / page).read_text(), page


@pytest.mark.parametrize("name", OWN)
def test_class_for_zarr_has_the_settings_of_that_for_numcodecs(name):
    registry = pytest.importorskip("zarr.registry", reason="Zarr format 3 needs zarr 3")
    from n1store.codecs import zarr3

    try:
        codec = OWN[name].build()
    except N1StoreError as error:
        assert OWN[name].install in str(error)
        pytest.skip(str(error))
    configuration = codec.get_config()
    assert configuration["id"] == OWN[name].codec_id == codec.codec_id
    in_zarr = registry.get_codec_class(OWN[name].codec_id)
    unknown = configuration.keys() - {"id", *(each.name for each in fields(in_zarr))}
    assert not unknown, f"{unknown} are not among the parameters and settings of the row of {name}"
    metadata = in_zarr().to_dict()
    assert metadata["name"] == configuration.pop("id")
    assert metadata.get("configuration", {}) == configuration
    assert in_zarr.from_dict({"configuration": configuration} if configuration else {}) == in_zarr()
    assert numcodecs.get_codec(codec.get_config()) == codec
    for again in (pickle.loads(pickle.dumps(in_zarr())), eval(repr(in_zarr()), vars(zarr3))):
        assert again == in_zarr()
        assert type(again) is in_zarr
    assert inspect.getdoc(in_zarr)
    assert inspect.getdoc(type(codec))


@pytest.mark.parametrize("row", SIMPLE_CODECS, ids=lambda row: row.name)
def test_what_a_format_owes(row):
    # Not above, where they would keep the other tests from naming what is missing.
    if row.kind == "array-array":
        from reference_transforms import UNDO as decoders  # noqa: N811
    else:
        from reference_coders import UNDO as decoders  # noqa: N811
    assert row.name in decoders, "a decoder written from filters/format/codecs.md alone"
    for page in ("docs/codecs.md", "docs/nwb.md", "docs/python.md"):
        assert f"`{row.name}`" in (ROOT / page).read_text(), page
    for target in ("simple_decode", "simple_samples"):
        seeds = (ROOT / "filters/fuzz/corpus" / target).glob(f"{row.name}-*")
        assert list(seeds), "seeds of the fuzz targets: python filters/fuzz/seeds.py"
