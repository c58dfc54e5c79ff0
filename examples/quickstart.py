#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The public SDK against memfuse: pip install memfuse; quickstart.py [URL]"""
import sys

from memfuse import MemFuse

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8765"

with MemFuse(base_url=url) as client:
    # Finds the user and the agent or makes them; a session without a name is a new one.
    memory = client.init(user="alice", agent="guide")

    # On disk and searchable when this returns.
    memory.add([
        {"role": "user", "content": "My bicycle is green and stands behind the library."},
        {"role": "assistant", "content": "Good, I will remember that."},
    ])

    # Of all of alice's sessions.
    for hit in memory.query("Which colour has my bicycle?", top_k=2)["data"]["results"]:
        print(f"{hit['score']:.2f}  {hit['role']}: {hit['content']}")
