"""The images: what their last stage holds, and that e2e/rootfs lays out the same."""

import pathlib
import re
import shutil
import subprocess

import pytest
from conftest import TOP

ROOTFS = TOP / "e2e" / "rootfs"
FILES = {"operator": "relay-operator", "dataplane": "relay-dataplane", "e2e": "relay-provider"}


def run(*arguments):
    return subprocess.run([str(each) for each in arguments], capture_output=True, text=True, timeout=60)


def test_rootfs_lays_out_what_the_containerfiles_copy():
    done = run(ROOTFS, "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("change", [("USER 65532:65532", "USER 0:0"), ("FROM scratch", "FROM debian"), ("COPY --from=build /out/passwd /etc/passwd\n", "")], ids=str)
def test_the_check_finds_a_difference(tmp_path, change):
    for folder in FILES:
        (tmp_path / folder).mkdir()
        shutil.copy(TOP / folder / "Containerfile", tmp_path / folder)
    shutil.copy(ROOTFS, tmp_path / "e2e")
    file = tmp_path / "dataplane" / "Containerfile"
    assert change[0] in file.read_text()
    file.write_text(file.read_text().replace(*change))
    done = run(tmp_path / "e2e" / "rootfs", "--check")
    assert done.returncode == 1 and "dataplane/Containerfile" in done.stderr, done.stderr


@pytest.mark.parametrize("folder", FILES)
def test_an_image_holds_one_program_and_no_root(folder):
    text = (TOP / folder / "Containerfile").read_text()
    last = text[text.rindex("\nFROM ") :]
    assert last.startswith("\nFROM scratch\n") and "USER 65532:65532\n" in last
    assert f'ENTRYPOINT ["/{FILES[folder]}"]' in last
    assert "cargo build --locked --release" in text and "target-feature=+crt-static" in text


def test_images_are_built_by_the_pinned_toolchain():
    channel = re.search(r'^channel = "([^"]+)"', (TOP / "rust-toolchain.toml").read_text(), re.M)[1]
    for folder in FILES:
        assert re.search(r"^ARG RUST=(.+)$", (TOP / folder / "Containerfile").read_text(), re.M)[1] == channel


def test_a_program_with_libraries_is_refused(tmp_path):
    dynamic = pathlib.Path("/bin/ls").resolve()
    done = run(ROOTFS, dynamic, "relay-dataplane", tmp_path / "root")
    assert done.returncode == 1 and "is not static" in done.stderr
    assert not (tmp_path / "root").exists()


def test_a_file_that_is_no_program_is_refused(tmp_path):
    done = run(ROOTFS, ROOTFS, "relay-dataplane", tmp_path / "root")
    assert done.returncode == 1 and "is not a program" in done.stderr
