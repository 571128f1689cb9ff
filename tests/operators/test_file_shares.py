"""A file share becomes documents: what the index holds of it, and what is never read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch
from urllib.parse import unquote_to_bytes

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import ObjectStoragePath
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coveo_provider._compat import AirflowFailException
from coveo_provider.documents import DocumentMapping, FolderPermissions, PosixPermissions
from coveo_provider.documents.contents import local_files
from coveo_provider.documents.dataset.manifest import MANIFEST, read_manifest
from coveo_provider.documents.extracts.file_walk import Wanted, stored_files
from coveo_provider.documents.extracts.share import encoded
from coveo_provider.errors import ConfigurationError, DatasetError
from coveo_provider.operators import (
    CoveoCheckDatasetOperator,
    CoveoDiffOperator,
    CoveoFinalizeOperator,
    CoveoListFilesOperator,
    CoveoPushBatchOperator,
    CoveoPushIdentityOperator,
    CoveoTransformOperator,
)
from coveo_provider.operators.support import content_files
from coveo_provider.operators.support.storage import list_parts
from coveo_provider.sandbox import Sandbox
from tests.contents import content_of
from tests.operators.conftest import run
from tests.operators.staging import Staging

PREFIX = "file://share/"


def listed(root: Path | str, output: Path, **options: Any) -> list[str]:
    """List a share, and return the parts of the dataset."""
    operator = CoveoListFilesOperator(
        task_id="list", root=str(root), output=str(output), **{"id_prefix": PREFIX, **options}
    )
    parts: list[str] = run(operator)
    return parts


def rows(parts: list[str]) -> dict[str, dict[str, Any]]:
    table = pa.concat_tables(pq.read_table(part) for part in parts)
    return {row["documentId"].removeprefix(PREFIX): row for row in table.to_pylist()}


def pushed(parts: list[str]) -> None:
    run(CoveoPushBatchOperator(task_id="push", source_id="files", documents=parts))


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """A small share of text files."""
    root = tmp_path / "share"
    for name in ("a.txt", "hr/salaries.pdf", "hr/forms/leave.docx", "hr/.hidden", "b/c/d.TXT"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"this is {name}")
    return root


def test_a_file_is_a_document(connected: Sandbox, share: Path, tmp_path: Path) -> None:
    """With its name, size, time, folder and content; hidden files are passed over."""
    moment = datetime(2026, 1, 31, 12, 30, tzinfo=timezone.utc)
    os.utime(share / "hr/salaries.pdf", (moment.timestamp(),) * 2)

    pushed(listed(share, tmp_path / "out"))
    connected.settle()

    items = connected.items("files")
    assert set(items) == {
        f"{PREFIX}{name}" for name in ("a.txt", "hr/salaries.pdf", "hr/forms/leave.docx", "b/c/d.TXT")
    }
    item = items[f"{PREFIX}hr/salaries.pdf"]
    assert item["title"] == "salaries.pdf"
    assert item["fileExtension"] == ".pdf"
    assert item["size"] == 23
    assert item["date"] == "2026-01-31T12:30:00Z"
    assert item["parentId"] == f"{PREFIX}hr/"
    assert items[f"{PREFIX}a.txt"]["parentId"] == PREFIX
    assert content_of(connected, "files", f"{PREFIX}b/c/d.TXT") == b"this is b/c/d.TXT"


NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda name: name not in {".", ".."} and len(name.encode()) < 200)
PATHS = st.lists(NAMES, min_size=1, max_size=3)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(paths=st.lists(PATHS, min_size=1, max_size=5))
def test_any_name_is_that_of_one_document(connected: Sandbox, paths: list[list[str]]) -> None:
    """The id tells the bytes of the path, percent-encoded once, and the content is that of the file."""
    connected.reset()
    with tempfile.TemporaryDirectory(prefix="coveo-share-") as folder:
        place = Path(folder)
        root = place / "share"
        root.mkdir()
        files: dict[str, bytes] = {}
        for path in paths:
            name = "/".join(path)
            try:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(name.encode())
            except (NotADirectoryError, FileExistsError, IsADirectoryError):
                continue  # one name is that of a file and of a folder
            files[name] = name.encode()

        pushed(listed(root, place / "out", exclude=()))
        connected.settle()

        items = connected.items("files")
        assert {unquote_to_bytes(one.removeprefix(PREFIX)).decode() for one in items} == set(files)
        for name, data in files.items():
            assert content_of(connected, "files", f"{PREFIX}{encoded(name)}") == data
            assert items[f"{PREFIX}{encoded(name)}"]["title"] == name.rpartition("/")[2]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"include": "*.txt"}, {"a.txt"}),
        ({"include": ["*.txt", "*.TXT"]}, {"a.txt", "b/c/d.TXT"}),
        ({"include": ["/hr/**"]}, {"hr/salaries.pdf", "hr/forms/leave.docx"}),
        ({"exclude": ["hr"]}, {"a.txt", "b/c/d.TXT"}),
        ({"exclude": ["*.txt", "/hr/*.pdf"]}, {"hr/forms/leave.docx", "hr/.hidden", "b/c/d.TXT"}),
        ({"exclude": ["*", "!a.txt"]}, {"a.txt"}),
        ({"exclude": "hr\n"}, {"a.txt", "b/c/d.TXT"}),
        ({"min_bytes": 24}, {"hr/forms/leave.docx"}),
        ({"max_bytes": 13}, {"a.txt"}),
        ({"newer_than": timedelta(days=1)}, {"b/c/d.TXT"}),
        ({"older_than": "2026-01-01"}, {"a.txt", "hr/salaries.pdf", "hr/forms/leave.docx"}),
    ],
)
def test_what_is_wanted(share: Path, tmp_path: Path, options: dict[str, Any], names: set[str]) -> None:
    """By pattern, as in a ``.gitignore`` file, by size, and by age."""
    for name in ("a.txt", "hr/salaries.pdf", "hr/forms/leave.docx"):
        os.utime(share / name, (1_700_000_000, 1_700_000_000))

    assert set(rows(listed(share, tmp_path / "out", **options))) == names


@pytest.mark.parametrize("exclude", ["hr\nb", "['hr', 'b']", '["hr"]', "('hr', 'b')", ["./hr"]])
def test_a_pattern_that_excludes_nothing_it_names_is_refused(
    share: Path, tmp_path: Path, exclude: Any
) -> None:
    """What was to be left out would be indexed."""
    with pytest.raises(AirflowFailException, match=r"exclude: .* is no pattern"):
        listed(share, tmp_path / "out", exclude=exclude)


def test_a_line_end_in_a_name_hides_nothing_from_patterns(share: Path, tmp_path: Path) -> None:
    (share / "b\nc").mkdir()
    (share / "b\nc/.hidden").write_text("hidden")

    assert "b%0Ac/.hidden" not in rows(listed(share, tmp_path / "out"))


def test_a_share_behind_a_link_is_read(connected: Sandbox, share: Path, tmp_path: Path) -> None:
    """Links above the root, and the root itself, are those of whoever names it."""
    (tmp_path / "link").symlink_to(share)

    pushed(listed(tmp_path / "link", tmp_path / "out"))

    connected.settle()
    assert content_of(connected, "files", f"{PREFIX}a.txt") == b"this is a.txt"


def test_a_storage_is_listed_likewise(connected: Sandbox, remote: Staging, tmp_path: Path) -> None:
    """Of a storage that has no owners and no links."""
    storage = fsspec.filesystem("memory")
    for name in ("x/a.txt", "x/y/b#1.txt", "x/y/.c", "y/d.txt"):
        storage.makedirs(f"/bucket/share/{name}".rpartition("/")[0], exist_ok=True)
        storage.pipe_file(f"/bucket/share/{name}", name.encode())

    parts = listed("memory://bucket/share/x", tmp_path / "out", id_prefix=None)
    pushed(parts)
    connected.settle()

    assert set(connected.items("files")) == {
        "memory://bucket/share/x/a.txt",
        "memory://bucket/share/x/y/b%231.txt",
    }
    assert content_of(connected, "files", "memory://bucket/share/x/y/b%231.txt") == b"x/y/b#1.txt"
    assert read_manifest((tmp_path / "out" / MANIFEST).read_bytes(), "").content_roots == (
        "memory://bucket/share/x",
    )


def test_what_cannot_be_listed_stops_the_task(share: Path, tmp_path: Path) -> None:
    """Its files would look deleted."""
    scandir = os.scandir

    def denied(path: Any) -> Any:
        if str(path).endswith("/hr"):
            raise PermissionError(path)
        return scandir(path)

    with (
        patch("os.scandir", denied),
        pytest.raises(AirflowFailException, match=r"folder .*/hr cannot be listed"),
    ):
        listed(share, tmp_path / "out")
    assert not read_manifest((tmp_path / "out" / MANIFEST).read_bytes(), "").complete


@pytest.mark.parametrize(
    ("root", "problem"),
    [
        ("missing", "missing, expected a folder"),
        ("a.txt", "is a file, expected a folder"),
        ("empty", "no rows"),
    ],
)
def test_a_root_without_files_is_refused(share: Path, tmp_path: Path, root: str, problem: str) -> None:
    """It would empty the index."""
    (share / "empty").mkdir()

    with pytest.raises(AirflowFailException, match=problem):
        listed(share / root, tmp_path / "out")


def test_links_and_what_is_no_file_are_passed_over(share: Path, tmp_path: Path) -> None:
    """A pipe would hold the task for ever; a link may lead anywhere."""
    os.mkfifo(share / "pipe")
    (share / "loop").symlink_to(share)
    (share / "passwd").symlink_to("/etc/passwd")
    (share / "dangling").symlink_to(share / "nothing")
    (share / "alias.txt").symlink_to(share / "a.txt")

    expected = {"a.txt", "hr/salaries.pdf", "hr/forms/leave.docx", "b/c/d.TXT"}
    assert set(rows(listed(share, tmp_path / "out"))) == expected
    with pytest.raises(
        AirflowFailException, match=r"passwd: contentUri .*/share/passwd leads to /etc/passwd, which"
    ):
        listed(share, tmp_path / "out", follow_links=True)
    (share / "passwd").unlink()
    assert set(rows(listed(share, tmp_path / "out", follow_links=True))) == {*expected, "alias.txt"}


@pytest.mark.parametrize("permissions", [PosixPermissions(everyone="all"), FolderPermissions({"": ["all"]})])
def test_a_link_shows_nobody_what_lies_elsewhere(share: Path, tmp_path: Path, permissions: Any) -> None:
    """Its folder may be open to all, and that of the file not."""
    (share / "hr").chmod(0o700)
    (share / "b/alias.pdf").symlink_to(share / "hr/salaries.pdf")

    with pytest.raises(AirflowFailException, match="follow_links and permissions do not go together"):
        listed(share, tmp_path / "out", follow_links=True, permissions=permissions)


def test_a_link_to_a_folder_outside_is_not_followed(share: Path, tmp_path: Path) -> None:
    """It could be all of the machine, which would be listed before anything is refused."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other/b.txt").write_text("b")
    (share / "other").symlink_to(tmp_path / "other")
    (share / "again").symlink_to("again")

    with pytest.raises(AirflowFailException, match=r"the link .*/share/other leads to .*/other, which lies"):
        listed(share, tmp_path / "out", follow_links=True)
    both = {"follow_links": True, "content_roots": [str(share), str(tmp_path / "other")]}
    assert "other/b.txt" in rows(listed(share, tmp_path / "out", **both))


