#!/bin/bash
# tier_c_serve.sh BUILD
# memfuse serve on tier C: a message is added and found again, with a model whose products
# the emulated NPU computes through XRT 2.25, in memfuse's helper process; and the same
# while the device fails. BUILD: as tier_c.sh left it. XRT225_ROOM as there;
# MEMFUSE_TEST_MODEL: the folder of MiniLM. Without them it is skipped (77).
set -euo pipefail
cd "$(dirname "$0")/../.."

build=$(realpath -m "${1:?the build of tier_c.sh}")
room=${XRT225_ROOM:-}
model=${MEMFUSE_TEST_MODEL:-}
port=${NPU_PORT:-18765}
api=http://127.0.0.1:$port
log=$build/serve.log
server=

if [ -z "$room" ] || [ ! -f "$model/config.json" ]; then
  echo "skipped: set XRT225_ROOM and MEMFUSE_TEST_MODEL (docs/npu-testing.md)"
  exit 77
fi
cmake --build "$build" --target memfuse npu_artefacts >"$build/build.log" 2>&1 ||
  { tail -n 40 "$build/build.log"; exit 1; }
"$build/tests/npu_artefacts" "$build/artefacts"

fail() {
  echo "FAILED: $*"
  health || true
  grep -vE 'kemu|store|journal' "$log" | tail -n 20 | sed 's/^/    /'
  exit 1
}

health() { curl -sS --max-time 10 "$api/api/v1/health"; }

# What Python says of the health's "device".
device() { health | python3 -c "import json, sys; d = json.load(sys.stdin)['data']['device']; print(($1))"; }

start() { # device, faults
  MF_FAKE_XRT=$2 NPU_ROOM_MODEL=$model tests/npu/npu_room.sh "$room" "$build" \
    ./memfuse serve --set server.port="$port" --set data.dir=/tmp/data \
    --set embed.model=/mnt/model --set embed.device="$1" \
    --set embed.npu.dir=/mnt/run/artefacts --set embed.npu.module=/mnt/run/npu \
    --set embed.npu.min_rows=1 >"$log" 2>&1 &
  server=$!
}

ready() {
  for _ in $(seq 240); do
    kill -0 $server 2>/dev/null || return 1
    ! health >/dev/null 2>&1 || return 0
    sleep 0.5
  done
  return 1
}

stop() {
  local rc=0
  kill $server
  wait $server || rc=$?
  server=
  [ $rc = 0 ] || fail "memfuse ended with $rc"
}
trap '[ -z "$server" ] || kill $server' EXIT

# Added, listed, found, changed, found, deleted; any refusal ends it.
main_path() {
  local said
  said=$(sh examples/curl.sh "$api" 2>&1) || fail "the main path: $said"
  [[ $said == *'"semantic":true'* ]] || fail "the question was not embedded: $said"
  [[ $said == *'behind the library'*'stands at home'* ]] || fail "not found: $said"
}

embed() { # file
  curl -sS "$api/v1/embeddings" -H 'Content-Type: application/json' -d '{"input": [
    "My bicycle is green and stands behind the library.", "Where is my bicycle?",
    "The price of copper fell in March."], "encoding_format": "float"}' >"$1"
}

echo "== right numbers"
start npu ""
ready || fail "no start"
main_path
embed "$build/npu.json"
[ "$(device "d['state'], d['simulated'], d['verified']")" = "('ready', True, True)" ] || fail "state"
[ "$(device "d['jobs']['failed'] == 0 and d['products']['cpu'] == 0")" = True ] || fail "jobs"
[ "$(device "d['products']['npu'] >= 24")" = True ] || fail "the device was not asked"
stop
start cpu ""
ready || fail "no start"
embed "$build/cpu.json"
stop
python3 - "$build/npu.json" "$build/cpu.json" <<'PY' || fail "the vectors of CPU and NPU differ"
import json, sys
npu, cpu = ([d["embedding"] for d in json.load(open(f))["data"]] for f in sys.argv[1:])
cosines = [sum(x * y for x, y in zip(a, b)) for a, b in zip(npu, cpu)]
print("cosines of CPU and NPU:", [round(c, 5) for c in cosines])
sys.exit(len(cosines) != 3 or min(cosines) < 0.995)
PY

# About 32 commands are for the canary and the first batch.
echo "== one command ends in error"
start npu error@60
ready || fail "no start"
main_path
[ "$(device "d['jobs']['failed'] == 1 and d['products']['cpu'] >= 1")" = True ] || fail "jobs"
stop

echo "== a command never ends"
start npu never@60
ready || fail "no start"
main_path
[ "$(device "d['products']['cpu'] > 0")" = True ] || fail "nothing was computed here"
grep -q 'npu_worker_lost .*its deadline' "$log" || fail "nothing was said"
! grep -q npu_lost "$log" || fail "two that open it again"
main_path
stop

# A young device is looked at in each job.
echo "== results are zeros from then on, and each command says completed"
start npu zeros@60+
ready || fail "no start"
main_path
grep -q 'npu_lost .*code=ECORRUPT' "$log" || fail "nobody saw it"
stop

echo "== no context"
start npu refuse-context
! ready || fail "started without its device"
wait $server && fail "ended with 0" || server=
grep -q 'CREATE_HWCTX IOCTL failed (err=-22): Invalid argument' "$log" || fail "not XRT's sentence"
start auto refuse-context
ready || fail "no start"
[ "$(device "d['name']")" = cpu ] || fail "not on the CPU"
main_path
stop
echo "passed"
