#!/bin/sh
# From WAV files to compressed stores and back: sh examples/demo.sh [FOLDER OF WAV FILES]
set -eu

recordings=${1:-}
if [ ! -d "$recordings" ]; then
    recordings=demo/recordings
    n1store synth "$recordings" --recordings 12 --overwrite
fi
mkdir -p demo

codecs="n1 blosc delta+blosc zstd:level=9"
if python -c "import wavpack_numcodecs" 2>/dev/null; then
    codecs="$codecs wavpack"
fi

echo "The recordings of $recordings, with these codecs: $codecs."
echo "Each is converted, and verified: all samples are compared with the WAV files."
echo "What the words mean: docs/getting-started.md."

stores=
for codec in $codecs; do
    store="demo/$(echo "$codec" | tr ':+=' '---').zarr"
    n1store convert "$recordings" "$store" --codec "$codec" --overwrite
    n1store verify "$store" "$recordings"
    stores="$stores $store"
done

echo
echo "How fast these stores are read: xRT is seconds of recording for each second of waiting."
n1store bench $stores

# What was seen, in one sentence.
verified=$(n1store verify demo/n1.zarr "$recordings" --json)
measured=$(n1store bench demo/n1.zarr --windows 40 --json)
echo
python - "$verified" "$measured" <<'END'
import json
import sys

verified, (n1,) = map(json.loads, sys.argv[1:])
(speed,) = (
    window["xrt"]["median"]
    for window in n1["random_access"]
    if (window["reader"], window["window_s"]) == ("n1store", 1)
)
print(
    f"{n1['recordings']} recordings: {n1['raw_bytes'] / 1e6:.1f} MB of samples became "
    f"{n1['store_bytes'] / 1e6:.1f} MB on disk with n1 ({n1['store_ratio']:.2f}x), "
    f"{verified['samples']:,} samples of {verified['compared']} files compared and found the "
    f"same, and windows of 1 s are read at {speed:,.0f} times real time."
)
END
