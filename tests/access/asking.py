"""Ways to ask, for the tests of who asks."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gis.db.connection import owner

PASSWORD = "Blue-river-2024"


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def rows(statement: str, parameters=None) -> list[tuple]:
    """What the owner of the database finds."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


class Issuer:
    """An identity provider on this machine: its document, and its keys as they are at the moment."""

    def __init__(self):
        self.keys: list[dict] = []
        self.asked: list[str] = []
        self.elsewhere: str | None = None
        """Where its document sends who looks for the keys, if not to itself."""
        self.redirects = False
        issuer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked.append(self.path)
                if issuer.redirects:
                    self.send_response(302)
                    self.send_header("Location", f"{issuer.url}/other")
                    self.end_headers()
                    return
                document = {"keys": issuer.keys} if self.path != "/.well-known/openid-configuration" else {
                    "jwks_uri": issuer.elsewhere or f"{issuer.url}/keys"
                }  # fmt: skip
                body = json.dumps(document).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
