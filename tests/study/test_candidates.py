"""Which pipelines are compared: of lists, of codecs, of groups, and of all."""

import numpy as np
import pytest
from numcodecs import Zstd

from n1store.codecs.catalogue import CATALOGUE
from n1store.codecs.pipeline import Pipeline
from n1store.codecs.spec import Entry
from n1store.errors import N1StoreError
from n1store.study.candidates import (
    choose_pipelines,
    parse_pipeline,
    pipelines_of,
    split_codecs,
    variants,
)


def test_list_of_codecs_is_split_between_codecs():
    for text, names in (
        ("a", ["a"]),
        ("a,b,c+d", ["a", "b", "c+d"]),
        (" a , b ,", ["a", "b"]),
        ("blosc:cname=zstd,shuffle=shuffle", ["blosc:cname=zstd,shuffle=shuffle"]),
        ("a:x=1,y=2+b:z=3,w=4,c", ["a:x=1,y=2+b:z=3,w=4", "c"]),
        ("a:x=1, y = 2, b:x=1", ["a:x=1, y = 2", "b:x=1"]),
        ('a+{"id": "b", "x": [1, 2]}', ['a+{"id": "b", "x": [1, 2]}']),
        ("", []),
        (",", []),
    ):
        assert [" ".join(each.split()) for each in split_codecs(text)] == names


def test_all_has_every_codec_of_the_catalogue():
    pipelines, missing = choose_pipelines("all")
    there = {name for pipeline in pipelines for name in pipeline.names}
    wanted = {entry.name for entry in CATALOGUE.values() if entry.group != "checksum"}
    assert there | {each.codec for each in missing} == wanted
    assert all(each.install == CATALOGUE[each.codec].install for each in missing)
    specs = [pipeline.spec for pipeline in pipelines]
    assert len(set(specs)) == len(specs) < 200


def test_a_dozen_is_compared_where_nothing_is_asked_for():
    pipelines, missing = choose_pipelines()
    specs = [pipeline.spec for pipeline in pipelines]
    assert 10 <= len(specs) + len(missing) <= 14
    assert {"n1", "adc+flac", "adc+blosc", "blosc"} <= set(specs)
    # Those that others read, too: without a package of n1store's.
    assert any(
        all(not CATALOGUE[name].packages for name in each.names) and "adc" not in each.names
        for each in pipelines
    )
    for adc in (True, False):
        chosen = [each.spec for each in choose_pipelines(adc=adc)[0]]
        assert len(set(chosen)) == len(chosen)
        assert {each.partition("+")[0] == "adc" for each in chosen if each[:2] != "n1"} == {adc}
        assert "n1" in chosen


def test_variants_are_all_of_blosc_and_the_ends_of_levels():
    blosc = [
        Pipeline.parse(each).stages[0][1].get_config() for each in variants(CATALOGUE["blosc"])
    ]
    assert len({(each["cname"], each["shuffle"]) for each in blosc}) == len(blosc) == 15
    assert variants(CATALOGUE["zstd"]) == ["zstd:level=3", "zstd:level=1", "zstd:level=22"]
    assert variants(CATALOGUE["lz4"]) == ["lz4"]
    assert variants(CATALOGUE["delta"]) == ["delta", "delta:order=2"]
    blosc2 = [each.removeprefix("blosc2:cname=") for each in variants(CATALOGUE["blosc2"])]
    assert len(blosc2) == 9
    assert all(each.startswith("zstd,") or each.endswith("=bitshuffle") for each in blosc2)
    assert "pcodec:level=12" in variants(CATALOGUE["pcodec"])
    for entry in CATALOGUE.values():
        default = entry.parse_parameters(variants(entry)[0].partition(":")[2])
        defaults = {each.name: each.default for each in entry.parameters}
        assert defaults | default == defaults


def test_pipelines_of_a_codec():
    for name, adc, specs in (
        ("gzip", True, ["adc+gzip:level=6", "adc+delta+gzip:level=6"]),
        ("gzip", False, ["gzip:level=6", "delta+gzip:level=6"]),
        ("n1", None, ["n1:level=2", "n1:level=1", "n1:level=3"]),
        ("n1", True, ["n1:level=2", "n1:level=1", "n1:level=3"]),
        ("flac", None, [*(f"adc+flac:level={n}" for n in (5, 1, 8)), "flac:level=5"]),
        ("shuffle", None, ["adc+shuffle+zstd:level=3", "shuffle+zstd:level=3"]),
        (
            "wavpack",
            False,
            [
                *("wavpack:level=2", "wavpack:level=1", "wavpack:level=4"),
                *("wavpack:bps=2.25", "wavpack:bps=3.375", "wavpack:bps=4.5"),
            ],
        ),
    ):
        assert pipelines_of(CATALOGUE[name], adc) == specs


