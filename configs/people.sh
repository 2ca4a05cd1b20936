#!/bin/sh
# Three made-up persons of the portrait world, ten pictures each, and their latents. Needs `domex` in the path.
set -eu
cd "$(dirname "$0")"

person() {
    domex data portraits --person "$2" --count 10 --seed 7 --out "people/$1"
    domex invert --image "people/$1/00000" --keep-noise --out "people/$1-latents"
}

person anna 1
person ben 2
person cleo 3
