"""MCP servers of the Python SDK with the two tools of interop/isolation.

A tool gets its steps as arguments, and tells the test's stage what it does.

    python server.py stateless | stateful | store

It ends when its standard input does.
"""

import asyncio
import json
import logging
import os
import socket
import sys
import threading
import uuid
import warnings
import weakref

import anyio
import httpx2 as httpx
import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated, ToolsListChanged

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
kind = sys.argv[1]
stage = httpx.AsyncClient(base_url=os.environ["STAGE"], timeout=None, limits=httpx.Limits(max_connections=None))
connections = []  # weak references to the last ones that have been heard of: a broadcast is for as many
subscriptions = weakref.WeakKeyDictionary()  # connection to set of URIs
bus = InMemorySubscriptionBus()


async def note(tag, what):
    with anyio.CancelScope(shield=True):
        await stage.post("/note", json={"tag": tag, "what": what})


def numbered(text, i):
    return f"{text}-n{i};"


async def play(ctx, arguments):
    """Do the steps of a call, and return what it says."""
    tag, said = arguments["tag"], []
    await note(tag, "ran")
    try:
        for step in arguments.get("steps") or []:
            await one(ctx, tag, step, said)
    except anyio.get_cancelled_exc_class():
        await note(tag, "ended cancelled")
        raise
    except Exception as error:
        await note(tag, f"ended failed: {error}")
        return " ".join([*said, f"failed: {error}"])
    await note(tag, "ended well")
    return " ".join(said)


async def one(ctx, tag, step, said):
    text, session, related = step.get("text", ""), ctx.session, ctx.request_id
    numbers = range(step.get("from", 0), step.get("from", 0) + step.get("n", 0))
    match step["do"]:
        case "say":
            said.append(text)
        case "wait":
            await note(tag, f"waits {step['gate']}")
            await stage.get(f"/gate/{step['gate']}")
        case "notify":
            for i in numbers:
                await session.send_log_message("error", numbered(text, i), "run", related)
        case "progress":
            for i in numbers:
                await session.send_progress_notification(step["token"], i + 1, None, numbered(text, i), related)
        case "log":
            await session.send_log_message(step["level"], text, "run", related)
        case "elicit":
            await note(tag, "elicits")
            result = await session.elicit_form(text, {"type": "object", "properties": {}}, related)
            await note(tag, f"elicited {result.action}")
            said.extend(["elicited", result.action])
        case "sample":
            await note(tag, "samples")
            message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=text))
            result = await session.create_message([message], max_tokens=1, related_request_id=related)
            await note(tag, f"sampled {result.model}")
            said.extend(["sampled", result.model])
        case "tool":
            pass  # all sessions of a server have the same tools
        case "updated":
            await bus.publish(ResourceUpdated(uri=step["uri"]))
            for connection, uris in list(subscriptions.items()):
                if step["uri"] in uris:
                    await connection.send_resource_updated(step["uri"])
        case "broadcast":
            for reference in list(connections):
                if (connection := reference()) is not None:
                    await connection.log("emergency", text)
            await bus.publish(ToolsListChanged())
        case other:
            raise ValueError(f"unknown step {other}")


async def call_tool(ctx, params):
    said = await play(ctx, params.arguments or {})
    return types.CallToolResult(content=[types.TextContent(type="text", text=said)])


async def list_tools(ctx, params):
    return types.ListToolsResult(tools=[types.Tool(name=name, input_schema={"type": "object"}) for name in ("run", "look")])


async def list_prompts(ctx, params):
    return types.ListPromptsResult(prompts=[types.Prompt(name="p")])


async def get_prompt(ctx, params):
    return types.GetPromptResult(messages=[])


async def list_resources(ctx, params):
    return types.ListResourcesResult(resources=[types.Resource(uri="note://all", name="all")])


async def read_resource(ctx, params):
    return types.ReadResourceResult(contents=[types.TextResourceContents(uri=params.uri, text="all")])


async def subscribe(ctx, params):
    subscriptions.setdefault(ctx.session._connection, set()).add(str(params.uri))
    return types.EmptyResult()


async def unsubscribe(ctx, params):
    subscriptions.get(ctx.session._connection, set()).discard(str(params.uri))
    return types.EmptyResult()


async def complete(ctx, params):
    return types.CompleteResult(completion=types.Completion(values=["all"]))


async def set_level(ctx, params):
    return types.EmptyResult()  # what to do with it is left to the application


async def remember(ctx, call_next):
    """Know who could be told something."""
    reference = weakref.ref(ctx.session._connection)
    if reference not in connections:
        connections.append(reference)
        del connections[:-8]
    return await call_next(ctx)


class Events(EventStore):
    """One store for all sessions, as in the SDK's examples."""

    def __init__(self):
        self.streams, self.stream_of = {}, {}

    async def store_event(self, stream_id, message):
        event_id = str(uuid.uuid4())
        self.streams.setdefault(stream_id, []).append((event_id, message))
        self.stream_of[event_id] = stream_id
        return event_id

    async def replay_events_after(self, last_event_id, send_callback):
        stream_id = self.stream_of.get(last_event_id)
        if stream_id is None:
            return None
        seen = False
        for event_id, message in self.streams[stream_id]:
            if seen and message is not None:
                await send_callback(EventMessage(message, event_id))
            seen = seen or event_id == last_event_id
        return stream_id


server = Server(
    "isolation",
    version="1",
    on_list_tools=list_tools,
    on_call_tool=call_tool,
    on_list_prompts=list_prompts,
    on_get_prompt=get_prompt,
    on_list_resources=list_resources,
    on_read_resource=read_resource,
    on_subscribe_resource=subscribe,
    on_unsubscribe_resource=unsubscribe,
    on_subscriptions_listen=ListenHandler(bus),
    on_completion=complete,
    on_set_logging_level=set_level,
)
server.middleware.append(remember)
app = server.streamable_http_app(stateless_http=kind == "stateless", event_store=Events() if kind == "store" else None)

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(512)
print(json.dumps({"port": listener.getsockname()[1]}), flush=True)


def end_with_input():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_input, daemon=True).start()
asyncio.run(uvicorn.Server(uvicorn.Config(app, log_level="critical")).serve(sockets=[listener]))
