"""Serves a folder for test_page.sh: python3 serve.py FOLDER. Prints the port.

A browser that dumps a page does so when the page is loaded. So each page gets a picture that is answered only when the
page's script has said that it is ready, or after a minute.
"""

import http.server
import pathlib
import sys
import threading

FOLDER = pathlib.Path(sys.argv[1])
HOLD = """<img src="/hold" alt="" hidden><script>
new MutationObserver((_, observer) => {
  if (!document.body.dataset.ready) return;
  observer.disconnect();
  fetch("/ready");
}).observe(document.body, { attributes: true });
</script>"""
ready = threading.Event()


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments):
        super().__init__(*arguments, directory=str(FOLDER))

    def answer(self, kind, content):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/hold":
            ready.wait(60)
            self.answer("image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg"/>')
        elif path == "/ready":
            ready.set()
            self.answer("text/plain", b"")
        elif path.endswith(".html"):
            ready.clear()
            page = (FOLDER / path[1:]).read_text()
            self.answer("text/html", page.replace("</main>", f"</main>{HOLD}").encode())
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
