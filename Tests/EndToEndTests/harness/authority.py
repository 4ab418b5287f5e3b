"""A certificate authority of a test's own, made by the openssl program."""

import os
import pathlib
import ssl
import tempfile
import time

from .der import common_name, der, object_identifier, sequence
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
        self.name = name
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

    def issue_raw(self, subject: bytes, extensions: list[bytes]) -> Identity:
        """A certificate of this subject (a Name, RFC 5280 §4.1.2.4) and extensions, each in DER, which need be none that openssl would write."""
        certificate, key, content, signature = (self.directory / f"raw.{suffix}" for suffix in ("pem", "key", "tbs", "sig"))
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        algorithm = sequence(object_identifier(0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02))     # ecdsa-with-SHA256
        times = [time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() + hours * 3600)).encode() for hours in (-1, 48)]
        content.write_bytes(sequence(
            der(0xA0, der(0x02, b"\x02")), der(0x02, b"\x01" + os.urandom(8)), algorithm, common_name(0x0C, self.name.encode()),
            sequence(*(der(0x17, time) for time in times)), subject, openssl("pkey", "-in", key, "-pubout", "-outform", "DER"),
            der(0xA3, sequence(*extensions))))
        openssl("dgst", "-sha256", "-sign", self.key, "-out", signature, content)
        signed = sequence(content.read_bytes(), algorithm, der(0x03, b"\0" + signature.read_bytes()))
        certificate.write_text(ssl.DER_cert_to_PEM_cert(signed))
        return Identity(certificate, key)

    def client(self, identity: Identity | None = None) -> ssl.SSLContext:
        """A client that trusts this authority, and shows itself as `identity`."""
        context = ssl.create_default_context(cafile=self.certificate)
        context.sslsocket_class = DuplexTLSSocket
        if identity:
            context.load_cert_chain(identity.certificate, identity.key)
        return context