def test_a_share_that_is_unmounted_while_it_is_walked_looks_not_deleted(share: Path, tmp_path: Path) -> None:
    """Folders that were listed and cannot be found are gone only where the folder above is still the same."""
    scandir = os.scandir

    def unmounting(path: Any) -> Any:
        if str(path).endswith("/hr"):
            share.rename(tmp_path / "elsewhere")
        return scandir(path)

    with (
        patch("os.scandir", unmounting),
        pytest.raises(AirflowFailException, match=r"folder .*/hr was unmounted or moved"),
    ):
        listed(share, tmp_path / "out")
    assert not read_manifest((tmp_path / "out" / MANIFEST).read_bytes(), "").complete


def test_a_folder_on_another_file_system_than_before_is_not_believed(share: Path, tmp_path: Path) -> None:
    """What lies below a mount is shown, and is mostly empty, once nothing is mounted there any more."""
    stat = os.stat

    def unmounted(path: Any, *args: Any, **options: Any) -> Any:
        found = stat(path, *args, **options)
        if not str(path).endswith("/b/c"):
            return found
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:]))

    with (
        patch("os.stat", unmounted),
        pytest.raises(AirflowFailException, match=r"folder .*/b/c was unmounted or moved"),
    ):
        listed(share, tmp_path / "out")


