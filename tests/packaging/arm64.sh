#!/bin/sh
# Unpacks Debian packages for arm64 into a folder, on a machine of any kind:
#     tests/packaging/arm64.sh FOLDER PACKAGE ...
# They are unpacked and never configured, so that nothing of them runs here and no registration with
# the kernel (binfmt_misc) is needed: a program in there is run by qemu-aarch64-static -L FOLDER.
# A folder that was finished, with the same packages, is left as it is.
set -eu

suite=bookworm # Python 3.11, NumPy 1.24, OpenCV 4.6 with GStreamer: the nearest to JetPack 6
folder=$1
shift

[ "$(cat "$folder/.finished" 2>/dev/null)" = "$suite $*" ] && exit 0
rm -rf "$folder" "$folder.part"
mkdir -p "$(dirname "$folder")"
mmdebstrap --quiet --variant=extract --architectures=arm64 --skip=check/qemu \
  --aptopt='APT::Install-Recommends "false"' \
  --include="$(echo "$@" | tr ' ' ',')" "$suite" "$folder.part"
rm -rf "$folder.part/usr/share/doc" "$folder.part/usr/share/locale" "$folder.part/usr/share/man"
echo "$suite $*" >"$folder.part/.finished"
mv "$folder.part" "$folder"
