"""TLS of the API: a certificate that somebody gave, or one that it signs itself and keeps in the data folder."""

import asyncio
import datetime
import hashlib
import ipaddress
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from schemas.settings import Http, Settings, SettingsError

if TYPE_CHECKING:
    from cryptography.x509 import GeneralName

log = structlog.get_logger()

#: Seconds between two looks at the files of a certificate.
LOOK_SECONDS = 30.0
_CERTIFICATE, _KEY = "certificate.pem", "key.pem"
#: Days a certificate of our own is good for, and before its end when another one is made at the next start.
_DAYS, _RENEW = 730, 30


def is_on(http: Http) -> bool:
    return http.tls_self_signed or bool(http.tls_cert or http.tls_key)


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """What the listener needs; None for plain HTTP. Makes the certificate of our own where it is asked for.

    Raises SettingsError with a sentence for the person who set it.
    """
    http = settings.http
    if not is_on(http):
        return None
    certificate, key = _files(settings)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, certificate, key)
    return context


async def follow_certificate(context: ssl.SSLContext, http: Http) -> None:
    """Loads a certificate that was given again when its files change: one is renewed every few weeks.

    Runs until cancelled. What cannot be used changes nothing and is said in the log.
    """
    if not http.tls_cert:
        return
    certificate, key = Path(http.tls_cert), Path(http.tls_key)
    known = _stamps(certificate, key)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = _stamps(certificate, key)
        if now == known:
            continue
        known = now
        try:
            # First into one that nobody uses: half a pair would end all handshakes.
            _load(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), certificate, key)
            _load(context, certificate, key)
        except SettingsError as error:
            log.error("the certificate stays as it was", why=str(error))
        else:
            log.info("certificate read again", file=str(certificate))


def _stamps(*files: Path) -> list[int]:
    return [_changed_at(path) for path in files]


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        # Gone for the moment: loading it says more.
        return 0


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # A password of the key would be asked for at the terminal; a server has none.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except OSError as error:
        # An SSLError is one, too; it does not say which file it is about.
        reason = error.strerror or str(error) if not isinstance(error, ssl.SSLError) else "they do not fit together"
        raise SettingsError(f"http.tls_cert {certificate}, http.tls_key {key}: {reason}") from None


def fingerprint(settings: Settings) -> str:
    """SHA-256 of the certificate of our own, as browsers and openssl show it."""
    der = ssl.PEM_cert_to_DER_cert((_folder(settings) / _CERTIFICATE).read_text())
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[n : n + 2] for n in range(0, len(digest), 2))


def _files(settings: Settings) -> tuple[Path, Path]:
    http = settings.http
    if not http.tls_self_signed:
        if not (http.tls_cert and http.tls_key):
            raise SettingsError("http.tls_cert and http.tls_key: a certificate and its key are needed, one is missing")
        return Path(http.tls_cert), Path(http.tls_key)
    if http.tls_cert or http.tls_key:
        raise SettingsError("http.tls_self_signed makes a certificate, http.tls_cert names one: only one was expected")
    folder = _folder(settings)
    certificate, key = folder / _CERTIFICATE, folder / _KEY
    try:
        if not _fits(certificate, key, _names(http)):
            _make(certificate, key, _names(http))
    except OSError as error:
        raise SettingsError(f"http.tls_self_signed: {folder} cannot be written: {error.strerror}") from None
    return certificate, key


def _folder(settings: Settings) -> Path:
    return Path(settings.data) / "tls"


def _names(http: Http) -> list[str]:
    """Loopback, the address listened on, the names configured."""
    listen = http.listen.rpartition(":")[0].strip("[]")
    configured = [name.strip().lower() for name in http.names.split(",") if name.strip()]
    return list(dict.fromkeys(["localhost", "127.0.0.1", "::1", listen, *configured]))


def _fits(certificate: Path, key: Path, names: list[str]) -> bool:
    """Whether the certificate that is there names all of these and is good for a while."""
    from cryptography import x509

    if not (certificate.is_file() and key.is_file()):
        return False
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    known = {str(name.value) for name in alternatives}
    left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left > datetime.timedelta(days=_RENEW) and known >= set(names)


def _make(certificate: Path, key: Path, names: list[str]) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    secret = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sojourn")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        # A clock elsewhere may be some hours behind.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    certificate.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    private = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for path, text in ((key, private), (certificate, made.public_bytes(serialization.Encoding.PEM))):
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)


def _alternative(name: str) -> "GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
