"""
Folders of Azure's blob storage, as the service lists them.

The ``ls`` of ``adlfs`` says nothing of some files, which would look deleted: those of a folder beside which lies a
file of the same name, or that an empty object stands for, or whose name ends with a blank; and those with an empty
name on their way.
"""

from __future__ import annotations

from typing import Any


def is_azure(storage: Any) -> bool:
    """Return whether an ``fsspec`` file system is that of ``adlfs``."""
    return "abfs" in getattr(storage, "protocol", ())


def azure_folder(storage: Any, place: str) -> list[dict[str, Any]]:
    """
    Return what lies in a folder, as ``fsspec`` describes it; names of folders end with ``/``.

    :param storage: the file system of ``adlfs``
    :param place: container and path
    :raises FileNotFoundError: the container is missing
    """
    from fsspec.asyn import sync

    found: list[dict[str, Any]] = sync(storage.loop, _listed, storage, place)
    return found


async def _listed(storage: Any, place: str) -> list[dict[str, Any]]:
    from azure.core.exceptions import ResourceNotFoundError

    container, _, folder = place.strip("/").partition("/")
    found = []
    try:
        async with storage.service_client.get_container_client(container=container) as client:
            async for blob in client.walk_blobs(
                name_starts_with=f"{folder}/" if folder else None, include=["metadata"], delimiter="/"
            ):
                name = f"{container}/{blob.name}"
                if not hasattr(blob, "size"):  # what names begin with, up to a slash
                    found.append({"name": name, "type": "directory", "size": None})
                elif not _stands_for_a_folder(blob):
                    found.append(
                        {
                            "name": name,
                            "type": "file",
                            "size": blob.size,
                            "etag": f'"{str(blob.etag).strip(chr(34))}"',  # with quotes, as ``info`` has it
                            "last_modified": blob.last_modified,
                        }
                    )
    except ResourceNotFoundError:
        raise FileNotFoundError(place) from None
    return found


def _stands_for_a_folder(blob: Any) -> bool:
    told = {str(key).lower(): value for key, value in (blob.metadata or {}).items()}
    return "true" in (told.get("hdi_isfolder"), told.get("is_directory"))
