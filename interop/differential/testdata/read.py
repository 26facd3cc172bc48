"""Reads bodies as a server in Python does. See read.mjs for input and output."""

import base64
import json
import struct
import sys

ABSENT = object()


def hexed(s):
    return s.encode("utf-8", "surrogatepass").hex()


def canonical(v):
    if v is ABSENT:
        return ""
    if v is None:
        return "z"
    if v is True:
        return "t"
    if v is False:
        return "f"
    if isinstance(v, str):
        return '"' + hexed(v)
    if isinstance(v, (int, float)):
        try:
            f = float(v)
        except OverflowError:
            f = float("inf") if v > 0 else float("-inf")
        return "#" + struct.pack(">d", f if f else 0.0).hex()
    if isinstance(v, list):
        return "[" + ",".join(map(canonical, v)) + "]"
    return "{" + ",".join(sorted(hexed(k) + ":" + canonical(e) for k, e in v.items())) + "}"


def member(v, name):
    return v.get(name, ABSENT) if isinstance(v, dict) else ABSENT


def read(body):
    m = json.loads(body)
    p = member(m, "params")
    ref = member(p, "ref")
    arguments = member(p, "arguments")
    return {
        "method": canonical(member(m, "method")), "id": canonical(member(m, "id")),
        "name": canonical(member(p, "name")), "uri": canonical(member(p, "uri")), "taskId": canonical(member(p, "taskId")),
        "version": canonical(member(member(p, "_meta"), "io.modelcontextprotocol/protocolVersion")),
        "refType": canonical(member(ref, "type")), "refName": canonical(member(ref, "name")), "refUri": canonical(member(ref, "uri")),
        "arguments": canonical(ABSENT if arguments is None else arguments),
    }


for line in sys.stdin:
    try:
        seen = read(base64.b64decode(line))
    except Exception as e:  # a refusal is an answer
        seen = {"error": repr(e)}
    print(json.dumps(seen))
