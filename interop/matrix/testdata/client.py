"""A client of the Python SDK, with its own OAuth provider, for interop/matrix.

The job comes as JSON on standard input, as that of node/client.mjs, and for each step one line goes out:
{ "step": "...", "ok": true, "text": "..." }
"""

import asyncio
import json
import logging
import sys
from contextlib import AsyncExitStack
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata

logging.disable(logging.CRITICAL)


class Storage:
    """Keeps what it is given, and knows the client's id if an administrator gave it one."""

    def __init__(self, job):
        self.tokens = None
        self.client = None
        if job.get("clientId"):
            self.client = OAuthClientInformationFull(
                client_id=job["clientId"],
                redirect_uris=[job["redirect"]],
                token_endpoint_auth_method="none",
            )

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class Person:
    """The person with a browser, at the other end of job["browser"]."""

    def __init__(self, job):
        self.browser = job["browser"]
        self.back = {}

    async def redirect(self, url):
        async with httpx2.AsyncClient(timeout=30) as http:
            answer = await http.post(self.browser, content=url)
        if answer.status_code != 200:
            raise RuntimeError(answer.text)
        self.back = {name: values[0] for name, values in parse_qs(urlsplit(answer.text).query).items()}

    async def callback(self):
        if "error" in self.back:
            raise RuntimeError(self.back["error"])
        return AuthorizationCodeResult(**{name: self.back.get(name) for name in ("code", "state", "iss")})


def message(error):
    """The text of an error, or of the first in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


async def main():
    job = json.load(sys.stdin)
    person = Person(job)
    metadata = OAuthClientMetadata(
        client_name="interop",
        redirect_uris=[job["redirect"]],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    auth = OAuthClientProvider(job["url"], metadata, Storage(job), person.redirect, person.callback)
    client = None

    async def do(step):
        nonlocal client
        verb, _, argument = step.partition(":")
        if verb == "connect":
            http = await stack.enter_async_context(create_mcp_http_client(auth=auth))
            client = await stack.enter_async_context(Client(streamable_http_client(job["url"], http_client=http)))
        elif verb == "list":
            return " ".join(sorted(tool.name for tool in (await client.list_tools()).tools))
        elif verb == "wait":
            await asyncio.sleep(float(argument))
        elif verb == "operator":
            async with httpx2.AsyncClient(timeout=30) as http:
                await http.post(f"{job['browser']}/{argument}")
        else:
            result = await client.call_tool(argument, {})
            if result.is_error:
                raise RuntimeError(result.content[0].text)
            return result.content[0].text
        return ""

    def report(step, ok, text):
        print(json.dumps({"step": step, "ok": ok, "text": text}), flush=True)

    # An authorization that fails in a call ends the whole connection: the error comes out of the stack.
    step = ""
    try:
        async with AsyncExitStack() as stack:
            for step in job["steps"]:
                try:
                    report(step, True, await do(step))
                except Exception as error:
                    report(step, False, message(error))
                    if step == "connect":
                        break
    except Exception as error:
        report(step, False, message(error))


asyncio.run(main())
