#!/bin/sh
# From WAV files to compressed stores and back: sh examples/demo.sh [FOLDER OF WAV FILES]
set -eu

recordings=${1:-}
if [ ! -d "$recordings" ]; then
    recordings=demo/recordings
    n1store synth "$recordings" --recordings 12 --overwrite
fi
mkdir -p demo

codecs="blosc delta+blosc zstd:level=9"
if python -c "import wavpack_numcodecs" 2>/dev/null; then
    codecs="wavpack $codecs"
else
    echo "WavPack is not installed, so it is left out here"
fi

stores=
for codec in n1 $codecs; do
    store="demo/$(echo "$codec" | tr ':+=' '---').zarr"
    n1store convert "$recordings" "$store" --codec "$codec" --overwrite
    n1store verify "$store" "$recordings"
    stores="$stores $store"
done

echo
n1store bench $stores
