"""A real TLS server in front of the provider: nginx with a certificate of a CA that only its test knows."""

import contextlib
import pathlib
import subprocess

from conftest import openssl, until


@contextlib.contextmanager
def nginx(folder: pathlib.Path, provider_port: int, names: list[str], secure: str, *plain: str):
    """Speaks TLS as these hosts at address `secure`, and in the clear at the others, until the block ends. Gives the file of the CA's certificate."""
    elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *elliptic, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA", "-days", "2", cwd=folder)
    openssl("req", *elliptic, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server", cwd=folder)
    (folder / "san").write_text(f"subjectAltName={','.join(f'DNS:{name}' for name in names)}\n")
    sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    openssl(*sign, "-out", "server.pem", "-days", "2", "-extfile", "san", cwd=folder)
    (folder / "nginx.conf").write_text(f"""
      daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_processes 1; user root;
      events {{}}
      http {{
        access_log off; proxy_buffering off; proxy_http_version 1.1;
        client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
        uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
        server {{
          listen {secure} ssl; {"".join(f"listen {address};" for address in plain)}
          ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
          location / {{ proxy_pass http://127.0.0.1:{provider_port}; proxy_set_header Host $host; }}
        }}
      }}""")
    with (folder / "nginx.out").open("w") as out:
        process = subprocess.Popen(["nginx", "-c", folder / "nginx.conf", "-p", folder], stdout=out, stderr=out)

    def up():
        assert process.poll() is None, (folder / "nginx.out").read_text()
        probe = ["openssl", "s_client", "-connect", secure]
        return subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0

    try:
        until(up, "nginx with TLS")
        yield folder / "ca.pem"
    finally:
        process.terminate()
        process.wait(timeout=10)
