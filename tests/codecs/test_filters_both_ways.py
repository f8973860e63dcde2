"""Each HDF5 filter's cd_values, from a codec's settings and back; and the same ids everywhere."""

import json
import re
from itertools import product
from types import SimpleNamespace

import h5py
import hdf5plugin  # noqa: F401  (so that the filters of others change cd_values as they do)
import numpy as np
import pytest
from places import ROOT
from test_catalogue import variants
from test_pipelines import CONTENTS, as_parameters

import make_wav as make
from hdf5_checks import Filter as Plugin
from n1store.codecs import hdf5
from n1store.codecs.catalogue import CATALOGUE, codec_of
from n1store.codecs.hdf5_filters import FILTERS, FILTERS_BY_ID, h5py_holds
from n1store.codecs.pipeline import Pipeline
from n1store.codecs.simple_table import SIMPLE_CODECS
from n1store.stores.nwb.chunks import filters_of

CHUNKS = make.on_grid(600, 5), make.noise(40, 64), make.on_grid(17)
SIMPLE = {row.name: row for row in SIMPLE_CODECS}
IN_HDF5 = [name for name, entry in CATALOGUE.items() if entry.hdf5]
# Settings that no cd_values hold, and which decoding does not need.
LOST = {
    "bitshuffle": {"clevel"},  # of lz4, which has no level
    "blosc2": {"filter"},  # bytedelta, which frames know
    "lz4": {"acceleration"},
    "lz4hc": {"id", "level", "acceleration"},
}


def settings_of(name):
    """Return a codec with many of its settings, contents of files among them."""
    files = [key for codec, key in CONTENTS if codec == name and h5py_holds(17)]
    return [*variants(CATALOGUE[name]), *(f"{name}:{key}={CONTENTS[name, key]}" for key in files)]


