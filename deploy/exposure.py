"""What would keep the query API from listening, found before anything is started."""

from query_api import tls
from query_api.listen import check_exposure, is_loopback, listen_address
from schemas.settings import Settings, SettingsError


def check_api(settings: Settings) -> str:
    """Credentials for an address that others can reach, a certificate that can be used.

    The fingerprint of a certificate of its own, which is made here; else empty. Raises SettingsError.
    """
    listen = listen_address(settings.http.listen)
    if not is_loopback(listen.host):
        # Imported here: on loopback the start does not wait for it.
        from query_api.auth.credentials import CredentialsError
        from query_api.auth.file import CredentialsFile, credentials_path

        try:
            credentials = CredentialsFile(credentials_path(settings)).current
        except CredentialsError as error:
            raise SettingsError(str(error)) from None
        check_exposure(listen, credentials=bool(credentials.entries))
    tls.server_context(settings)
    return tls.fingerprint(settings) if settings.http.tls_self_signed else ""
