"""Clients of the Python SDK for interop/rotation, all of them at once.

The jobs come as JSON on standard input, [{ "url": "...", "token": "...", "era": "..." }], and for each one
line goes out: { "job": 0, "connected": true, "version": "...", "called": true, "again": true, "error": "" }
"""

import asyncio
import json
import logging
import sys

from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

logging.disable(logging.CRITICAL)
redirect = "http://127.0.0.1:7/callback"


class Storage:
    """Has the token from the start."""

    def __init__(self, token):
        self.tokens = OAuthToken(access_token=token, token_type="Bearer")
        self.client = OAuthClientInformationFull(client_id="rotation", redirect_uris=[redirect])

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


async def nobody(*_):
    """Nobody is there: a client that looks for another token is seen doing so, and gets none."""
    raise RuntimeError("nobody signs in")


def message(error):
    """The text of an error, or of the first in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


async def run(job):
    outcome = {"connected": False, "version": "", "called": False, "again": False, "error": ""}
    auth = OAuthClientProvider(
        job["url"], OAuthClientMetadata(redirect_uris=[redirect]), Storage(job["token"]), nobody, nobody
    )

    async def call(client):
        try:
            return not (await client.call_tool("echo", {})).is_error
        except Exception as error:
            outcome["error"] = outcome["error"] or message(error)
            return False

    try:
        async with create_mcp_http_client(auth=auth) as http:
            over = streamable_http_client(job["url"], http_client=http)
            async with Client(over, mode="legacy" if job["era"] < "2026" else "auto") as client:
                outcome["connected"], outcome["version"] = True, client.protocol_version
                outcome["called"] = await call(client)
                outcome["again"] = await call(client)
    except Exception as error:
        outcome["error"] = outcome["error"] or message(error)
    return outcome


async def one(i, job):
    print(json.dumps({"job": i, **await run(job)}), flush=True)


async def main():
    await asyncio.gather(*(one(i, job) for i, job in enumerate(json.load(sys.stdin))))


asyncio.run(main())
