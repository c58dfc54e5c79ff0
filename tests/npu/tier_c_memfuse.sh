#!/bin/bash
# tier_c_memfuse.sh ARGUMENT..
# memfuse on tier C, for tests which start it as a program: becomes it, in the room of
# XRT225_ROOM, with the build TIER_C_BUILD. Folders of its arguments lie in TMPDIR, which
# is below /tmp. Started by tier_c_main_path.sh.
case $PWD in "$TMPDIR"/*) export NPU_ROOM_CWD=$PWD ;; esac
NPU_ROOM_TMP=$TMPDIR NPU_ROOM_MODEL=${MEMFUSE_TEST_MODEL:-} \
  exec "$(dirname "${BASH_SOURCE[0]}")/npu_room.sh" "$XRT225_ROOM" "$TIER_C_BUILD" \
  /mnt/run/memfuse "$@"
