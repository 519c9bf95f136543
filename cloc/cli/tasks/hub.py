"""Uploads an exported folder to the Hugging Face hub."""

from pathlib import Path

from cloc.errors import UserError, one_line


def check_name(repository: str) -> None:
    if repository.count("/") != 1:
        raise UserError(f"push={repository}; write push=ORG/NAME")


def push(folder: Path, repository: str) -> str:
    """Makes the repository where there is none and uploads every file; returns its address.

    The folder stays as it is, whatever becomes of the upload.
    """
    from huggingface_hub import HfApi  # a second that no other export has to wait

    check_name(repository)
    api = HfApi()
    try:
        api.create_repo(repository, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Export from cloc"
        )
    except Exception as error:  # the hub's client has had three HTTP libraries, each with its own
        raise UserError(
            f"push={repository} failed ({one_line(error)}); {folder} is whole: log in (`hf auth "
            f"login` or HF_TOKEN), then `hf upload {repository} {folder}`"
        ) from error
    return f"pushed to {done.repo_url}"
