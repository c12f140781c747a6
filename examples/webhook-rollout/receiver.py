#!/usr/bin/env python3
"""Receives rollouts of Tidegate: checks the signature, does each one once, answers how it went.

    receiver.py PORT SECRET_FILE SEEN_FILE

Only Python's own library. Put what deploys something into roll_out().
"""
import hashlib
import hmac
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


def roll_out(event):
    """Returns whether it worked."""
    data = event["data"]
    for image in data["images"]:
        print(f"{event['subject']}: {data['cause']}: {image['container']} -> {image['digest']}", flush=True)
    return True


def stop(event):
    """Its manifest is gone from git. Returns whether it worked."""
    print(f"{event['subject']}: stopped", flush=True)
    return True


# Others are notices (cancelled, finished, held): good to know, nothing to do.
ACTIONS = {"dev.tidegate.rollout.requested": roll_out, "dev.tidegate.stop.requested": stop}


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, self.headers.get("X-Tidegate-Signature-256", "")):
            return self.answer(401, {"error": "the signature does not match"})
        event = json.loads(body)
        action = ACTIONS.get(event["type"])
        if action is None:
            return self.answer(204)
        key = self.headers["Idempotency-Key"]
        if key in seen:
            return self.answer(409)  # done before, under this key: that counts as success
        worked = action(event)
        if worked:
            seen.add(key)
            with open(seen_file, "a") as file:
                file.write(key + "\n")
                file.flush()
                os.fsync(file.fileno())
        self.answer(200, {"state": "Complete" if worked else "Failed"})

    def answer(self, status, value=None):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port, secret_file, seen_file = sys.argv[1:]
    with open(secret_file, "rb") as file:
        secret = file.read().rstrip()
    seen = set()
    if os.path.exists(seen_file):
        with open(seen_file) as file:
            seen = set(file.read().split())
    server = HTTPServer(("127.0.0.1", int(port)), Receiver)
    print(f"listening on port {server.server_port}", flush=True)
    server.serve_forever()
