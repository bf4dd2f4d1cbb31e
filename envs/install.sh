#!/bin/sh
# Install the packages of one purpose into an image, at the versions and hashes of uv.lock:
#   install.sh PURPOSE    in a folder with pyproject.toml, uv.lock and PURPOSE.txt
set -eu
purpose=$1

python -m pip install --no-cache-dir --root-user-action ignore uv==0.13.9
uv export --quiet --frozen --no-dev --no-emit-project --output-file constraints.txt
uv pip install --system --no-cache --constraint constraints.txt --requirement "$purpose.txt"
python -m pip uninstall --yes --quiet --root-user-action ignore uv
