"""Asymmetric keys and the tokens they sign, by openssl alone, so that nothing of the gateway judges itself."""

import json
import pathlib
import subprocess
import time

from .tokens import encode_segment

_PARAMETERS = {
    "RS256": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "EdDSA": ["-algorithm", "ED25519"],
}


def openssl(*arguments, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=True).stdout


class SigningKey:
    """A new key pair of one algorithm; the private half lies in `file`, in PEM."""

    def __init__(self, algorithm: str, directory: pathlib.Path, kid: str | None = None):
        self.algorithm, self.kid = algorithm, kid
        self.file = directory / f"{algorithm}-{kid}-{time.monotonic_ns()}.pem"
        openssl("genpkey", *_PARAMETERS[algorithm], "-out", self.file)

    @property
    def public_pem(self) -> bytes:
        return openssl("pkey", "-in", self.file, "-pubout")

    @property
    def jwk(self) -> dict:
        der = openssl("pkey", "-in", self.file, "-pubout", "-outform", "DER")
        if self.algorithm == "RS256":
            modulus = openssl("rsa", "-in", self.file, "-noout", "-modulus").decode().strip().partition("=")[2]
            key = {"kty": "RSA", "n": encode_segment(bytes.fromhex(modulus)), "e": "AQAB"}
        elif self.algorithm == "ES256":
            key = {"kty": "EC", "crv": "P-256", "x": encode_segment(der[-64:-32]), "y": encode_segment(der[-32:])}
        else:
            key = {"kty": "OKP", "crv": "Ed25519", "x": encode_segment(der[-32:])}
        return {**key, "alg": self.algorithm, "use": "sig", **({"kid": self.kid} if self.kid else {})}

    def token(self, user="usr_1", *, expires_in=3600, typ="JWT", **claims) -> str:
        """A token for `user` with these claims; one given as None is left out."""
        header = {"alg": self.algorithm, "typ": typ, "kid": self.kid}
        payload = {"sub": user, "exp": int(time.time()) + expires_in, **claims}
        signed = ".".join(
            encode_segment(json.dumps({name: value for name, value in part.items() if value is not None}).encode())
            for part in (header, payload))
        return signed + "." + encode_segment(self._sign(signed.encode()))

    def _sign(self, data: bytes) -> bytes:
        if self.algorithm == "EdDSA":
            # Ed25519 wants the length of what it signs beforehand, which a pipe doesn't have.
            document = self.file.with_suffix(".data")
            document.write_bytes(data)
            return openssl("pkeyutl", "-sign", "-inkey", self.file, "-rawin", "-in", document)
        signature = openssl("dgst", "-sha256", "-sign", self.file, data=data)
        return signature if self.algorithm == "RS256" else _fixed_width(signature)


def jwks(*keys: SigningKey) -> bytes:
    """A JWK Set with the public halves of these keys."""
    return json.dumps({"keys": [key.jwk for key in keys]}).encode()


def _fixed_width(der: bytes) -> bytes:
    """The R and S of an ECDSA signature in DER, as JWS joins them (RFC 7518 §3.4)."""
    numbers, rest = b"", der[2:]
    for _ in range(2):
        length = rest[1]
        numbers += rest[2:2 + length].lstrip(b"\0").rjust(32, b"\0")
        rest = rest[2 + length:]
    return numbers
