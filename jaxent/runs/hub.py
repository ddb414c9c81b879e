"""Folders pushed to the Hugging Face Hub."""

import pathlib

import huggingface_hub
from huggingface_hub import errors
from huggingface_hub import utils as hub_utils

MERGED_WEIGHTS = ("model*.safetensors", "model.safetensors.index.json")
ADAPTER_WEIGHTS = ("adapter_model*.safetensors", "adapter_model.safetensors.index.json")


def check_repo_id(repo_id: str) -> str:
    """The id of a repository, if it is one; nothing is sent.

    Args:
      repo_id: owner/name.

    Returns:
      The id.

    Raises:
      ValueError: it is of another form.

    Example:
      >>> check_repo_id("me/my-model")
      'me/my-model'
    """
    try:
        hub_utils.validate_repo_id(repo_id)
        known = repo_id.count("/") == 1
    except hub_utils.HFValidationError:
        known = False
    if not known:
        raise ValueError(f"{repo_id!r}: expected a Hub id of the form owner/name")
    return repo_id


def open_repository(repo_id: str, private: bool = False) -> None:
    """Makes sure that a repository is there and may be written, before long work.

    Args:
      repo_id: owner/name; it is made if it is not there.
      private: whether it must be private. One that is there and public is refused: the
        Hub would leave it public without a word.

    Raises:
      ValueError: there is no token or network, the Hub refuses, or the repository is
        public; in one line.
    """
    check_repo_id(repo_id)
    api = huggingface_hub.HfApi()
    try:
        api.whoami()
        api.create_repo(repo_id, private=private or None, exist_ok=True)
        is_public = private and not api.model_info(repo_id).private
    except Exception as error:  # the network's own errors are of many kinds
        raise ValueError(f"{repo_id}: {_explain(error)}") from error
    if is_public:
        raise ValueError(
            f"{repo_id} is there and public, expected a private or new repository: "
            "change its visibility in its settings on the Hub"
        )


def upload(
    folder: pathlib.Path, repo_id: str, message: str, replaced: tuple[str, ...]
) -> str:
    """Uploads a folder as one commit.

    Args:
      folder: the folder.
      repo_id: owner/name of a repository that is there.
      message: the commit's.
      replaced: patterns of files that are removed where the folder has none of their
        name, so that no shard of an earlier push stays.

    Returns:
      The address of the commit.

    Raises:
      ValueError: it failed; names the command that tries again.
    """
    api = huggingface_hub.HfApi()
    try:
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            commit_message=message,
            delete_patterns=list(replaced),
        )
    except Exception as error:
        raise ValueError(
            f"{repo_id}: {_explain(error)}; {folder} is whole, and "
            f"`hf upload {repo_id} {folder}` tries again"
        ) from error
    return commit.commit_url


def _explain(error: Exception) -> str:
    """What went wrong and what to do, in one line."""
    if isinstance(error, errors.LocalTokenNotFoundError):
        return "no token of the Hub, expected HF_TOKEN or a login by `hf auth login`"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, expected a connection to the Hub"
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, errors.HfHubHTTPError) and error.response is not None:
        return f"the Hub refuses ({error.response.status_code}: {reason})"
    return f"the Hub cannot be reached ({type(error).__name__}: {reason})"