def test_a_folder_that_is_deleted_while_the_share_is_walked_is_left_out(share: Path, tmp_path: Path) -> None:
    scandir = os.scandir

    def deleting(path: Any) -> Any:
        if str(path).endswith("/hr"):
            shutil.rmtree(path)
        return scandir(path)

    with patch("os.scandir", deleting):
        assert set(rows(listed(share, tmp_path / "out"))) == {"a.txt", "b/c/d.TXT"}


class Keys:
    """A bucket with such keys, as a library lists it that takes off the last slash of a folder."""

    def __init__(self, *infos: tuple[str, str, int]) -> None:
        self._infos = [{"name": name, "type": kind, "size": size} for name, kind, size in infos]

    def invalidate_cache(self, path: str) -> None:
        """Nothing is cached."""

    def ls(self, path: str, detail: bool) -> list[dict[str, Any]]:
        return self._infos if path.strip("/") == "bucket/docs" else []

    def find(self, path: str, prefix: str) -> list[str]:
        return [f"{path}{prefix}/lost.txt"]


@pytest.mark.parametrize(
    "nameless",
    [("bucket/docs/", "directory", 0), ("bucket/docs/", "file", 4), ("bucket/docs", "directory", 0)],
)
def test_a_key_with_an_empty_name_is_not_passed_over_in_silence(nameless: tuple[str, str, int]) -> None:
    """``docs//a.txt`` would be missing from the index."""
    bucket = Keys(nameless, ("bucket/docs/a.txt", "file", 1))

    with pytest.raises(DatasetError, match=r"bucket/docs//: there are objects with an empty name .*'//'\]"):
        list(stored_files(bucket, "bucket/docs", Wanted()))
    assert [one.path for one in stored_files(bucket, "bucket/docs", Wanted(exclude=["//"]))] == ["a.txt"]


def test_a_storage_without_its_library_names_the_extra(tmp_path: Path) -> None:
    with (
        patch.object(ObjectStoragePath, "is_dir", side_effect=ImportError("Install s3fs to access S3")),
        pytest.raises(AirflowFailException, match=r"root: s3://aws@share/docs cannot be read .*coveo\[s3\]'"),
    ):
        listed("s3://aws@share/docs", tmp_path / "out")


def test_what_stands_for_a_folder_is_no_file() -> None:
    bucket = Keys(("bucket/docs/", "file", 0), ("bucket/docs/a.txt", "file", 1))

    assert [one.path for one in stored_files(bucket, "bucket/docs", Wanted())] == ["a.txt"]


def test_a_storage_that_is_empty_after_it_was_listed_is_not_believed() -> None:
    class Unmounted(Keys):
        def ls(self, path: str, detail: bool) -> list[dict[str, Any]]:
            if path.endswith("/hr"):
                self._infos = []
                raise FileNotFoundError(path)
            return super().ls(path, detail)

    bucket = Unmounted(("bucket/docs/a.txt", "file", 1), ("bucket/docs/hr", "directory", 0))
    with pytest.raises(DatasetError, match="bucket/docs was unmounted or moved"):
        list(stored_files(bucket, "bucket/docs", Wanted()))


