// MCP servers of the TypeScript SDK with the two tools of interop/isolation. A
// tool gets its steps as arguments, and tells the test's stage what it does.
//
//   node isolation.mjs stateless | sessions   SDK 1.x
//   node isolation.mjs store                  the same with one event store for all sessions
//   node isolation.mjs stores                 and with one for each
//   node isolation.mjs modern                 SDK 2.x, both eras
//
// It ends when its standard input does.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import * as types from "@modelcontextprotocol/sdk/types.js";
import { createMcpHandler, Server as Server2 } from "@modelcontextprotocol/server";

const [, , kind] = process.argv;
const stage = process.env.STAGE;
const servers = new Set(); // those that are connected, in their order
const lately = 8; // a broadcast is for as many: the tests leave others behind
const subscriptions = new Map(); // server to set of URIs

const note = async (tag, what) =>
  tag && fetch(`${stage}/note`, { method: "POST", body: JSON.stringify({ tag, what }) }).then((r) => r.arrayBuffer());
const numbered = (text, i) => `${text}-n${i};`;

// play does the steps of a call. What needs a server is in hands.
async function play({ tag, steps = [] }, hands) {
  await note(tag, "ran");
  const said = [];
  try {
    for (const step of steps) await one(tag, step, hands, said);
  } catch (error) {
    const how = hands.signal.aborted ? "cancelled" : `failed: ${error.message}`;
    await note(tag, `ended ${how}`);
    return [...said, how].join(" ");
  }
  await note(tag, "ended well");
  return said.join(" ");
}

async function one(tag, { do: what, text, n = 0, from = 0, token, level, gate, uri }, hands, said) {
  switch (what) {
    case "say":
      said.push(text);
      return;
    case "wait":
      await note(tag, `waits ${gate}`);
      await (await fetch(`${stage}/gate/${gate}`, { signal: hands.signal })).arrayBuffer();
      return;
    case "notify":
      for (let i = from; i < from + n; i++)
        await hands.notify("notifications/message", { level: "error", logger: "run", data: numbered(text, i) });
      return;
    case "progress":
      for (let i = from; i < from + n; i++)
        await hands.notify("notifications/progress", { progressToken: token, progress: i + 1, message: numbered(text, i) });
      return;
    case "log":
      return hands.log({ level, logger: "run", data: text });
    case "elicit": {
      await note(tag, "elicits");
      const { action } = await hands.ask("elicitation/create",
        { mode: "form", message: text, requestedSchema: { type: "object", properties: {} } }, types.ElicitResultSchema);
      await note(tag, `elicited ${action}`);
      said.push("elicited", action);
      return;
    }
    case "sample": {
      await note(tag, "samples");
      const { model } = await hands.ask("sampling/createMessage",
        { messages: [{ role: "user", content: { type: "text", text } }], maxTokens: 1 }, types.CreateMessageResultSchema);
      await note(tag, `sampled ${model}`);
      said.push("sampled", model);
      return;
    }
    case "tool":
      return hands.addTool(text);
    case "updated":
      return hands.updated(uri);
    case "broadcast":
      for (const server of [...servers].slice(-lately))
        await server.notification({ method: "notifications/message", params: { level: "emergency", data: text } }).catch(() => {});
      return hands.changed?.();
    default:
      throw new Error(`unknown step ${what}`);
  }
}

const implementation = { name: "isolation", version: "1" };
const capabilities = { logging: {}, completions: {}, prompts: {}, tools: { listChanged: true }, resources: { subscribe: true } };
const schema = { type: "object" };
const result = (text) => ({ content: [{ type: "text", text }] });

// lists are what both SDKs answer alike.
const lists = (tools) => ({
  "tools/list": () => ({ tools: tools.map((name) => ({ name, inputSchema: schema })) }),
  "prompts/list": () => ({ prompts: [{ name: "p" }] }),
  "prompts/get": () => ({ messages: [] }),
  "resources/list": () => ({ resources: [{ uri: "note://all", name: "all" }] }),
  "resources/read": ({ uri }) => ({ contents: [{ uri, text: "all" }] }),
  "completion/complete": () => ({ completion: { values: ["all"] } }),
});

