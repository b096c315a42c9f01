"""The area of a rectangle: POST {"width": 2, "height": 3} is answered with {"area": 6}."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Area(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            sides = json.loads(body)
            self.answer(200, {"area": float(sides["width"]) * float(sides["height"])})
        except (ValueError, TypeError, KeyError) as error:
            self.answer(400, {"error": f"expected width and height as numbers: {error!r}"})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form, *words):
        print(self.headers.get("X-Call-Id", "-"), form % words, flush=True)


# On loopback: only the watchdog in the same container is to reach it.
ThreadingHTTPServer(("127.0.0.1", 5000), Area).serve_forever()
