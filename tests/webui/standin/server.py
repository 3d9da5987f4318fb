"""Answers HTTP requests with a Host's API: the routes of its app, their guards, and its statuses for exceptions."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace


class Server:
    """`with Server(host) as address:`; one request at a time, as the host does its jobs."""

    def __init__(self, host):
        self._host = host

    def __enter__(self):
        host = self._host

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self._answer("GET")

            def do_POST(self):
                self._answer("POST")

            def _answer(self, method):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, answer = answer_of(host, method, self.path, self.headers.get("Authorization"), body)
                encoded = json.dumps(answer, default=vars).encode()  # objects as fastapi encodes them
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, *args):
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *exc_info):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def answer_of(host, method, path, authorization=None, body=b""):
    """(status, body) of a request."""
    from modules.api import api

    routes = [route for route in host.app.routes if route.path == path]
    if not routes:
        return 404, {"detail": "Not Found"}
    matching = [route for route in routes if method in route.methods]
    if not matching:
        return 405, {"detail": "Method Not Allowed"}
    route = matching[0]
    try:
        for guard in route.dependencies:
            if not (authorization or "").startswith("Basic "):
                return 401, {"detail": "Not authenticated"}
            username, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            guard.dependency(SimpleNamespace(username=username, password=password))
        if method == "GET":
            return 200, _encoded(route.endpoint())
        if path in ("/sdapi/v1/img2img", "/sdapi/v1/txt2img"):
            return getattr(host, f"api_{path.rpartition('/')[2]}")(json.loads(body))
        request = json.loads(body)
        if not isinstance(request, dict):
            return 422, {"detail": [{"loc": ["body"], "msg": "value is not a valid dict", "type": "type_error.dict"}]}
        return 200, json.loads(api.rendered(route.endpoint(request)))
    except Exception as e:
        status, body = api.handle_exception(e)
        return status, json.loads(api.rendered(body))


def _encoded(answer):
    """Objects as fastapi encodes them."""
    return json.loads(json.dumps(answer, default=vars))
