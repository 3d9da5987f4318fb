"""Answers the page's questions for a preview by the extension in the stand-in of the web UI: `preview_server.py PORT`.

The pages have the Python of their gradio, without torch; this one has the Python of the tests.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "webui")]


def main(port):
    from standin import Host

    torch.set_num_threads(1)
    with Host("a1111", script=ROOT / "scripts" / "noise_rectification.py"):
        from lib_noiserect.webui.preview import for_page

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(for_page(request)).encode())

            def log_message(self, *args):
                pass

        HTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
