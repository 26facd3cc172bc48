// Reads bodies as a server in JavaScript does. Input: a body in base64 on each
// line. Output: on each line a JSON object with what was seen in it, in the
// canonical form of reading_test.go, or with the member "error".
import { createInterface } from "node:readline";

const hex = (s) => Buffer.from(s, "utf8").toString("hex");
const bits = new DataView(new ArrayBuffer(8));

function canonical(v) {
  switch (typeof v) {
    case "boolean": return v ? "t" : "f";
    case "string": return '"' + hex(v);
    case "number":
      bits.setFloat64(0, v === 0 ? 0 : v);
      return "#" + bits.getBigUint64(0).toString(16).padStart(16, "0");
    case "undefined": return "";
  }
  if (v === null) return "z";
  if (Array.isArray(v)) return "[" + v.map(canonical).join(",") + "]";
  return "{" + Object.keys(v).map((k) => hex(k) + ":" + canonical(v[k])).sort().join(",") + "}";
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function read(body) {
  const m = JSON.parse(decoder.decode(body));
  const p = m.params;
  return {
    method: canonical(m.method), id: canonical(m.id),
    name: canonical(p?.name), uri: canonical(p?.uri), taskId: canonical(p?.taskId),
    version: canonical(p?._meta?.["io.modelcontextprotocol/protocolVersion"]),
    refType: canonical(p?.ref?.type), refName: canonical(p?.ref?.name), refUri: canonical(p?.ref?.uri),
    arguments: canonical(p?.arguments ?? undefined),
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  let seen;
  try {
    seen = read(Buffer.from(line, "base64"));
  } catch (e) {
    seen = { error: String(e) };
  }
  process.stdout.write(JSON.stringify(seen) + "\n");
}
