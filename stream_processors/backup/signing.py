"""Signing a request to S3: AWS Signature Version 4, header form, one chunk."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import msgspec

_ALGORITHM = "AWS4-HMAC-SHA256"


class Key(msgspec.Struct, frozen=True):
    """Who signs, and for which region."""

    key: str
    secret: str
    region: str


def path_of(bucket: str, name: str) -> str:
    """The path of an object, percent-encoded as it is signed and sent."""
    return "/" + quote(f"{bucket}/{name}", safe="/-_.~")


def signed(
    method: str, url: str, headers: Mapping[str, str], body_sha256: str, key: Key, now: datetime
) -> dict[str, str]:
    """All headers to send, ``Authorization`` among them. ``url`` has no query; its path is encoded already."""
    parts = urlsplit(url)
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "Host": parts.netloc, "x-amz-date": moment, "x-amz-content-sha256": body_sha256}
    canonical = {name.lower(): " ".join(value.split()) for name, value in sent.items()}
    names = ";".join(sorted(canonical))
    lines = "".join(f"{name}:{canonical[name]}\n" for name in sorted(canonical))
    request = f"{method}\n{parts.path}\n\n{lines}\n{names}\n{body_sha256}"
    scope = f"{moment[:8]}/{key.region}/s3/aws4_request"
    text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.new(_signing_key(key, moment[:8]), text.encode(), hashlib.sha256).hexdigest()
    credential = f"{_ALGORITHM} Credential={key.key}/{scope},SignedHeaders={names},Signature={signature}"
    return {**sent, "Authorization": credential}


def _signing_key(key: Key, day: str) -> bytes:
    made = ("AWS4" + key.secret).encode()
    for part in (day, key.region, "s3", "aws4_request"):
        made = hmac.new(made, part.encode(), hashlib.sha256).digest()
    return made
