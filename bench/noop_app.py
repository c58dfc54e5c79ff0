# SPDX-License-Identifier: Apache-2.0
"""The peer of bench/ingest.py: FastAPI that reads the messages of a round and does
nothing with them."""
from typing import List, Optional

from fastapi import FastAPI
from pydantic import BaseModel


class Message(BaseModel):
    role: str
    content: str
    metadata: Optional[dict] = None


class Round(BaseModel):
    messages: List[Message]


app = FastAPI()


@app.post("/api/v1/sessions/{session_id}/messages")
async def add(session_id: str, round: Round):
    return {"ok": True}
