"""A certificate authority of a test's own, made by the openssl program."""

import pathlib
import ssl
import tempfile

from .duplex_tls import DuplexTLSSocket
from .keys import openssl

_KEYS = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}


class Identity:
    """A certificate and its key, each a file in PEM."""

    def __init__(self, certificate: pathlib.Path, key: pathlib.Path):
        self.certificate, self.key = str(certificate), str(key)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate."""
        text = openssl("x509", "-in", self.certificate, "-noout", "-fingerprint", "-sha256").decode()
        return text.partition("=")[2].strip().replace(":", "").lower()


class Authority:
    def __init__(self, name="test authority"):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="gh-ca-", dir="/tmp"))
        self.key = self.directory / "ca.key"
        self.certificate = str(self.directory / "ca.pem")
        openssl("req", "-x509", "-newkey", *_KEYS["ec"], "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", self.key,
                "-out", self.certificate)

    def issue(self, name: str, names: str = "DNS:gateway.test,DNS:localhost,IP:127.0.0.1", kind="ec", subject=None, days=2) -> Identity:
        """A certificate for names such as `DNS:localhost,IP:127.0.0.1`. Issuing again under a name replaces its files."""
        certificate, key, request, extensions = (self.directory / f"{name}.{suffix}" for suffix in ("pem", "key", "csr", "ext"))
        openssl("req", "-newkey", *_KEYS[kind], "-nodes", "-utf8", "-subj", subject or f"/CN={name}", "-keyout", key, "-out", request)
        extensions.write_text(f"subjectAltName={names}\n" if names else "")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", extensions, "-out", certificate)
        return Identity(certificate, key)

    def client(self, identity: Identity | None = None) -> ssl.SSLContext:
        """A client that trusts this authority, and shows itself as `identity`."""
        context = ssl.create_default_context(cafile=self.certificate)
        context.sslsocket_class = DuplexTLSSocket
        if identity:
            context.load_cert_chain(identity.certificate, identity.key)
        return context
