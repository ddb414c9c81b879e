"""The Hugging Face Hub as a function of requests, at the boundary of HTTP."""

import base64
import json

import huggingface_hub

try:  # huggingface_hub 2 talks through httpx2, earlier ones through httpx
    import httpx2 as httpx
except ImportError:
    import httpx

TOKEN = "hf_" + "x" * 34


class Server:
    """Repositories with their files, and every request that came.

    repos: by id, {"private": bool, "files": {path: content, None for a large one}}.
    """

    def __init__(self, repos=None, status=None):
        self.repos = repos or {}
        self.status = status or {}  # by the start of a path, a status to refuse with
        self.requests: list[tuple[str, str]] = []
        self.cards: list[str] = []

    def install(self, monkeypatch) -> None:
        def client():
            return httpx.Client(transport=httpx.MockTransport(self.answer))

        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        huggingface_hub.set_client_factory(client)

    def answer(self, request):
        path = request.url.path
        self.requests.append((request.method, path))
        for start, status in self.status.items():
            if path.startswith(start):
                return httpx.Response(status, json={"error": "no"}, request=request)
        body = request.read()
        if path == "/api/whoami-v2":
            return self.json(request, {"name": "me", "type": "user"})
        if path == "/api/repos/create":
            return self.create(request, json.loads(body))
        if path == "/api/validate-yaml":
            self.cards.append(json.loads(body)["content"])
            return self.json(request, {"errors": [], "warnings": []})
        return self.of_repository(request, path, body)

    def json(self, request, content, status=200):
        return httpx.Response(status, json=content, request=request)

    def create(self, request, asked):
        repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
        url = f"https://huggingface.co/{repo}"
        if repo in self.repos:
            content = {"error": "You already created this model repo", "url": url}
            return self.json(request, content, 409)
        private = asked.get("visibility") == "private" or asked.get("private", False)
        self.repos[repo] = {"private": private, "files": {}}
        return self.json(request, {"url": url, "name": repo, "id": repo})

    def of_repository(self, request, path, body):
        repo = next((r for r in self.repos if f"/{r}" in path), None)
        if repo is None:
            return self.json(request, {"error": "Repository not found"}, 404)
        about = self.repos[repo]
        if "/preupload/" in path:
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for file in json.loads(body)["files"]
            ]
            return self.json(request, {"files": files})
        if "/commit/" in path:
            self.commit(about["files"], body)
            url = f"https://huggingface.co/{repo}/commit/abc"
            commit = {"commitUrl": url, "commitOid": "abc", "success": True}
            return self.json(request, commit)
        if "/tree/" in path:
            listed = [
                {"type": "file", "path": name, "size": 1, "oid": "0" * 40}
                for name in about["files"]
            ]
            return self.json(request, listed)
        info = {"id": repo, "private": about["private"], "sha": "0" * 40}
        siblings = [{"rfilename": name} for name in about["files"]]
        return self.json(request, info | {"siblings": siblings})

    def commit(self, files, body):
        for line in body.decode().splitlines():
            action = json.loads(line)
            value = action["value"]
            if action["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            if action["key"] == "deletedFile":
                del files[value["path"]]
