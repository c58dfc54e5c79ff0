# SPDX-License-Identifier: Apache-2.0
"""Vectors of a server, and how near two of them are.

    TEXTS                          a few that have little in common
    embed(server, texts, **more)   POST /embed, with what else the request says
    cosine(a, b)
"""
import math

TEXTS = [
    "The ferry leaves at seven from the northern pier.",
    "My sister is allergic to peanuts.",
    "He moved the meeting to Thursday.",
    "blue whale",
    "Wir treffen uns um acht am Bahnhof.",
]


def embed(server, texts, **more):
    response = server.request("POST", "/embed", json={"inputs": texts, **more})
    assert response.status_code == 200, response.text
    return response.json()


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
