"""Counts down as server-sent events: GET /10 says 10, 9 ... 0. Who comes back with Last-Event-ID hears the rest."""

import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PERIOD = float(os.environ.get("PERIOD", "1"))


class Countdown(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        number = self.headers.get("Last-Event-ID") or self.path.strip("/") or "10"
        if self.path == "/_/health" or not number.isdigit():
            self.send_response(200 if self.path == "/_/health" else 400)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first = int(number) - 1 if self.headers.get("Last-Event-ID") else int(number)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for left in range(first, -1, -1):
            self.chunk(f"id: {left}\ndata: {left}\n\n")
            if left:
                time.sleep(PERIOD)
        self.chunk("")

    def chunk(self, text):
        body = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))

    def log_message(self, form, *words):
        print(form % words, flush=True)


ThreadingHTTPServer(("0.0.0.0", 8080), Countdown).serve_forever()
