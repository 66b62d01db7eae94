"""A certificate for a local cloud, self-signed: run by the emulator's interpreter, which has the library for it.

``python certificate.py CERTIFICATE KEY`` writes these two files.
"""

from __future__ import annotations

import ipaddress
import sys
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

# Other names than 127.0.0.1: of the HTTP API, of a bucket, and of who makes tokens.
_NAMES = (
    "localhost",
    "*.localhost",
    "*.execute-api.localhost",
    "*.s3.localhost",
    "cognito-idp.us-east-1.amazonaws.com",
)
_DAYS = 800


def main(certificate: Path, key: Path) -> None:
    # Of the emulator's environment, and not of the one that types are checked in.
    x509: Any = import_module("cryptography.x509")
    hashes: Any = import_module("cryptography.hazmat.primitives.hashes")
    serialization: Any = import_module("cryptography.hazmat.primitives.serialization")
    ec: Any = import_module("cryptography.hazmat.primitives.asymmetric.ec")

    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tagstream's local cloud")])
    now = datetime.now(UTC)
    extensions = (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (
            x509.SubjectAlternativeName(
                [*map(x509.DNSName, _NAMES), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            False,
        ),
        (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False),
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    pem = serialization.Encoding.PEM
    certificate.parent.mkdir(parents=True, exist_ok=True)
    key.touch(mode=0o600)
    key.write_bytes(
        private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    certificate.write_bytes(builder.sign(private, hashes.SHA256()).public_bytes(pem))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
