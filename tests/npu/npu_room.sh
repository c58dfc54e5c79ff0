#!/bin/bash
# npu_room.sh ROOM FOLDER COMMAND..
# Runs COMMAND in a private mount namespace, in the root folder ROOM (a Debian with XRT
# 2.25, see docs/npu-testing.md), with a sysfs that has one NPU. FOLDER is seen as /mnt/run
# and is the working folder; nothing in ROOM is changed. Without root it needs user
# namespaces. NPU_ROOM_DEVICE=none: no NPU. Libraries that ROOM lacks come from here.
# NPU_ROOM_MODEL: a folder that is seen as /mnt/model. NPU_ROOM_TMP: one below /tmp that is
# seen there, too. NPU_ROOM_CWD: another working folder, of those. The environment is passed on; libkemu.so of FOLDER is preloaded.
set -euo pipefail

if [ "${1:-}" != --inside ]; then
  if [ "$(id -u)" = 0 ]; then
    exec unshare --mount --propagation private bash "$0" --inside "$@"
  fi
  exec unshare --user --map-root-user --mount bash "$0" --inside "$@"
fi
room=$2
folder=$3
shift 3
libraries=/usr/lib/$(cc -print-multiarch)

# The device's folder has what XRT's plugin reads of it. Its name is that of tier A, as
# the tests are the same.
sysfs() { # of the room
  local device=$1/devices/pci0000:00/0000:c5:00.1
  mount -t tmpfs none "$1"
  mkdir -p "$1"/bus/pci/{devices,drivers/amdxdna} "$1"/bus/{rpmsg,platform} "$1/module/amdxdna"
  [ "${NPU_ROOM_DEVICE:-}" != none ] || return 0
  mkdir -p "$device/accel/accel0"
  ln -s ../../../devices/pci0000:00/0000:c5:00.1 "$1/bus/pci/devices/0000:c5:00.1"
  ln -s ../../../../devices/pci0000:00/0000:c5:00.1 "$1/bus/pci/drivers/amdxdna/0000:c5:00.1"
  echo 0 >"$device/device_type"
  echo 0x1022 | tee "$device/vendor" >"$device/subsystem_vendor"
  echo 0x17f0 | tee "$device/device" >"$device/subsystem_device"
  echo 0x10 >"$device/revision"
  echo "fake NPU" >"$device/vbnv"
  echo 0 | tee "$device/link_width" >"$device/link_speed"
}

dev() { # of the room
  local name
  mount -t tmpfs none "$1"
  mkdir -p "$1/accel" "$1/shm"
  ln -s /proc/self/fd "$1/fd"
  for name in null zero full random urandom; do
    : >"$1/$name"
    mount --bind "/dev/$name" "$1/$name"
  done
  [ "${NPU_ROOM_DEVICE:-}" = none ] || : >"$1/accel/accel0"
}

mount --rbind /proc "$room/proc"
sysfs "$room/sys"
dev "$room/dev"
mount -t tmpfs none "$room/tmp"
mount -t tmpfs none "$room/mnt"
mkdir "$room/mnt/run" "$room/mnt/lib"
mount --bind "$folder" "$room/mnt/run"
mount --bind "$libraries" "$room/mnt/lib"
if [ -n "${NPU_ROOM_MODEL:-}" ]; then
  mkdir "$room/mnt/model"
  mount --bind "$NPU_ROOM_MODEL" "$room/mnt/model"
fi
if [ -n "${NPU_ROOM_TMP:-}" ]; then
  mkdir -p "$room$NPU_ROOM_TMP"
  mount --rbind "$NPU_ROOM_TMP" "$room$NPU_ROOM_TMP"
fi

exec chroot "$room" /usr/bin/env --chdir="${NPU_ROOM_CWD:-/mnt/run}" \
  LD_LIBRARY_PATH="$libraries:/mnt/lib" LD_PRELOAD=/mnt/run/libkemu.so "$@"
