"""Tokens minted from the standard library alone, so that nothing of the gateway judges itself."""

import base64
import hashlib
import hmac
import json
import time

SECRET = "end-to-end-secret-of-more-than-32-bytes"


def encode_segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_segment(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def sign(header: bytes, payload: bytes, secret: str = SECRET, digest: str = "sha256") -> str:
    """A compact JWS over exactly these bytes, however little they look like JSON."""
    signed = encode_segment(header) + "." + encode_segment(payload)
    return signed + "." + encode_segment(hmac.new(secret.encode(), signed.encode(), digest).digest())


def token(user="usr_9f3k2m", email="ada@example.com", role="admin", expires_in=3600, secret=SECRET,
          algorithm="HS256", **claims) -> str:
    """An HS256 token. A claim given as None is left out; `expires_in` is seconds from now, and may be negative."""
    payload = {"userId": user, "email": email, "role": role}
    if expires_in is not None:
        payload["exp"] = int(time.time()) + expires_in
    payload.update(claims)
    payload = {name: value for name, value in payload.items() if value is not None}
    digests = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
    header = json.dumps({"alg": algorithm, "typ": "JWT"}).encode()
    return sign(header, json.dumps(payload).encode(), secret, digests.get(algorithm, "sha256"))
