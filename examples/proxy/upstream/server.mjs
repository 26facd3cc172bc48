// An MCP server of the TypeScript SDK that knows nothing of tokens. It stands
// behind examples/proxy and finds its caller in headers; nobody else may be
// able to reach it, which is why it listens on loopback.
import { createServer } from "node:http";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

// callerOf reads what the proxy says of the caller of this very request.
function callerOf(extra) {
  const header = (name) => extra.requestInfo.headers[name] ?? "";
  return {
    issuer: decodeURIComponent(header("x-mcp-issuer")),
    subject: decodeURIComponent(header("x-mcp-subject")),
    kind: header("x-mcp-kind"),
    client: decodeURIComponent(header("x-mcp-client")),
    scopes: header("x-mcp-scope").split(" ").filter(Boolean),
  };
}

const text = (value) => ({ content: [{ type: "text", text: value }] });

function newServer() {
  const server = new McpServer({ name: "upstream", version: "1.0.0" });
  server.registerTool("whoami", { description: "Who the caller is" },
    async (extra) => text(JSON.stringify(callerOf(extra))));
  server.registerTool("headers", { description: "Names of all headers that arrived" },
    async (extra) => text(Object.keys(extra.requestInfo.headers).sort().join(" ")));
  server.registerTool("add", { description: "The sum", inputSchema: { a: z.number(), b: z.number() } },
    async ({ a, b }) => text(String(a + b)));
  server.registerTool("countdown", { description: "Counts in progress notifications, as fast as they are awaited" },
    async (extra) => {
      for (let progress = 1; progress <= 3; progress++) {
        await extra.sendNotification({
          method: "notifications/progress",
          params: { progressToken: extra._meta?.progressToken ?? 0, progress, total: 3 },
        });
      }
      return text("go");
    });
  return server;
}

const http = createServer(async (request, response) => {
  if (request.url !== "/mcp") {
    response.writeHead(404).end();
    return;
  }
  // Stateless: a server and a transport for each request.
  const server = newServer();
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  response.on("close", () => { transport.close(); server.close(); });
  await server.connect(transport);
  await transport.handleRequest(request, response);
});
http.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${http.address().port}`);
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => http.close(() => process.exit(0)));
