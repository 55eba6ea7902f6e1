"""What lies in folders and archives: links, pipes, hostile archives."""

import os
import stat
import zipfile

import numpy as np
import pytest
from support.pictures import pixels, save, tree

from jaxgan.data import files, load
from jaxgan.errors import UserError


def read(root, **options):
    return load("folder", data_dir=str(root), **{"image_size": 12, **options})


def zipped(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def archive_of(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


@pytest.fixture
def png(tmp_path):
    """The bytes of an image file."""
    return save(tmp_path / "elsewhere" / "a.png", pixels(0)).read_bytes()


def test_linked_class_folders_sub_folders_and_files_are_followed(tmp_path):
    tree(tmp_path / "far", "owl/a.png", "owl/b.png", "more/c.png", "d.png")
    root = tree(tmp_path / "images", "cat/a.png", "dog/a.png")
    (root / "owl").symlink_to(tmp_path / "far" / "owl")
    (root / "cat" / "more").symlink_to(tmp_path / "far" / "more")
    (root / "dog" / "d.png").symlink_to(tmp_path / "far" / "d.png")
    source = read(root)
    assert dict(zip(source.class_names, np.bincount(source.labels), strict=True)) == {"cat": 2, "dog": 2, "owl": 2}


@pytest.mark.parametrize("target", ["..", ".", "../.."])
def test_links_in_a_circle_end(tmp_path, target):
    root = tree(tmp_path / "images", "cat/a.png", "dog/a.png")
    (root / "cat" / "again").symlink_to(target)
    source = read(root)
    assert len(source) >= 2 and "behind links in a circle" in source.summary


def test_a_net_of_links_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_LINKS", 20)
    tree(tmp_path, *(f"{name}/a.png" for name in "abcdef"))
    for one in "abcdef":
        for other in "abcdef":
            (tmp_path / one / f"to_{other}").symlink_to(f"../{other}")
    with pytest.raises(UserError, match="more than 20 links to folders: do its links lead in circles"):
        read(tmp_path)


def test_pipes_sockets_devices_and_broken_links_are_counted_and_never_opened(tmp_path):
    tree(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "gone.png").symlink_to("nowhere")
    (tmp_path / "self.png").symlink_to("self.png")
    summary = read(tmp_path).summary
    assert "5 files seen, 1 used: 2 behind broken links, 2 neither files nor folders" in summary


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path, monkeypatch):
    tree(tmp_path, "cat/a.png", "dog/a.png")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"dog' cannot be read \(Permission denied\)"):
        read(tmp_path)


def test_a_file_of_unbounded_size_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 100)
    with pytest.raises(UserError, match=r"a\.png \(\d+ bytes, more than the 100 allowed\)"):
        read(tree(tmp_path, "a.png"))


def test_names_that_are_not_utf8_can_be_said(tmp_path):
    tree(tmp_path, "a.png")
    with open(os.fsencode(tmp_path) + b"/bad\xff.png", "wb"):
        pass
    with pytest.raises(UserError, match=r"bad\\xff\.png \(empty file\)") as caught:
        read(tmp_path)
    str(caught.value).encode()


# --- archives


def test_an_archive_reads_as_its_folder(tmp_path):
    folder = tree(tmp_path / "images", "b/1.png", "b/sub/2.png", "a/z.png", "a/y.png", "notes.txt", "a/.hidden")
    one, other = read(folder), read(archive_of(folder, tmp_path / "images.zip"))
    np.testing.assert_array_equal(one.examples, other.examples)
    assert (one.labels.tolist(), one.class_names) == (other.labels.tolist(), other.class_names)
    assert one.summary == other.summary


def test_an_archive_can_be_streamed(tmp_path, monkeypatch):
    path = archive_of(tree(tmp_path / "images", "a/1.png", "b/2.png", "b/3.png"), tmp_path / "images.zip")
    whole = read(path).examples
    monkeypatch.setattr(load.__globals__["source_module"], "MEMORY_LIMIT", 100)
    np.testing.assert_array_equal(read(path).read([2, 0]), whole[[2, 0]])


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "x/../../a.png", "C:/a.png", "..\\a.png"])
def test_members_named_to_lie_outside_are_counted_and_not_read(tmp_path, png, name):
    path = zipped(tmp_path / "a.zip", **{"good.png": png, name: png})
    assert "2 files seen, 1 used: 1 named to lie outside the archive" in read(path).summary


def test_links_and_doubles_in_an_archive_are_counted(tmp_path, png):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", png)
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", png)
    assert (
        "3 files seen, 1 used: 1 neither files nor folders, 1 twice in the archive" in read(tmp_path / "a.zip").summary
    )


def test_a_member_that_unpacks_to_far_more_is_damaged(tmp_path, png, monkeypatch):
    monkeypatch.setattr(files, "BOMB", (200, 10_000))
    path = zipped(tmp_path / "a.zip", **{"good.png": png, "bomb.png": bytes(10**6)})
    with pytest.raises(UserError, match=r"bomb\.png \(unpacks to far more"):
        read(path)


def test_a_damaged_member_is_named(tmp_path, png):
    path = zipped(tmp_path / "a.zip", **{"good.png": png, "bad.png": png})
    content = bytearray(path.read_bytes())
    at = content.index(b"bad.png") + 60
    content[at : at + 20] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"1 of the 2 images .* bad\.png \("):
        read(path)


@pytest.mark.parametrize("content", [b"PK\3\4 not an archive", b"hello", b""])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip' is a file: .* needs a directory of images, or a \.zip"):
        read(tmp_path / "a.zip")