def test_a_storage_that_lists_another_folder_is_not_believed() -> None:
    with pytest.raises(DatasetError, match=r"lists bucket/docs2/a\.txt in the folder bucket/docs"):
        list(stored_files(Keys(("bucket/docs2/a.txt", "file", 1)), "bucket/docs", Wanted()))


def test_a_year_that_there_is_not_is_no_date(share: Path, tmp_path: Path) -> None:
    """Some file systems keep such times; one file must not stop the others."""
    with patch("coveo_provider.documents.extracts.file_walk.datetime") as clock:
        clock.fromtimestamp.side_effect = ValueError("year 60000 is out of range")
        found = rows(listed(share, tmp_path / "out"))

    assert {row["date"] for row in found.values()} == {None}


def identity(named: dict[str, str], **options: Any) -> None:
    run(CoveoPushIdentityOperator(task_id="i", provider_id="unix", identity=named, **options))


class TestPermissions:
    """Who sees what."""

    @pytest.fixture
    def secured(self, connected: Sandbox) -> Sandbox:
        connected.add_source("files2", kind="PUSH", visibility="SECURED")
        return connected

    def of(self, parts: list[str]) -> dict[str, str]:
        return {name: row["permissions"] for name, row in rows(parts).items()}

    def test_the_nearest_folder_in_the_table_decides(self, share: Path, tmp_path: Path) -> None:
        table = FolderPermissions({"": ["all"], "/hr/": ["hr", "chiefs"], "hr/forms": ["all"]})

        found = self.of(listed(share, tmp_path / "out", permissions=table))

        groups = {
            name: [part for part in ("all", "hr", "chiefs") if f'"{part}"' in text]
            for name, text in found.items()
        }
        assert groups == {
            "a.txt": ["all"],
            "b/c/d.TXT": ["all"],
            "hr/salaries.pdf": ["hr", "chiefs"],
            "hr/forms/leave.docx": ["all"],
        }

    def test_the_table_may_be_a_file(self, share: Path, tmp_path: Path) -> None:
        (tmp_path / "table.csv").write_text("folder,group\n,all\nhr,hr\nhr,chiefs\n")
        from_file = FolderPermissions(str(tmp_path / "table.csv"))
        inline = FolderPermissions({"": ["all"], "hr": ["hr", "chiefs"]})

        assert self.of(listed(share, tmp_path / "out", permissions=from_file)) == self.of(
            listed(share, tmp_path / "out2", permissions=inline)
        )

    @pytest.mark.parametrize(
        ("permissions", "problem"),
        [
            (FolderPermissions({"hr": ["hr"]}), r"a\.txt: no folder above it stands in the table"),
            (FolderPermissions("/nowhere/table.csv"), "missing|No such file"),
            ({"hr": ["hr"]}, "permissions must be PosixPermissions"),
        ],
    )
    def test_nobody_is_guessed(self, share: Path, tmp_path: Path, permissions: Any, problem: str) -> None:
        with pytest.raises(AirflowFailException, match=problem):
            listed(share, tmp_path / "out", permissions=permissions)

    @pytest.mark.parametrize(
        "entry", ["HR", "hr ", " hr", "hr\\forms", "HR/Forms", "hr\u200b", "\ufeffhr", "\uff48\uff52", "hr."]
    )
    def test_an_entry_that_is_nearly_a_folder_is_refused(
        self, share: Path, tmp_path: Path, entry: str
    ) -> None:
        """The entry of all others would show its files to everybody."""
        table = FolderPermissions({"": ["all"], entry: ["hr"]})

        with pytest.raises(
            AirflowFailException, match=r"FolderPermissions has an entry '.*none for the folder 'hr"
        ):
            listed(share, tmp_path / "out", permissions=table)

    def test_letters_may_be_spelled_in_two_ways(self, share: Path, tmp_path: Path) -> None:
        """As a share of macOS does."""
        (share / "ge\u0301nie").mkdir()
        (share / "ge\u0301nie/a.txt").write_text("a")

        with pytest.raises(AirflowFailException, match="none for the folder"):
            listed(
                share,
                tmp_path / "out",
                permissions=FolderPermissions({"": ["all"], "g\u00e9nie": ["few"]}),
            )

    def test_a_whole_path_is_no_entry(self, share: Path, tmp_path: Path) -> None:
        table = FolderPermissions({"": ["all"], f"{share}/hr": ["hr"]})

        with pytest.raises(AirflowFailException, match=r"begins with the root, .* Write 'hr'"):
            listed(share, tmp_path / "out", permissions=table)

    def test_an_entry_without_files_is_told(
        self, share: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Its folder may come later, or have been renamed."""
        table = FolderPermissions({"": ["all"], "b": ["b"], "finance": ["f"]})
        listed(share, tmp_path / "out", permissions=table)

        assert "FolderPermissions: no file lies in 'finance'. Is it misspelt" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "text", ["folder;group\n;all\n", "folder,group\nhr,\n", "", "folder,group\n./hr,hr\n"]
    )
    def test_a_table_that_is_none_names_its_file(self, share: Path, tmp_path: Path, text: str) -> None:
        (tmp_path / "table.csv").write_bytes(text.encode())

        with pytest.raises(AirflowFailException, match=r"table\.csv"):
            listed(share, tmp_path / "out", permissions=FolderPermissions(str(tmp_path / "table.csv")))

    @pytest.mark.parametrize(
        "text",
        [
            ',all\nhr,"HR\nb,B\n',
            ',all\nhr,"HR\nb,B\nc,"C"\n',
            ',all\nhr,"HR\nb,B\n"\n',
            ',all\nhr,"HR"x\n',
            ",all\nb, hr,HR\n",
        ],
    )
    def test_a_table_that_loses_an_entry_is_refused(self, share: Path, tmp_path: Path, text: str) -> None:
        """By an open quote or a comma without one: the files of a lost entry are seen by those of the root."""
        (tmp_path / "table.csv").write_text(f"folder,group\n{text}")

        with pytest.raises(AirflowFailException, match=r"table\.csv.*(more values|CSV)"):
            listed(share, tmp_path / "out", permissions=FolderPermissions(str(tmp_path / "table.csv")))

    def test_a_table_with_a_column_twice_is_refused(self, share: Path, tmp_path: Path) -> None:
        (tmp_path / "table.csv").write_text("folder,group,group\n,all,HR\n")

        with pytest.raises(AirflowFailException, match=r"table\.csv: the column 'group' stands twice"):
            listed(share, tmp_path / "out", permissions=FolderPermissions(str(tmp_path / "table.csv")))

    @pytest.mark.parametrize("entry", ["a.txt", "A.TXT", "hr/salaries.pdf"])
    def test_an_entry_that_is_a_file_is_refused(self, share: Path, tmp_path: Path, entry: str) -> None:
        """It would decide nothing, and the file be seen by those of the folder; a folder may become a file."""
        with pytest.raises(AirflowFailException, match="is a file, and FolderPermissions has an entry"):
            listed(share, tmp_path / "out", permissions=FolderPermissions({"": ["all"], entry: ["HR"]}))

    @pytest.mark.parametrize(
        "changed",
        [
            {"mapping": DocumentMapping("x://{title}", keep=("contentUri",))},
            {"transform": lambda frame: frame.rename(columns={"permissions": "readers"})},
            {"transform": lambda frame: frame.assign(permissions=None)},
            {
                "transform": lambda frame: frame.assign(
                    permissions=frame["permissions"].where(frame.index > 0)
                )
            },
        ],
    )
    def test_permissions_are_not_lost_on_the_way(
        self, share: Path, tmp_path: Path, changed: dict[str, Any]
    ) -> None:
        """A source that is not secured would show such documents to everybody."""
        with pytest.raises(AirflowFailException, match=r"left \d document.* without permissions"):
            listed(share, tmp_path / "out", permissions=FolderPermissions({"": ["all"]}), **changed)
        kept = DocumentMapping("x://{title}", keep=("contentUri", "permissions"))
        assert self.of(
            listed(share, tmp_path / "out", permissions=FolderPermissions({"": ["all"]}), mapping=kept)
        )

    @pytest.mark.parametrize("link", ["b/c/d.TXT", "b/c"])
    def test_a_link_that_is_made_after_the_list_shows_nothing(
        self, secured: Sandbox, share: Path, tmp_path: Path, link: str
    ) -> None:
        """It leads to what only some may see, and its document is for all."""
        (share / "hr/d.TXT").write_text("secret")
        table = FolderPermissions({"": ["all"], "hr": ["HR"]})
        parts = listed(share, tmp_path / "out", permissions=table)
        compare: dict[str, Any] = {
            "documents": parts,
            "state": str(tmp_path / "state"),
            "source_id": "files2",
        }
        (unit,) = run(CoveoDiffOperator(task_id="d", output=str(tmp_path / "c"), **compare))
        (share / "b/c/d.TXT").unlink()
        if link == "b/c":
            (share / "b/c").rmdir()
            (share / "b/c").symlink_to(share / "hr")
        else:
            (share / "b/c/d.TXT").symlink_to(share / "hr/d.TXT")

        for documents in (parts, unit["documents"]):
            with pytest.raises(AirflowFailException, match=r"behind, a link that leads to .*/hr/d\.TXT"):
                run(CoveoPushBatchOperator(task_id="p", source_id="files2", documents=documents))
        assert secured.count("files2") == 0

    def test_a_table_of_another_encoding_names_its_file(self, share: Path, tmp_path: Path) -> None:
        (tmp_path / "table.csv").write_bytes("folder,group\n,Z\xfcrich\n".encode("latin-1"))

        with pytest.raises(AirflowFailException, match=r"table\.csv: expected a CSV file in UTF-8"):
            listed(share, tmp_path / "out", permissions=FolderPermissions(str(tmp_path / "table.csv")))

    def test_a_change_of_mode_is_a_change(self, secured: Sandbox, share: Path, tmp_path: Path) -> None:
        """Of one document, though its file is the same."""
        state = str(tmp_path / "state")

        def night(name: str) -> list[str]:
            parts = listed(share, tmp_path / name, permissions=PosixPermissions(everyone=None))
            changes: dict[str, Any] = {
                "documents": parts,
                "output": str(tmp_path / f"{name}-changes"),
                "state": state,
            }
            units = run(CoveoDiffOperator(task_id="d", source_id="files2", **changes))
            sends = [CoveoPushBatchOperator(task_id="p", source_id="files2", **unit) for unit in units]
            end: dict[str, Any] = {
                "reports": [run(send) for send in sends],
                "manifest": str(tmp_path / name / MANIFEST),
            }
            run(CoveoFinalizeOperator(task_id="f", source_id="files2", state=state, **end))
            return [name for unit in units for name in rows(list_parts(unit["documents"], "documents"))]

        assert len(night("1")) == 4
        (share / "a.txt").chmod(0o600)
        assert night("2") == ["a.txt"]

    @pytest.mark.parametrize(
        "table",
        [
            {},
            {"hr": "hr"},
            {"hr": [""]},
            {"hr": ["a"], "hr/": ["b"]},
            {"../hr": ["hr"]},
            {"file:///srv/share/hr": ["hr"]},
            {None: ["hr"]},
        ],
    )
    def test_a_table_that_says_nothing_is_refused(self, table: Any) -> None:
        with pytest.raises(ConfigurationError, match="FolderPermissions"):
            FolderPermissions(table)

    # mode of the folder, mode of the file → who of owner, group and others sees the file
    MODES: ClassVar[Sequence[tuple[int, int, set[str]]]] = (
        (0o755, 0o644, {"owner", "group", "other"}),
        (0o755, 0o640, {"owner", "group"}),
        (0o755, 0o600, {"owner"}),
        (0o755, 0o000, set()),
        (0o750, 0o644, {"owner", "group"}),
        (0o700, 0o644, {"owner"}),
        (0o711, 0o644, {"owner", "group", "other"}),
        (0o755, 0o044, {"group", "other"}),
        (0o745, 0o644, {"other"}),  # of a group that may not enter, its owner is one
    )

    @pytest.mark.parametrize(("folder", "file", "see"), MODES)
    def test_owner_group_and_mode_decide(
        self, secured: Sandbox, share: Path, tmp_path: Path, folder: int, file: int, see: set[str]
    ) -> None:
        """Of the file, and of the folders that lead to it."""
        secured.add_security_provider("unix", sources=["files2"])
        people = ("owner", "group", "other")
        for group, members in (("g4711", people[:2]), ("all", people)):
            found = [{"name": one, "type": "USER"} for one in members]
            identity({"name": group, "type": "GROUP"}, members=found)
        for one in people:
            alias = {"name": f"{one}@example.com", "type": "USER", "provider": "Email Security Provider"}
            identity({"name": one, "type": "USER"}, mappings=[alias])
        for path, mode in ((share, 0o755), (share / "hr", folder), (share / "hr/salaries.pdf", file)):
            os.chown(path, 4710, 4711)
            path.chmod(mode)
        with patch("coveo_provider.documents.permissions.posix._user", lambda _: "owner"):
            parts = listed(
                share,
                tmp_path / "out",
                include=["/hr/salaries.pdf"],
                permissions=PosixPermissions(everyone="all", group="g{name}", security_provider="unix"),
            )
        run(CoveoPushBatchOperator(task_id="push", source_id="files2", documents=parts))
        secured.settle()

        document = f"{PREFIX}hr/salaries.pdf"
        assert {one for one in people if secured.can_see("files2", document, f"{one}@example.com")} == see
        assert not secured.can_see("files2", document, None)

    def test_others_are_left_out_unless_they_are_named(self, share: Path, tmp_path: Path) -> None:
        found = self.of(listed(share, tmp_path / "out", permissions=PosixPermissions(everyone=None)))

        assert all('"allowAnonymous": true' not in text for text in found.values())
        assert all(text.count('"identityType": "Group"') == 1 for text in found.values())

    def test_an_access_control_list_is_not_passed_over(self, share: Path, tmp_path: Path) -> None:
        """The bits of the group are then a mask, and say more than is true."""

        def names(path: str) -> list[str]:
            return ["system.posix_acl_access"] if path.endswith("salaries.pdf") else []

        with (
            patch("os.listxattr", names),
            pytest.raises(AirflowFailException, match=r"salaries\.pdf has an access"),
        ):
            listed(share, tmp_path / "out", permissions=PosixPermissions(everyone=None))

    @pytest.mark.parametrize("way", ["whole", "changes", "mapped"])
    @pytest.mark.parametrize("made", ["hr/salaries.pdf", "hr", ""])
    def test_what_is_made_private_after_the_list_is_not_sent_to_those_of_before(
        self, secured: Sandbox, share: Path, tmp_path: Path, made: str, way: str
    ) -> None:
        """And filled with a secret then, which the old permissions would show to all."""
        kept = DocumentMapping("x://{title}", keep=("contentUri", "permissions"))
        options: dict[str, Any] = {"permissions": PosixPermissions(everyone="all")}
        if way == "mapped":
            options["mapping"] = kept
        documents: Any = listed(share, tmp_path / "out", **options)
        if way == "changes":
            compare: dict[str, Any] = {"documents": documents, "state": str(tmp_path / "state")}
            diff = CoveoDiffOperator(task_id="d", source_id="files2", output=str(tmp_path / "c"), **compare)
            (unit,) = run(diff)
            documents = unit["documents"]
        (share / made).chmod(0o700)
        (share / "hr/salaries.pdf").write_text("secret")

        with pytest.raises(
            AirflowFailException, match=r"hr/salaries.pdf has another owner|a\.txt has another"
        ):
            run(CoveoPushBatchOperator(task_id="p", source_id="files2", documents=documents))
        assert secured.count("files2") == 0

        again = listed(share, tmp_path / "again", **options)
        run(CoveoPushBatchOperator(task_id="p", source_id="files2", documents=again))
        secured.settle()
        assert secured.count("files2") == 4
        assert "owner" not in str([secured.item("files2", one) for one in secured.items("files2")]).lower()

    def test_a_list_of_rows_keeps_whose_files_are(
        self, secured: Sandbox, share: Path, tmp_path: Path
    ) -> None:
        """As one pushes that reads the dataset and hands it on."""
        parts = listed(share, tmp_path / "out", permissions=PosixPermissions(everyone="all"))
        documents = [*rows(parts).values()]
        (share / "a.txt").chmod(0o600)
        for load in (documents, pd.DataFrame(documents)):
            with pytest.raises(AirflowFailException, match=r"a\.txt has another owner"):
                run(CoveoPushBatchOperator(task_id="p", source_id="files2", documents=load))
        assert secured.count("files2") == 0

    def test_a_storage_has_no_owners(self, remote: Staging, tmp_path: Path) -> None:
        fsspec.filesystem("memory").pipe_file("/bucket/share/a.txt", b"a")

        with pytest.raises(AirflowFailException, match="has no owners, groups and modes"):
            listed("memory://bucket/share", tmp_path / "out", permissions=PosixPermissions(everyone=None))


class TestRoots:
    """What ``contentUri`` may read."""

    def push_rows(self, uri: str) -> None:
        run(
            CoveoPushBatchOperator(
                task_id="push", source_id="files", documents=[{"documentId": "file://a", "contentUri": uri}]
            )
        )

    @pytest.mark.parametrize(
        "uri", ["/proc/self/environ", "file:///proc/self/cmdline", "/sys/kernel/uevent_seqnum"]
    )
    def test_what_the_system_tells_of_itself_is_never_read(
        self, connected: Sandbox, tmp_path: Path, uri: str
    ) -> None:
        """Nor through a link to it."""
        if not Path(uri.removeprefix("file://")).exists():
            pytest.skip(f"there is no {uri}")
        (tmp_path / "link").symlink_to(uri.removeprefix("file://"))
        for one in (uri, str(tmp_path / "link")):
            with pytest.raises(AirflowFailException, match="no content is read there"):
                self.push_rows(one)
        assert connected.count("files") == 0

    @pytest.mark.parametrize(
        ("roots", "allowed"),
        [
            ("{here}/data", True),
            ("{here}/data/", True),
            ("file://{here}/data, s3://bucket", True),
            ("s3://bucket\n{here}/data", True),
            ("{here}/dat", False),
            ("{here}/data/a.txt/b", False),
            ("s3://bucket", False),
        ],
    )
    def test_the_setting_holds_for_all_tasks(
        self, connected: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, roots: str, allowed: bool
    ) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data/a.txt").write_text("a")
        monkeypatch.setenv("AIRFLOW__COVEO__CONTENT_ROOTS", roots.format(here=tmp_path))

        if allowed:
            self.push_rows(f"file://{tmp_path}/data/a.txt")
            connected.settle()
            assert content_of(connected, "files", "file://a") == b"a"
        else:
            with pytest.raises(AirflowFailException, match=r"a\.txt .*lies outside of what may be read"):
                self.push_rows(f"file://{tmp_path}/data/a.txt")
            assert connected.count("files") == 0

    @pytest.mark.parametrize(
        "escape", ["../secret.txt", "hr/../../secret.txt", "./../secret.txt", "link.txt", "hr/up/secret.txt"]
    )
    def test_no_way_leads_out(self, connected: Sandbox, share: Path, tmp_path: Path, escape: str) -> None:
        """Neither steps upward nor links; it is refused when the dataset is made, checked and sent."""
        (tmp_path / "secret.txt").write_text("secret")
        (share / "link.txt").symlink_to(tmp_path / "secret.txt")
        (share / "hr/up").symlink_to(tmp_path)
        (tmp_path / "rows.ndjson").write_text(f'{{"documentId": "x:a", "contentUri": "{share}/{escape}"}}\n')
        transform: dict[str, Any] = {
            "task_id": "t",
            "source": str(tmp_path / "rows.ndjson"),
            "output": str(tmp_path / "out"),
        }

        with pytest.raises(AirflowFailException, match=r"lies outside of what may be read|leads through"):
            run(CoveoTransformOperator(**transform, content_roots=str(share)))

        parts = run(CoveoTransformOperator(**transform))
        manifest = tmp_path / "out" / MANIFEST
        manifest.write_text(
            manifest.read_text().replace('"content_roots": []', f'"content_roots": ["{share}"]')
        )
        for send in (
            CoveoCheckDatasetOperator(task_id="c", documents=parts),
            CoveoPushBatchOperator(task_id="p", source_id="files", documents=parts),
        ):
            with pytest.raises(AirflowFailException, match=r"lies outside of what may be read|leads through"):
                run(send)
        assert connected.count("files") == 0

    def test_a_file_that_is_replaced_by_a_link_is_not_read(
        self, connected: Sandbox, share: Path, tmp_path: Path
    ) -> None:
        """Also in the moment between the look at it and its opening."""
        parts = listed(share, tmp_path / "out", include="a.txt")
        refuse = local_files.refuse_irregular

        def swapped(path: str) -> None:
            refuse(path)
            if not (share / "a.txt").is_symlink():
                (share / "a.txt").unlink()
                (share / "a.txt").symlink_to("/etc/hostname")

        with (
            patch.object(content_files, "refuse_irregular", swapped),
            pytest.raises(AirflowFailException, match="leads to /etc/hostname, which lies outside"),
        ):
            pushed(parts)
        assert connected.count("files") == 0

    def test_changes_are_bound_by_what_the_whole_was(
        self, connected: Sandbox, share: Path, tmp_path: Path
    ) -> None:
        parts = listed(share, tmp_path / "out")
        compare: dict[str, Any] = {"documents": parts, "state": str(tmp_path / "state"), "source_id": "files"}
        (unit,) = run(CoveoDiffOperator(task_id="d", output=str(tmp_path / "c"), **compare))
        (share / "a.txt").unlink()
        (share / "a.txt").symlink_to("/etc/hostname")

        with pytest.raises(AirflowFailException, match="lies outside of what may be read"):
            run(CoveoPushBatchOperator(task_id="p", source_id="files", **unit))
        assert connected.count("files") == 0

    @pytest.mark.parametrize("roots", ["", "  ", "..", "s3:bucket", ["/a/../b"], 5])
    def test_a_root_that_is_none_is_refused(self, share: Path, tmp_path: Path, roots: Any) -> None:
        rows = tmp_path / "rows.ndjson"
        rows.write_text('{"documentId": "x:a"}\n')

        with pytest.raises(AirflowFailException, match="content_roots"):
            run(
                CoveoTransformOperator(
                    task_id="t", source=str(rows), output=str(tmp_path / "out"), content_roots=roots
                )
            )


def test_columns_can_be_changed_and_added(share: Path, tmp_path: Path) -> None:
    """By a function, a mapping, or both."""
    found = rows(
        listed(
            share,
            tmp_path / "out",
            transform=lambda frame: frame.assign(
                team=frame["parentId"].str.removeprefix(PREFIX).str.split("/").str[0]
            ),
            mapping=DocumentMapping("{documentId}", keep="*", drop=["title"], fields={"filename": "title"}),
        )
    )

    assert found["hr/salaries.pdf"]["team"] == "hr"
    assert found["hr/salaries.pdf"]["filename"] == "salaries.pdf"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"include": [""]}, "include must hold patterns"),
        ({"min_bytes": -1}, "min_bytes must be a number of bytes"),
        ({"max_bytes": True}, "max_bytes must be a number of bytes"),
        ({"newer_than": "yesterday"}, "newer_than must be a timedelta or a moment"),
        ({"follow_links": "yes"}, "follow_links must be True or False"),
        ({"batch_rows": 0}, "batch_rows must be a whole number"),
        ({"id_prefix": "my share/"}, "is not a URI such as"),
        ({"id_prefix": "file://share"}, r"would run into the names .* End it with a mark: 'file://share/'"),
    ],
)
def test_bad_arguments_are_refused(
    share: Path, tmp_path: Path, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(AirflowFailException, match=problem):
        listed(share, tmp_path / "out", **options)


def test_a_name_that_is_no_text_is_refused(share: Path, tmp_path: Path) -> None:
    """No URI can tell it, and passed over it would be missing."""
    (share / os.fsdecode(b"caf\xe9.txt")).write_text("x")

    with pytest.raises(AirflowFailException, match=r"name of the file caf\\xe9\.txt is not UTF-8"):
        listed(share, tmp_path / "out")


def test_a_root_that_is_percent_encoded_is_told(tmp_path: Path) -> None:
    """As ``Path.as_uri`` writes it."""
    (tmp_path / "my share").mkdir()

    with pytest.raises(AirflowFailException, match=r"missing, expected a folder: names are read literally"):
        listed((tmp_path / "my share").as_uri(), tmp_path / "out")


def test_a_root_with_a_password_is_refused(tmp_path: Path) -> None:
    """It would stand in every row of the dataset."""
    with pytest.raises(AirflowFailException, match="holds a password") as caught:
        listed("sftp://reader:hunter2@nas/share", tmp_path / "out")
    assert "hunter2" not in str(caught.value)


def test_new_bytes_of_the_old_size_and_time_are_seen_by_their_hash(
    connected: Sandbox, share: Path, tmp_path: Path
) -> None:
    """And by nothing else, as the documentation says."""
    changed = {}
    for stamp in ("time", "hash"):
        hashes = []
        for text in (b"one", b"two"):
            (share / "a.txt").write_bytes(text)
            os.utime(share / "a.txt", (1_700_000_000, 1_700_000_000))
            listed(share, tmp_path / "out", content_stamp=stamp)
            hashes.append(read_manifest((tmp_path / "out" / MANIFEST).read_bytes(), "").sha256)
        changed[stamp] = hashes[0] != hashes[1]

    assert changed == {"time": False, "hash": True}


def test_an_empty_file_is_a_document(connected: Sandbox, share: Path, tmp_path: Path) -> None:
    (share / "empty.txt").touch()

    pushed(listed(share, tmp_path / "out", include="empty.txt"))
    connected.settle()

    assert connected.items("files")[f"{PREFIX}empty.txt"]["size"] == 0
    assert content_of(connected, "files", f"{PREFIX}empty.txt") == b""


def test_batches_change_nothing(share: Path, tmp_path: Path) -> None:
    assert rows(listed(share, tmp_path / "a", batch_rows=1)) == rows(listed(share, tmp_path / "b"))