// newServer is a server of SDK 1.x, for one session or one request.
function newServer() {
  const server = new Server(implementation, { capabilities });
  const tools = ["run", "look"];
  const handled = {
    "tools/list": types.ListToolsRequestSchema,
    "prompts/list": types.ListPromptsRequestSchema,
    "prompts/get": types.GetPromptRequestSchema,
    "resources/list": types.ListResourcesRequestSchema,
    "resources/read": types.ReadResourceRequestSchema,
    "completion/complete": types.CompleteRequestSchema,
  };
  for (const [method, answer] of Object.entries(lists(tools)))
    server.setRequestHandler(handled[method], ({ params }) => answer(params));
  server.setRequestHandler(types.SubscribeRequestSchema, ({ params }) => {
    subscriptions.set(server, (subscriptions.get(server) ?? new Set()).add(params.uri));
    return {};
  });
  server.setRequestHandler(types.UnsubscribeRequestSchema, ({ params }) => {
    subscriptions.get(server)?.delete(params.uri);
    return {};
  });
  server.setRequestHandler(types.CallToolRequestSchema, async ({ params }, extra) => {
    if (!tools.includes(params.name)) throw new types.McpError(types.ErrorCode.InvalidParams, "no such tool");
    return result(await play(params.arguments, {
      signal: extra.signal,
      notify: (method, params) => extra.sendNotification({ method, params }),
      log: (params) => server.sendLoggingMessage(params, extra.sessionId),
      ask: (method, params, schema) => extra.sendRequest({ method, params }, schema, { signal: extra.signal }),
      addTool: (name) => {
        tools.push(name);
        return server.sendToolListChanged();
      },
      updated: async (uri) => {
        for (const [other, uris] of subscriptions) if (uris.has(uri)) await other.sendResourceUpdated({ uri });
      },
    }));
  });
  servers.add(server);
  return server;
}

function forget(server) {
  servers.delete(server);
  subscriptions.delete(server);
}

async function stateless(request, response) {
  const server = newServer();
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  response.on("close", () => {
    forget(server);
    transport.close();
    server.close();
  });
  await server.connect(transport);
  await transport.handleRequest(request, response);
}

const sessions = new Map();

// EventStore keeps events as that of the SDK's examples does, and in their order, which
// that one loses within a millisecond.
class EventStore {
  streams = new Map();
  streamOf = new Map();

  async storeEvent(stream, message) {
    const id = randomUUID();
    if (!this.streams.has(stream)) this.streams.set(stream, []);
    this.streams.get(stream).push({ id, message });
    this.streamOf.set(id, stream);
    return id;
  }

  async replayEventsAfter(last, { send }) {
    const stream = this.streamOf.get(last) ?? "";
    const events = this.streams.get(stream) ?? [];
    const after = events.findIndex(({ id }) => id === last) + 1;
    for (const { id, message } of events.slice(after)) if (Object.keys(message).length > 0) await send(id, message);
    return stream;
  }
}

const oneStore = new EventStore();
const eventStore = { store: () => oneStore, stores: () => new EventStore() }[kind];

async function sessionful(request, response) {
  const id = request.headers["mcp-session-id"];
  if (id !== undefined) {
    const transport = sessions.get(id);
    if (transport === undefined) return response.writeHead(404).end("no such session");
    return transport.handleRequest(request, response);
  }
  const server = newServer();
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    eventStore: eventStore?.(),
    onsessioninitialized: (id) => sessions.set(id, transport),
  });
  transport.onclose = () => {
    sessions.delete(transport.sessionId);
    forget(server);
  };
  await server.connect(transport);
  await transport.handleRequest(request, response);
  if (transport.sessionId === undefined) forget(server);
}

// modern serves both eras with SDK 2.x, without sessions.
function modern() {
  const handler = createMcpHandler(() => {
    const server = new Server2(implementation, { capabilities });
    for (const [method, answer] of Object.entries(lists(["run", "look"])))
      server.setRequestHandler(method, ({ params }) => answer(params));
    server.setRequestHandler("tools/call", async ({ params }, { mcpReq }) =>
      result(await play(params.arguments, {
        signal: mcpReq.signal,
        notify: (method, params) => mcpReq.notify({ method, params }),
        log: ({ level, data, logger }) => mcpReq.log(level, data, logger),
        ask: () => {
          throw new Error("nobody to ask");
        },
        addTool: () => {},
        updated: (uri) => handler.notify.resourceUpdated(uri),
        changed: () => handler.notify.toolsChanged(),
      })));
    return server;
  });
  return toNodeHandler(handler);
}

const serve = { stateless, sessions: sessionful, store: sessionful, stores: sessionful, modern: kind === "modern" ? modern() : undefined }[kind];
// heap is what is in use when all that is not needed has been collected.
async function heap() {
  for (let i = 0; i < 5; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage().heapUsed;
}

const http = createServer((request, response) => {
  if (request.url === "/heap") {
    heap().then((used) => response.end(String(used)));
    return;
  }
  Promise.resolve(serve(request, response)).catch((error) => {
    if (!response.headersSent) response.writeHead(500);
    response.end(error.message);
  });
});
http.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: http.address().port })));
process.stdin.on("end", () => process.exit(0)).resume();
