# SPDX-License-Identifier: Apache-2.0
"""The peer of bench/ingest.py: FastAPI that checks the messages, as its users do, and does
nothing with them."""
from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Message(BaseModel):
    role: Literal["user", "assistant", "system"]
    content: str
    metadata: dict | None = None


class Add(BaseModel):
    messages: list[Message]


@app.post("/api/v1/sessions/{session_id}/messages", status_code=201)
async def add(session_id: str, body: Add):
    return {"added": len(body.messages)}
