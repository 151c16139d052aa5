"""A server of the page in a process of its own, and requests to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from typing import NamedTuple

PRINTED = re.compile(r"http://127\.0\.0\.1:(\d+)/#token=([\w-]+)(?:&(.*))?\n")


class Served(NamedTuple):
    """A server that runs."""

    process: subprocess.Popen
    url: str
    port: int
    token: str

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, **headers):
        """Return the status, the headers and the body of an answer; None leaves a header out."""
        usual = {"Host": f"127.0.0.1:{self.port}", "Authorization": f"Bearer {self.token}"}
        given = {name.replace("_", "-"): value for name, value in {**usual, **headers}.items()}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, 60)) as link:
            link.putrequest(method, path, skip_host=True)
            for name, value in given.items():
                if value is not None:
                    link.putheader(name, value)
            if body is not None:
                link.putheader("Content-Length", str(len(body)))
            link.endheaders(body)
            answer = link.getresponse()
            return answer.status, answer.headers, answer.read()

    def asked(self, what, **question):
        """Return the answer to a question that is well put."""
        status, _, body = self.ask("POST", f"/api/{what}", json.dumps(question).encode())
        assert status == 200, body
        return json.loads(body)


@contextlib.contextmanager
def serving(*arguments):
    """Run a server; it must end well when it is interrupted."""
    command = [sys.executable, "-m", "pfcompile", "serve", "--port", "0", *arguments]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TZ": "UTC"},
    ) as process:
        try:
            url = process.stdout.readline()
            found = PRINTED.fullmatch(url)
            assert found, url + process.stderr.read()
            yield Served(process, url.strip(), int(found[1]), found[2])
        finally:
            process.send_signal(signal.SIGINT)
            rest, complaints = process.communicate(timeout=60)
        assert (process.returncode, rest) == (0, ""), complaints
        assert complaints == "Ctrl-C ends the server.\n", complaints
