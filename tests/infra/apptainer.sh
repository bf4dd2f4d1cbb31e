#!/usr/bin/env bash
# Install Apptainer, and what builds images (mmdebstrap), for tests, on Debian as root.
# Debian has Apptainer in unstable only. There its package and the C library that it was built with are taken
# from; they lie apart, and the system's own libraries stay.
set -euo pipefail

packages=(squashfs-tools squashfuse fuse2fs uidmap mmdebstrap)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if command -v apptainer >/dev/null && [ ${#missing[@]} = 0 ]; then
    exit 0
fi
apt-get update -qq
if ! command -v apptainer >/dev/null; then missing+=(patchelf); fi
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
command -v apptainer >/dev/null && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{state/lists/partial,cache/archives/partial,unpacked}
apart=/opt/apptainer-libraries
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Component: main' | grep -v security | sort -u | head -n 1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror%/} unstable main" >"$work/list"
apt_unstable() {
    apt-get -qq -o Dir::State="$work/state" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$work/cache" \
        -o Dir::Etc::sourcelist="$work/list" -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root "$@"
}
apt_unstable update
cd "$work"
apt_unstable download apptainer libc6 libseccomp2 libsqlite3-0
mkdir -p "$apart"
for package in libc6_* libseccomp2_* libsqlite3-0_*; do dpkg -x "$package" "$apart"; done
dpkg -x apptainer_* unpacked
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")
libraries=$apart/usr/lib/$triplet
loader=$(find "$libraries" -name 'ld-linux*.so.*' | head -n 1)
for binary in unpacked/usr/bin/apptainer unpacked/usr/lib/*/apptainer/bin/starter; do
    patchelf --force-rpath --set-interpreter "$loader" --set-rpath "$libraries" "$binary"
done
# root in a container gets no more rights than a user
sed -i 's/^root default capabilities = full/root default capabilities = no/' unpacked/etc/apptainer/apptainer.conf
cp -a unpacked/etc/apptainer /etc/
cp -a unpacked/usr/lib/*/apptainer "/usr/lib/$triplet/"
cp unpacked/usr/bin/apptainer /usr/bin/
mkdir -p /var/lib/apptainer/mnt/session
apptainer --version
