import hub_server
import huggingface_hub
import pytest

from jaxent.runs import hub


@pytest.fixture
def online(monkeypatch):
    """Puts a server in the place of the Hub, which the default client comes back to."""

    def start(*args, **more) -> hub_server.Server:
        server = hub_server.Server(*args, **more)
        server.install(monkeypatch)
        return server

    yield start
    huggingface_hub.set_client_factory(
        huggingface_hub.utils._http.default_client_factory
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"new weights")
    (tmp_path / "README.md").write_text("---\ntags:\n- jaxent\n---\n\n# A model\n")
    return tmp_path


def test_a_folder_becomes_a_new_private_repository(online, folder):
    server = online()
    hub.open_repository("me/new", private=True)
    url = hub.upload(folder, "me/new", "Upload", hub.MERGED_WEIGHTS)
    assert url == "https://huggingface.co/me/new/commit/abc"
    assert server.repos["me/new"]["private"]
    assert server.repos["me/new"]["files"] == {
        "model.safetensors": b"new weights",
        "README.md": (folder / "README.md").read_bytes(),
    }
    assert set(server.cards) == {(folder / "README.md").read_text()}


def test_shards_of_an_earlier_push_do_not_stay(online, folder):
    old = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    names = [*old, "model.safetensors.index.json", "notes.txt", "model.safetensors"]
    repo = {"private": False, "files": dict.fromkeys(names, b"old")}
    server = online({"me/there": repo})
    hub.open_repository("me/there")
    hub.upload(folder, "me/there", "Upload", hub.MERGED_WEIGHTS)
    assert sorted(server.repos["me/there"]["files"]) == [
        "README.md",
        "model.safetensors",
        "notes.txt",
    ]
    assert server.repos["me/there"]["files"]["model.safetensors"] == b"new weights"


def test_a_public_repository_is_not_taken_for_a_private_one(online):
    server = online({"me/open": {"private": False, "files": {}}})
    with pytest.raises(ValueError, match="me/open is there and public, expected"):
        hub.open_repository("me/open", private=True)
    hub.open_repository("me/open")
    server.repos["me/open"]["private"] = True
    hub.open_repository("me/open", private=True)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"/api/whoami": 401}, "the Hub refuses .401: Invalid user token"),
        ({"/api/repos": 403}, "the Hub refuses .403"),
    ],
)
def test_a_refusal_is_one_line(online, status, message):
    online(status=status)
    with pytest.raises(ValueError, match=f"me/new: {message}") as caught:
        hub.open_repository("me/new")
    assert "\n" not in str(caught.value)


def test_a_failed_upload_says_how_to_go_on(online, folder):
    online({"me/m": {"private": False, "files": {}}}, {"/api/models/me/m/commit": 403})
    with pytest.raises(ValueError, match=f"`hf upload me/m {folder}` tries again"):
        hub.upload(folder, "me/m", "Upload", ())


def test_without_a_token_or_a_network(monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(ValueError, match="m/n: no token of the Hub, expected HF_TOKEN"):
        hub.open_repository("m/n")
    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
    with pytest.raises(ValueError, match="m/n: HF_HUB_OFFLINE is set, expected a conn"):
        hub.open_repository("m/n")  # as the tests' environment has it


@pytest.mark.parametrize("name", ["model", "a/b/c", "a b/c", "a/-c", "", "/abs/path"])
def test_a_wrong_id_is_named(name):
    with pytest.raises(ValueError, match="expected a Hub id of the form owner/name"):
        hub.check_repo_id(name)
