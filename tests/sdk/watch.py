"""Stands between the gateway and the simulators and says when the gateway let a connection go.

    watch.py URL ...

Relays bytes without reading meaning into them; only notes which markers (`watch-` and 16 hexadecimal digits) went by on which
connection. Prints one line of JSON, {"control": URL, "urls": {UPSTREAM_URL: URL}}, and answers
`GET CONTROL/closed?marker=MARKER` with {"closed_ms": milliseconds since 1970} once the gateway has closed the connection on
which the marker came, or {"closed_ms": null} after five seconds. A process of its own, so that nobody's work delays its clock.
"""

import asyncio
import json
import re
import sys
import time
import urllib.parse

MARKER = re.compile(rb"watch-[0-9a-f]{16}")
CLOSED = {}


def closing(marker):
    return CLOSED.setdefault(marker, asyncio.get_running_loop().create_future())


async def pump(reader, writer, markers=None):
    """Moves bytes until one side ends; keeps the markers seen when given a set for them."""
    kept = b""
    try:
        while data := await reader.read(65536):
            if markers is not None:
                kept = kept[-32:] + data
                markers.update(MARKER.findall(kept))
            writer.write(data)
            await writer.drain()
    except (ConnectionError, OSError):
        pass


async def relay(upstream, reader, writer):
    markers = set()
    parts = urllib.parse.urlsplit(upstream)
    there, back = await asyncio.open_connection(parts.hostname, parts.port)
    asked = asyncio.create_task(pump(reader, back, markers))
    answered = asyncio.create_task(pump(there, writer))
    await asyncio.wait([asked, answered], return_when=asyncio.FIRST_COMPLETED)
    if asked.done():
        now = time.time() * 1000
        for marker in markers:
            if not closing(marker).done():
                closing(marker).set_result(now)
    for task in (asked, answered):
        task.cancel()
    for end in (writer, back):
        end.close()


async def control(reader, writer):
    line = await reader.readline()
    while (await reader.readline()).strip():
        pass
    marker = MARKER.search(line)
    when = None
    if marker:
        done, _ = await asyncio.wait([closing(marker[0])], timeout=5)
        when = done.pop().result() if done else None
    body = json.dumps({"closed_ms": when}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    writer.close()


async def main():
    async def listening(handler):
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    servers, urls = [], {}
    for upstream in sys.argv[1:]:
        server, urls[upstream] = await listening(lambda reader, writer, upstream=upstream: relay(upstream, reader, writer))
        servers.append(server)
    server, own = await listening(control)
    print(json.dumps({"control": own, "urls": urls}), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in [*servers, server]))


if __name__ == "__main__":
    asyncio.run(main())
