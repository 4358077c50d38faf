"""A web of two files on this machine, for clients that name files by URL.

Serves a picture and a document under any folder, and says how often each path was asked for: a folder of its own tells one
case whether the provider was given the URL or the gateway fetched the file for it. `GET /count/PATH` answers {"count": number}.
"""

import base64
import collections
import http.server
import json
import threading
import urllib.request
import uuid

from harness import PDF, PIXEL, Place, same

FILES = {
    "one.png": ("image/png", base64.b64decode(PIXEL)),
    "report.pdf": ("application/pdf", base64.b64decode(PDF)),
}
NAMES = {"image": "one.png", "document": "report.pdf"}
# Who is given bytes where a client names a file by URL; the others read the URL themselves.
FETCHED = {"image": ("gemini", "bedrock"), "document": ("openai", "gemini", "bedrock")}


class Web:
    """The server; a context manager."""

    def __enter__(self):
        counts, lock = collections.Counter(), threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                folder, _, name = self.path.rpartition("/")
                if folder.startswith("/count"):
                    with lock:
                        count = counts[self.path.removeprefix("/count")]
                    return self.answer(200, "application/json", json.dumps({"count": count}).encode())
                with lock:
                    counts[self.path] += 1
                kind, content = FILES.get(name, (None, b""))
                return self.answer(200 if kind else 404, kind or "text/plain", content)

            def answer(self, status, kind, content):
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"


def count(url):
    """How often a file was asked for."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url.replace(Place.web, Place.web + "/count"), timeout=10) as answer:
        return json.load(answer)["count"]


def named_by_url(target, kind, ask, fetched=FETCHED):
    """Asks with the URL of a file; it must have been fetched once for providers that take bytes, and not for the others."""
    url = f"{Place.web}/{uuid.uuid4().hex}/{NAMES[kind]}"
    answer = ask(url)
    same(count(url), int(target.provider in fetched[kind]))
    return answer
