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

# ONNX Runtime asks which processor this is, and ends where the answer is not of an ARM. qemu looks
# into the folder first, so that this machine's own answers stay hidden. One core of a Cortex-A76:
mkdir -p "$folder.part/proc" "$folder.part/sys/devices/system/cpu"
printf '%s\t: %s\n' processor 0 BogoMIPS 50.00 \
  Features 'fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp asimdrdm asimddp' \
  'CPU implementer' 0x41 'CPU architecture' 8 'CPU variant' 0x4 'CPU part' 0xd0b 'CPU revision' 1 \
  >"$folder.part/proc/cpuinfo"
for list in possible present; do echo 0 >"$folder.part/sys/devices/system/cpu/$list"; done

echo "$suite $*" >"$folder.part/.finished"
mv "$folder.part" "$folder"
