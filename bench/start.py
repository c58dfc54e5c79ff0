# SPDX-License-Identifier: Apache-2.0
"""Start, idle memory and size: start.py BUILD_DIR"""
import subprocess
import sys
import time
from pathlib import Path

from rig import Server, Verdicts, Wire, build_of, median, probe, room, rss_kib

STARTS = 11


def main(build, folder):
    v = Verdicts()
    probe(folder)
    ms, rss = [], []
    for i in range(STARTS):
        server = Server(build, f"{folder}/data{i}")
        wire = Wire(server.port)
        wire.ask("GET", "/health")
        ms.append(server.start_s * 1e3)
        time.sleep(0.2)
        rss.append(rss_kib(server.pid) / 1024)
        wire.close()
        if server.stop() != 0:
            raise RuntimeError("did not stop well")
    stripped = Path(folder) / "memfuse"
    subprocess.run(["strip", "-o", stripped, build / "memfuse"], check=True)
    print(f"{STARTS} starts in empty folders, ms: " + ", ".join(f"{x:.1f}" for x in sorted(ms)))
    v.say("start to ready, median", median(ms), "ms", 50, at_most=True)
    v.say("idle RSS", max(rss), "MiB", 20, at_most=True)
    v.say("binary without symbols", stripped.stat().st_size / 1e6, "MB", 3, at_most=True)
    v.end()


if __name__ == "__main__":
    with room() as where:
        main(build_of(sys.argv), where)
