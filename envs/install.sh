#!/bin/sh
# Install the packages of one purpose into an image, at the versions and hashes of uv.lock:
#   install.sh PURPOSE    in a folder with pyproject.toml, uv.lock and PURPOSE.txt
set -eu
purpose=$1

python -m pip install --no-cache-dir --root-user-action ignore uv==0.13.9
uv export --quiet --frozen --no-dev --no-emit-project --output-file constraints.txt
sed -i '/^#/d' constraints.txt
if [ "$purpose" = scvi-cpu ]; then
    # PyPI's torch for Linux brings 5 GB of CUDA. The same version without it comes from PyTorch's own index,
    # whose hashes uv.lock does not have: torch alone is installed without one, over https.
    sed -i '/^torch==/,/[^\\]$/{s/^\(torch==[^ ]*\).*/\1/;t;d}' constraints.txt
    export UV_TORCH_BACKEND=cpu
fi
uv pip install --system --no-cache --constraint constraints.txt --requirement "$purpose.txt"
printf '%s %s\n' "$purpose" "$(cat "$purpose.txt" constraints.txt | sha256sum | cut -c1-12)" >/etc/emh-niche-image
python -m pip uninstall --yes --quiet --root-user-action ignore uv
