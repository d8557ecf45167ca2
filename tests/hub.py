"""A hub of Hugging Face on this machine: as much of its HTTP as fetching and sending a model asks.

Files are kept as bytes by repository; `asked` are the requests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

REPO = r"([^/?]+/[^/?]+)"


class Hub(ThreadingHTTPServer):
    """The repositories of a hub: name -> file -> bytes. All have one branch, main."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def sha(self, repo: str) -> str:
        files = self.repos[repo]
        total = hashlib.sha1(repr(sorted(files.items())).encode())
        return total.hexdigest()


@contextmanager
def hub_here(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that huggingface_hub asks instead of its own, with a cache in `folder`."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="in marey[deploy]")
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        patch.setattr(constants, "ENDPOINT", server.url)
        template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setenv("HF_TOKEN", "a-token")
        patch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.server
        hub.asked.append(f"{self.command} {self.path}")
        if found := re.fullmatch(rf"/{REPO}/resolve/[^/]+/(.+)", self.path):
            repo, file = found.groups()
            if file in hub.repos.get(repo, {}):
                content = hub.repos[repo][file]
                etag = hashlib.sha1(content).hexdigest()
                return self._send(content, {"X-Repo-Commit": hub.sha(repo), "ETag": f'"{etag}"'})
        if (
            found := re.fullmatch(rf"/api/models/{REPO}(/revision/[^/?]+)?(\?.*)?", self.path)
        ) and found[1] in hub.repos:
            return self._json(self._about(found[1]))
        if (found := re.fullmatch(rf"/api/models/{REPO}/tree/[^?]+(\?.*)?", self.path)) and found[
            1
        ] in hub.repos:
            return self._json(
                [
                    {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                    for name, content in hub.repos[found[1]].items()
                ]
            )
        return self._send(b"{}", {"X-Error-Code": "RepoNotFound"}, status=404)

    def do_POST(self) -> None:
        hub = self.server
        hub.asked.append(f"POST {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            repo = "/".join(filter(None, [asked.get("organization"), asked["name"]]))
            hub.private.setdefault(repo, asked.get("visibility") == "private")
            hub.repos.setdefault(repo, {})
            return self._json({"url": f"{hub.url}/{repo}", "name": repo, "id": repo})
        if re.fullmatch(rf"/api/models/{REPO}/preupload/main(\?.*)?", self.path):
            files = json.loads(body)["files"]
            modes = [{"path": f["path"], "uploadMode": "regular", "oid": None} for f in files]
            return self._json({"files": [mode | {"shouldIgnore": False} for mode in modes]})
        if found := re.fullmatch(rf"/api/models/{REPO}/commit/main(\?.*)?", self.path):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    hub.repos[found[1]][line["value"]["path"]] = content
            sha = hub.sha(found[1])
            url = f"{hub.url}/{found[1]}/commit/{sha}"
            return self._json({"commitUrl": url, "commitOid": sha, "success": True})
        return self._json({"warnings": [], "errors": []})

    def _about(self, repo: str) -> dict[str, object]:
        files = self.server.repos[repo]
        return {
            "id": repo,
            "modelId": repo,
            "sha": self.server.sha(repo),
            "private": self.server.private.get(repo, False),
            "siblings": [
                {"rfilename": name, "size": len(content)} for name, content in files.items()
            ],
            "cardData": {"license": "mit"},
        }

    def _json(self, value: object) -> None:
        self._send(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, content: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass
