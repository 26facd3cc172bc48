// The TypeScript SDK's server behind its own bearer middleware, with jose as
// the verifier: what a user of that SDK writes who follows its examples.
import { randomUUID } from "node:crypto";
import express from "express";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { InvalidTokenError } from "@modelcontextprotocol/sdk/server/auth/errors.js";
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { isInitializeRequest } from "@modelcontextprotocol/sdk/types.js";

const { ISSUER, RESOURCE, PORT, SCOPE } = process.env;
const metadataPath = "/.well-known/oauth-protected-resource/mcp";
const keys = createRemoteJWKSet(new URL(`${ISSUER}/jwks`));

const verifier = {
  async verifyAccessToken(token) {
    try {
      const { payload } = await jwtVerify(token, keys, { issuer: ISSUER, audience: RESOURCE, algorithms: ["RS256"] });
      return { token, clientId: payload.client_id, scopes: (payload.scope ?? "").split(" "), expiresAt: payload.exp, resource: new URL(RESOURCE) };
    } catch {
      throw new InvalidTokenError("invalid token");
    }
  },
};

function newServer() {
  const server = new McpServer({ name: "notes", version: "1.0.0" });
  server.registerTool("read", { description: "reads" }, async (extra) => {
    const progressToken = extra._meta?.progressToken;
    for (let progress = 0; progressToken !== undefined && progress < 30; progress++) {
      extra.signal.throwIfAborted();
      await extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress } });
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return { content: [{ type: "text", text: "done" }] };
  });
  return server;
}

const app = express();
app.get(metadataPath, (_, response) => response.json({ resource: RESOURCE, authorization_servers: [ISSUER], scopes_supported: [SCOPE], bearer_methods_supported: ["header"] }));
const guard = requireBearerAuth({ verifier, requiredScopes: [SCOPE], resourceMetadataUrl: new URL(metadataPath, RESOURCE).href });
const transports = new Map();
app.all("/mcp", guard, express.json(), async (request, response) => {
  let transport = transports.get(request.headers["mcp-session-id"]);
  if (!transport && isInitializeRequest(request.body)) {
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => transports.set(id, transport),
    });
    await newServer().connect(transport);
  }
  if (!transport) {
    response.status(404).json({ jsonrpc: "2.0", id: null, error: { code: -32001, message: "Session not found" } });
    return;
  }
  await transport.handleRequest(request, response, request.body);
});
app.listen(Number(PORT), "127.0.0.1", () => console.log("listening"));
