"""What the cryptography alone takes: the least that a decision on a new token can cost."""

import json
import os
import pathlib
import re
import subprocess
from base64 import urlsafe_b64encode

import policy
from harness.process import environment

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
# How a key of each is made, what `openssl speed` calls it, and which of its lines has the figures.
GENERATED = {
    "RS256": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "EdDSA": ["-algorithm", "ED25519"],
}
SPEED = {"RS256": ("rsa2048", "F2"), "ES256": ("ecdsap256", "F4"), "EdDSA": ("ed25519", "F6")}
LABELS = {"HS256": "HMAC and one JSON parse"} | {name: f"`openssl speed {speed}`, verify" for name, (speed, _) in SPEED.items()}


def make_key(algorithm: str, directory: pathlib.Path) -> pathlib.Path:
    """A new private key: a JWK for HS256, PEM for the others."""
    path = directory / f"{algorithm}.key"
    if algorithm in GENERATED:
        run("openssl", "genpkey", *GENERATED[algorithm], "-out", str(path))
    else:
        path.write_text(json.dumps({"kty": "oct", "k": urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()}))
    return path


def nanoseconds(algorithm: str, binaries: pathlib.Path, key: pathlib.Path, tokens_file: pathlib.Path) -> tuple[float, float | None]:
    """CPU time for one token of the file; and, of HS256, for our verification of one alone, in one process."""
    if algorithm not in SPEED:
        said = policy.load(binaries, "reference", "--key", key, "--tokens", tokens_file)
        hmac, parse, verification = (float(figure) for figure in re.findall(r" ns: (\d+)", said))
        return hmac + parse, verification
    # It counts CPU time, and its line ends with the signatures and then the verifications a second.
    name, line = SPEED[algorithm]
    said = run("openssl", "speed", "-seconds", "1", "-mr", name)
    figure = re.search(rf"^\+{line}:.*:([\d.]+)$", said, re.MULTILINE)
    if not figure:
        raise RuntimeError(f"openssl speed {name} says no figure:\n{said}")
    return 1e9 / float(figure[1]), None


def run(*command: str) -> str:
    finished = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if finished.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{finished.stderr}")
    return finished.stdout
