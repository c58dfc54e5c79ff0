# SPDX-License-Identifier: Apache-2.0
"""Names as people have them, through the public client: it puts the agent's into a header."""
import asyncio

import pytest
from memfuse import AsyncMemFuse, MemFuse

# What http.client can send: Latin-1. The async client sends UTF-8. (Neither escapes "+"
# and "&" when it asks for a name.)
LATIN = ["José", "Zoë: guide", "a b/c", "x" * 1024, "é" * 512]
ANY = LATIN + ["日本語", "гид", "🤖 guide"]


@pytest.mark.parametrize("agent", LATIN)
def test_an_agent_of_any_name_is_made_and_found_again(base_url, agent):
    with MemFuse(base_url=base_url) as client:
        first = client.init(user="ann", agent=agent)
        again = client.init(user="ann", agent=agent)
    assert first.agent_id == again.agent_id and first.agent_id


@pytest.mark.parametrize("agent", ANY)
def test_an_agent_of_any_name_is_made_and_found_again_async(base_url, agent):
    async def run():
        async with AsyncMemFuse(base_url=base_url) as client:
            return [(await client.init(user="bob", agent=agent)).agent_id for _ in range(2)]

    first, again = asyncio.run(run())
    assert first == again and first