def in_file(path, filters, shape):
    """Return what a file says of filters of a dataset: id and cd_values of each."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(shape)
    for filter_id, cd_values in filters:
        properties.set_filter(filter_id, h5py.h5z.FLAG_OPTIONAL, cd_values)
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple(shape)
        h5py.h5d.create(file.id, b"x", h5py.h5t.STD_I16LE, space, properties)
    with h5py.File(path) as file:
        stored = file["x"].id.get_create_plist()
        return [stored.get_filter(number)[::2] for number in range(stored.get_nfilters())]


# With default settings, for chunks of 20,000 x 64: as the filters of others have them, which are
# asked for nothing here, and filters/format/stores.md.
GIVEN = {
    "adc": (),
    "shuffle": (2,),
    "n1": (2, 0, 64),
    "wavpack": (2, 0, 64),
    "flac": (5, 0, 64),
    "zstd": (3,),
    "lz4": (),
    "lz4hc": (),
    "lzf": (4, 261, 2560000),
    "bitshuffle": (0, 2),
    "gzip": (6,),
    "zlib": (6,),
    "bz2": (9,),
    "blosc": (2, 2, 2, 2560000, 5, 2, 5),
    "blosc2": (1, 0, 2, 2560000, 5, 2, 5),
    "fletcher32": (),
}


@pytest.mark.parametrize("name", as_parameters(IN_HDF5))
def test_cd_values_are_those_that_are_specified(name):
    pipeline = Pipeline.parse(name).for_hdf5()
    ((filter_id, cd_values),) = pipeline.hdf5((20_000, 64))
    hdf5_filter = FILTERS_BY_ID[filter_id]
    if hdf5_filter.name == "numcodecs":
        configuration = pipeline.stages[0][1].get_config()
        # What it is given: 3 means bytes, 0 samples, of which it must know the channels.
        given = (3, 0) if CATALOGUE[name].kind == "bytes-bytes" else (0, 64)
        text = json.dumps(configuration, separators=(",", ":"), sort_keys=True).encode()
        assert cd_values[:4] == (len(text), *given, 0)
        assert np.array(cd_values[4:], "<u4").tobytes() == text + bytes(-len(text) % 4)
    elif name in SIMPLE:
        default = SIMPLE[name].parameter.default if SIMPLE[name].parameter else 0
        assert cd_values == (() if SIMPLE[name].kind == "bytes-bytes" else (default, 0, 64))
    else:
        assert cd_values == GIVEN[name]


@pytest.mark.parametrize("name", as_parameters(IN_HDF5))
def test_cd_values_of_a_file_give_the_codec_back(tmp_path, name):
    for spec, chunk in product(settings_of(name), CHUNKS):
        pipeline = Pipeline.parse(spec).for_hdf5()
        filters = pipeline.hdf5(chunk.shape)
        if not h5py_holds(len(filters[0][1])):
            continue
        [(filter_id, cd_values)] = in_file(tmp_path / "x.h5", filters, chunk.shape)
        codec = codec_of(FILTERS_BY_ID[filter_id].configuration(*cd_values))
        again = Pipeline(spec, ((CATALOGUE[name], codec),))
        assert again.hdf5(chunk.shape) == filters, spec
        for encoding, decoding in ((pipeline, again), (again, pipeline)):
            decoded = decoding.decode(encoding.encode(chunk), chunk.shape)
            assert decoded.tobytes() == chunk.tobytes(), spec
        before, after = pipeline.stages[0][1].get_config(), codec.get_config()
        different = {key for key in before | after if before.get(key) != after.get(key)}
        assert different <= LOST.get(name, set()), spec


MEANINGLESS = {
    "shuffle": [()],
    # A compressor that numcodecs has not, a shuffle and a level that there are not.
    "blosc": [(), (2, 2, 2, 9, 5, 1, 3), (2, 2, 2, 9, 5, 7, 5), (2, 2, 2, 9, 99, 1, 5)],
    "bitshuffle": [(), (0, 5), (0, 5, 0), (0, 5, 2, 12)],
    "blosc2": [(), (1, 0, 0, 100), (1, 0, 2, 100, 10)],
    "n1": [(), (2,), (9, 0, 4), (2, 0, 4, 2**31), (2, 0, 4, 0, 1), (2, 0, 4, *[9] * 226)],
    "wavpack": [(), (2, 0), (5, 0, 4), (2, 0, 4, 0)],
    "flac": [(), (2, 0), (9, 0, 4), (2, 0, 4, 0)],
    "delta": [(0, 0, 4), (3, 0, 4)],
    "numcodecs": [(), (2, 3, 0, 0), (2**32 - 1, 3, 0, 0, 1)],
}


def codec_in_file(filter_id, cd_values):
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_filter(filter_id, h5py.h5z.FLAG_OPTIONAL, cd_values)
    dataset = SimpleNamespace(id=SimpleNamespace(get_create_plist=lambda: properties))
    (found,) = filters_of(dataset)
    assert found.filter_id == filter_id
    return found.codec


@pytest.mark.parametrize("name", MEANINGLESS)
def test_cd_values_that_mean_nothing_give_no_codec(name):
    for cd_values in MEANINGLESS[name]:
        assert codec_in_file(FILTERS[name].filter_id, cd_values) is None, cd_values


def test_unknown_filter_has_no_codec():
    assert codec_in_file(max(FILTERS_BY_ID) + 1, (1, 2, 3)) is None


def test_ids_are_those_of_the_plugins():
    own = {name: each.filter_id for name, each in FILTERS.items() if each.brought_by == "n1store"}
    assert len(FILTERS_BY_ID) == len(FILTERS)
    assert all(52785 <= filter_id < 2**16 for filter_id in own.values())
    simple = {row.name: row.filter_id for row in SIMPLE_CODECS}
    listed = (ROOT / "filters/core/generic/codecs.def").read_text()
    built = re.findall(r"^CODEC\((\w+), (\d+)\)$", listed, re.M)
    assert {name: int(filter_id) for name, filter_id in built} == simple
    sources = "".join(path.read_text() for path in (ROOT / "filters/hdf5").glob("*.c"))
    plugins = re.findall(r'PLUGIN\((\d+), "(\w+) \(n1store\)"\)', sources)
    assert {name: int(filter_id) for filter_id, name in plugins} | simple == own
    for name in hdf5.plugins():
        info = Plugin(name).info
        assert (info.id, info.name.decode()) == (own[name], f"{name} (n1store)")
    specified = re.findall(
        r"^\| `(\w+)` \|.*?\| (\d+) \|", (ROOT / "filters/format/stores.md").read_text(), re.M
    )
    for name, filter_id in specified:
        assert FILTERS[CATALOGUE[name].hdf5].filter_id == int(filter_id), name
