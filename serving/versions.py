"""Which versions of a model lie on disk, and which of them a policy wants."""

import os
import re

from absl import logging
from tensorflow_serving.config import file_system_storage_path_source_pb2

Policy = file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy

_MAX_VERSION = 2**63 - 1


def wanted(base_path: str, policy: Policy) -> dict[int, str]:
    """The folders of the wanted versions, by number: by default that of the greatest.

    A version is a folder whose name is a number; leading zeros do not count. Raises OSError where `base_path` cannot be
    listed.
    """
    folders = _numbered(base_path)
    match policy.WhichOneof("policy_choice"):
        case "all":
            chosen = folders
        case "specific":
            chosen = set(policy.specific.versions)
        case _:
            chosen = sorted(folders)[-max(policy.latest.num_versions, 1) :]
    return {number: folder for number, folder in sorted(folders.items()) if number in chosen}


def _numbered(base_path: str) -> dict[int, str]:
    folders = {}
    with os.scandir(base_path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if re.fullmatch(r"[0-9]{1,19}", entry.name) and int(entry.name) <= _MAX_VERSION and entry.is_dir():
                if int(entry.name) in folders:
                    logging.warning(
                        "%s: of two folders of version %d, %s is taken", base_path, int(entry.name), entry.name
                    )
                folders[int(entry.name)] = entry.path
    return folders
