"""Takes a payment's webhook: checks who sent it, and hands it on to the ledger.

204  the ledger has it                      done
401  the signature is wrong                 not tried again: a dead letter, to be looked at
503  the ledger can't take it just now      tried again, later and later
"""

import hashlib
import hmac
import os
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LEDGER = os.environ["LEDGER"]


class Payment(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        # Read for each call: a new value of the secret counts at once.
        with open("/var/openfaas/secrets/webhook-key", "rb") as file:
            key = file.read().strip()
        right = hmac.new(key, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(right, self.headers.get("X-Signature", "")):
            return self.answer(401)
        # Every try of a call has the same id, so the ledger can tell a payment that it has already.
        headers = {"Idempotency-Key": self.headers.get("X-Actord-Call", "")}
        try:
            urllib.request.urlopen(urllib.request.Request(LEDGER, body, headers), timeout=10).close()
        except (urllib.error.URLError, OSError) as error:
            print(f"the ledger does not take it: {error}", flush=True)
            return self.answer(503)
        self.answer(204)

    def do_GET(self):
        self.answer(200 if self.path == "/_/health" else 405)

    def answer(self, status):
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, form, *words):
        print(self.headers.get("X-Actord-Call", "-"), form % words, flush=True)


ThreadingHTTPServer(("0.0.0.0", 8080), Payment).serve_forever()