def test_pipelines_named_one_by_one_get_adc_where_it_helps():
    pipelines, missing = choose_pipelines(["zlib,n1", "adc+lz4", "zlib"])
    assert [each.spec for each in pipelines] == ["adc+zlib", "zlib", "n1", "adc+lz4"]
    assert missing == []
    assert [each.spec for each in choose_pipelines("zlib,n1,adc+lz4")[0]] == [
        each.spec for each in pipelines
    ]
    assert [each.spec for each in choose_pipelines(["zlib"], adc=True)[0]] == ["adc+zlib"]
    assert [each.spec for each in choose_pipelines(["zlib"], adc=False)[0]] == ["zlib"]


def test_group_is_its_codecs():
    pipelines, _ = choose_pipelines(groups=["predictive"])
    assert {"n1", "delta"} <= {name for each in pipelines for name in each.names}
    assert all(
        any(CATALOGUE[name].group == "predictive" for name in each.names) for each in pipelines
    )


def test_a_name_that_is_of_a_codec_and_of_a_group_is_asked_for_as_either():
    assert [each.spec for each in choose_pipelines("blosc")[0]] == ["adc+blosc", "blosc"]
    names = {name for each in choose_pipelines(groups="blosc")[0] for name in each.names}
    assert {"blosc", "blosc2"} <= names
    both = [each.spec for each in choose_pipelines("blosc,zlib", "audio, run-length")[0]]
    assert both[:4] == ["adc+blosc", "blosc", "adc+zlib", "zlib"]
    assert {"adc+flac:level=5", "adc+rle"} <= set(both)
    everything = {each.spec for each in choose_pipelines("all")[0]}
    assert {each.spec for each in choose_pipelines("all", "audio")[0]} == everything
    with pytest.raises(N1StoreError, match=r"no group is called 'sound'; there are .*audio") as e:
        choose_pipelines(groups="sound")
    assert "checksum" not in str(e.value)
    with pytest.raises(N1StoreError, match="'audio' is a group of codecs") as error:
        choose_pipelines("audio")
    assert error.value.option == "--groups audio compares them"
    for nothing in ({"codecs": ","}, {"groups": ","}):
        with pytest.raises(N1StoreError, match="no codec to compare"):
            choose_pipelines(**nothing)


def test_codec_that_is_not_installed_is_listed(monkeypatch):
    absent = Entry(
        name="absent",
        codec_id="absent",
        group="audio",
        summary="-",
        kind="bytes-bytes",
        home="not_there:X",
        install="pip install x",
    )
    monkeypatch.setitem(CATALOGUE, "absent", absent)
    pipelines, missing = choose_pipelines("zlib", "audio")
    assert "absent" not in {name for each in pipelines for name in each.names}
    [line] = [each for each in missing if each.codec == "absent"]
    assert "not_there" in line.why
    assert line.install == "pip install x"
    with pytest.raises(N1StoreError, match="pip install x"):
        choose_pipelines(["absent"])


def test_any_codec_of_numcodecs_by_its_configuration():
    blosc = '{"id": "blosc", "cname": "zstd", "clevel": 5, "shuffle": 2, "blocksize": 65536}'
    pipelines, missing = choose_pipelines(["zlib", blosc])
    assert [each.spec for each in pipelines] == ["adc+zlib", "zlib", f"adc+{blosc}", blosc]
    assert missing == []
    samples = np.arange(5000, dtype="<i2").reshape(-1, 2)
    for pipeline in pipelines:
        assert parse_pipeline(pipeline.spec).stages == pipeline.stages
        decoded = pipeline.decode(pipeline.encode(samples), samples.shape)
        assert np.array_equal(decoded, samples)
    # The string says it as JSON has it, whatever blanks were given.
    spaced = ' delta + {"level":22,"id":"zstd"}'
    assert parse_pipeline(spaced).spec == 'delta+{"level": 22, "id": "zstd"}'
    assert parse_pipeline(spaced).stages[1][1] == Zstd(22)


def test_wrong_configurations_are_named():
    for text, words in (
        ('{"id": "blosk"}', "codec not available"),
        ('{"id": "zstd"', "not the configuration of a codec"),
        ('{"level": 3}', "not the configuration of a codec"),
        ('{"id": "zstd", "leve": 3}', "unexpected keyword"),
        ('{"id": "zstd", "level": 1e+20}', "cannot be compared"),
        ('nothing+{"id": "zstd"}', "no codec is called 'nothing'"),
    ):
        with pytest.raises(N1StoreError, match=words) as error:
            choose_pipelines([text])
        assert "\n" not in str(error.value)
