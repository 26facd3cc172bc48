"""An MCP server in Python that knows nothing of tokens, like server.mjs beside
it. It needs the standard library alone and speaks no more of MCP than it takes
to show where the caller is found. Only the proxy may be able to reach it.
"""
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


def caller_of(headers):
    """What the proxy says of the caller of this very request."""
    return {
        "issuer": unquote(headers.get("X-Mcp-Issuer", "")),
        "subject": unquote(headers.get("X-Mcp-Subject", "")),
        "kind": headers.get("X-Mcp-Kind", ""),
        "client": unquote(headers.get("X-Mcp-Client", "")),
        "scopes": headers.get("X-Mcp-Scope", "").split(),
    }


TOOLS = {
    "whoami": lambda headers, _: json.dumps(caller_of(headers)),
    "headers": lambda headers, _: " ".join(sorted(name.lower() for name in headers)),
    "add": lambda _, arguments: str(arguments["a"] + arguments["b"]),
}


def answer(method, params, headers):
    if method == "initialize":
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "upstream", "version": "1.0.0"},
        }
    if method == "tools/list":
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
    if method == "tools/call" and params.get("name") in TOOLS:
        text = TOOLS[params["name"]](headers, params.get("arguments") or {})
        return {"content": [{"type": "text", "text": text}]}
    return {} if method == "ping" else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "id" not in message:
            self.reply(202, b"")
            return
        reply = {"jsonrpc": "2.0", "id": message["id"]}
        result = answer(message["method"], message.get("params") or {}, self.headers)
        if result is None:
            reply["error"] = {"code": -32601, "message": "Method not found"}
        else:
            reply["result"] = result
        self.reply(200, json.dumps(reply).encode())

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(405, b"")

    do_DELETE = do_GET

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Handler)
print(f"listening on http://127.0.0.1:{server.server_address[1]}")
server.serve_forever()
