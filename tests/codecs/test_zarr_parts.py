"""zarr alone reads parts of `n1` chunks, of whatever indexing, from the bytes they need."""

import numpy as np
import pytest

from installed import needs_zarr3

zarr = pytest.importorskip("zarr")
pytestmark = needs_zarr3

STEPS = np.random.default_rng(0).integers(-9, 10, (700, 40))
SAMPLES = np.cumsum(STEPS, axis=0).astype("<i2")
MASK = np.zeros(SAMPLES.shape, bool)
MASK[::97, ::7] = True


@pytest.fixture(params=[None, (600, 40)], ids=["chunks", "shards"])
def array(request, tmp_path):
    from n1store.codecs.zarr3 import N1

    array = zarr.create_array(
        tmp_path / "x.zarr",
        shape=SAMPLES.shape,
        chunks=(300, 40),
        shards=request.param,
        dtype="i2",
        serializer=N1(block_samples=100),
        compressors=None,
    )
    array[:] = SAMPLES
    return zarr.open_array(tmp_path / "x.zarr", mode="r")


@pytest.mark.parametrize(
    "key",
    [
        (slice(10, 20), 5),
        (slice(None), 7),
        (5, slice(None)),
        (slice(290, 310, 7), slice(3, 30, 4)),
        (slice(None), slice(None)),
        (17, 3),
        (slice(10, 10), slice(None)),
    ],
)
def test_slices_and_numbers(array, key):
    np.testing.assert_array_equal(array[key], SAMPLES[key])


def test_lists_and_masks(array):
    rows, columns = [5, 1, 690, 301], [0, 39, 3]
    np.testing.assert_array_equal(array.oindex[rows, columns], SAMPLES[np.ix_(rows, columns)])
    np.testing.assert_array_equal(array.oindex[rows, 3:9], SAMPLES[rows, 3:9])
    np.testing.assert_array_equal(array.vindex[rows[:3], columns], SAMPLES[rows[:3], columns])
    np.testing.assert_array_equal(array.vindex[MASK], SAMPLES[MASK])


def test_only_the_bytes_that_are_needed_are_read(tmp_path, monkeypatch):
    from zarr.storage import LocalStore

    from n1store.codecs.zarr3 import N1

    path = tmp_path / "x.zarr"
    made = {"shape": SAMPLES.shape, "chunks": SAMPLES.shape, "dtype": "i2", "compressors": None}
    zarr.create_array(path, serializer=N1(), **made)[:] = SAMPLES
    array = zarr.open_array(path, mode="r")
    sizes = []
    get = LocalStore.get

    async def counted(self, *arguments, **options):
        content = await get(self, *arguments, **options)
        sizes.append(0 if content is None else len(content))
        return content

    monkeypatch.setattr(LocalStore, "get", counted)
    np.testing.assert_array_equal(array[:, 33], SAMPLES[:, 33])
    size = (path / "c/0/0").stat().st_size
    assert sum(sizes) < 4096 + size / 10


def test_a_flipped_bit_is_an_error_only_where_it_is_needed(tmp_path):
    from n1store.codecs.zarr3 import N1

    path = tmp_path / "x.zarr"
    made = {"shape": SAMPLES.shape, "chunks": SAMPLES.shape, "dtype": "i2", "compressors": None}
    zarr.create_array(path, serializer=N1(), **made)[:] = SAMPLES
    content = bytearray((path / "c/0/0").read_bytes())
    content[-9] ^= 4
    (path / "c/0/0").write_bytes(content)
    array = zarr.open_array(path, mode="r")
    np.testing.assert_array_equal(array[:, 3], SAMPLES[:, 3])
    for key in ((slice(None), 39), (0, slice(None)), (slice(None), slice(None))):
        with pytest.raises(Exception, match="damaged"):
            array[key]
