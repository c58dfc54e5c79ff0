# SPDX-License-Identifier: Apache-2.0
"""The public client, asynchronous."""
import asyncio

import pytest
from memfuse import AsyncMemFuse
from memfuse.utils import MemFuseHTTPError


def in_loop(base_url, body):
    async def run():
        async with AsyncMemFuse(base_url=base_url) as client:
            return await body(client)

    return asyncio.run(run())


def test_a_conversation(base_url):
    async def body(client):
        memory = await client.init(user="async ann", agent="guide", session="trip")
        answer = await memory.add([
            {"role": "user", "content": "I live in Bergen", "metadata": {"n": 1}},
            {"role": "assistant", "content": "A rainy town"}])
        ids = answer["data"]["message_ids"]
        rows = (await memory.read(ids))["data"]["messages"]
        assert [r["content"] for r in rows] == ["I live in Bergen", "A rainy town"]
        assert rows[0]["metadata"]["n"] == 1
        found = (await memory.query("Bergen"))["data"]["results"]
        assert found[0]["id"] == ids[0]
        await memory.update([ids[0]], [{"role": "user", "content": "I live in Porto"}])
        found = (await memory.query_session("Porto"))["data"]["results"]
        assert found[0]["content"] == "I live in Porto"
        await memory.delete(ids[1:])
        listed = (await memory.list_messages())["data"]["messages"]
        assert [r["id"] for r in listed] == ids[:1]
        again = await client.init(user="async ann", agent="guide", session="trip")
        assert again.session_id == memory.session_id

    in_loop(base_url, body)


def test_lists_under_concurrent_adds_are_disjoint_and_complete(base_url):
    async def body(client):
        memory = await client.init(user="async lists")
        answers = await asyncio.gather(*[
            memory.add([{"role": "user", "content": f"note {i}"}]) for i in range(40)])
        sent = {a["data"]["message_ids"][0] for a in answers}
        assert len(sent) == 40

        async def ids(**kw):
            answer = await memory.list_messages(limit=100, **kw)
            return [m["id"] for m in answer["data"]["messages"]]

        buffered, others = await ids(buffer_only=True), await ids(buffer_only=False)
        assert not set(buffered) & set(others)
        assert buffered + others == await ids()
        assert set(buffered) | set(others) == sent

    in_loop(base_url, body)


def test_concurrent_init_of_the_same_names_agrees(base_url):
    """Each client looks first and creates then: all of them at once."""
    async def body(_):
        clients = [AsyncMemFuse(base_url=base_url) for _ in range(8)]
        try:
            memories = await asyncio.gather(*[
                c.init(user="rush", agent="hour", session="jam") for c in clients],
                return_exceptions=True)
        finally:
            for c in clients:
                await c.close()
        made = [m for m in memories if not isinstance(m, Exception)]
        for m in memories:
            # one that looked late may be told that the name is there already
            assert not isinstance(m, Exception) or (
                isinstance(m, MemFuseHTTPError) and m.status_code == 400), m
        assert made
        assert len({(m.user_id, m.agent_id, m.session_id) for m in made}) == 1

    in_loop(base_url, body)


def test_knowledge_and_errors(base_url):
    async def body(client):
        memory = await client.init(user="async knower")
        answer = await memory.add_knowledge(["the museum closes on Mondays"])
        assert answer["status"] == "success"
        found = (await memory.query("when is the museum closed?"))["data"]["results"]
        assert found[0]["id"] == answer["data"]["knowledge_ids"][0]
        with pytest.raises(MemFuseHTTPError) as e:
            await memory.add([{"role": "user", "content": ""}])
        assert e.value.status_code == 422
        with pytest.raises(MemFuseHTTPError) as e:
            await memory.read(["018f0000-0000-7000-8000-000000000000"])
        assert e.value.status_code == 404

    in_loop(base_url, body)


def test_a_user_is_deleted(start_server):
    """The client parses every answer: it needs one with a body here."""
    async def body(client):
        memory = await client.init(user="leaver")
        answer = await client.users.delete(memory.user_id)
        assert answer["status"] == "success"
        with pytest.raises(MemFuseHTTPError) as e:
            await client.users.get(memory.user_id)
        assert e.value.status_code == 404

    in_loop(start_server("server.delete_user_status=200").url, body)
