"""Certificates for one broker and its clients, good ones and wrong ones, as PEM files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from stock_pipeline.stack.ports import LOOPBACK

LONG_AGO = {
    "not_before": datetime(2020, 1, 1, tzinfo=UTC),
    "not_after": datetime(2020, 2, 1, tzinfo=UTC),
}
CLIENT = "client@example.com"


class Certificates:
    """Files below a folder.

    Attributes:
        ca: Signed the brokers' and the clients' certificates.
        other_ca: Signed nothing that the other side trusts.
    """

    def __init__(self, folder: Path, key_password: str) -> None:
        self.folder = folder
        self._password = key_password
        authority, other = trustme.CA(), trustme.CA()
        self.ca, self.other_ca = folder / "ca.pem", folder / "other_ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        other.cert_pem.write_to_path(self.other_ca)
        for name, certificate in (
            ("broker", authority.issue_cert(LOOPBACK)),
            ("expired_broker", authority.issue_cert(LOOPBACK, **LONG_AGO)),
            ("other_broker", authority.issue_cert("broker.example.com")),
            ("client", authority.issue_cert(CLIENT, common_name="client")),
            ("expired_client", authority.issue_cert(CLIENT, **LONG_AGO)),
            ("other_client", other.issue_cert(CLIENT)),
        ):
            self._write(name, certificate)

    def key(self, name: str) -> Path:
        """A private key, without password."""
        return self.folder / f"{name}.key"

    def locked_key(self, name: str) -> Path:
        """The same key behind the password."""
        return self.folder / f"{name}.locked.key"

    def chain(self, name: str) -> Path:
        """A certificate and who signed it."""
        return self.folder / f"{name}.pem"

    def key_store(self, name: str) -> Path:
        """Key and chain in one file, as Java reads PEM."""
        return self.folder / f"{name}.store.pem"

    def _write(self, name: str, issued: trustme.LeafCert) -> None:
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)

        # Java reads PKCS#8 only.
        def pem(encryption: KeySerializationEncryption) -> bytes:
            return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        self.key(name).write_bytes(pem(NoEncryption()))
        self.locked_key(name).write_bytes(pem(BestAvailableEncryption(self._password.encode())))
        self.chain(name).write_bytes(chain)
        self.key_store(name).write_bytes(pem(NoEncryption()) + chain)
