"""Certificate authorities and server certificates made for one test."""

from __future__ import annotations

import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.rig.postgres import Database

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """A certificate authority; `file` holds its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    file: Path


def authority(folder: Path, name: str) -> Authority:
    """Make an authority whose certificate lies in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = _sign(subject, subject, key, key, [], ca=True)
    file = folder / f"{name}.crt"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(key, certificate, file)


def revoke(signer: Authority, certificates: list[x509.Certificate], file: Path) -> None:
    """Write the authority's list of revoked certificates."""
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(signer.certificate.subject)
    builder = builder.last_update(now - _DAY).next_update(now + _DAY)
    for certificate in certificates:
        revoked = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(now - _DAY)
        builder = builder.add_revoked_certificate(revoked.build())
    file.write_bytes(builder.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def issue(signer: Authority | None, hosts: list[str], *, expired: bool = False) -> tuple[bytes, bytes]:
    """A new certificate for `hosts` (self-signed when there is no signer) and its private key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    issuer = signer.certificate.subject if signer else subject
    certificate = _sign(subject, issuer, key, signer.key if signer else key, hosts, expired=expired)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def files(folder: Path, signer: Authority, hosts: list[str], *, expired: bool = False) -> tuple[Path, Path, Path]:
    """Authority, new certificate and key as files in `folder`: what a MySQL or MariaDB of the rig is started with."""
    certificate, key = folder / f"{hosts[0]}.crt", folder / f"{hosts[0]}.key"
    for path, content in zip((certificate, key), issue(signer, hosts, expired=expired), strict=True):
        path.write_bytes(content)
    return signer.file, certificate, key


def install(
    database: Database, signer: Authority | None, hosts: list[str], *, expired: bool = False
) -> x509.Certificate:
    """Have a PostgreSQL server speak TLS with a new certificate for `hosts`, as for `issue`."""
    data = database.server.root / "data"
    certificate, key = issue(signer, hosts, expired=expired)
    for name, content in (("test.crt", certificate), ("test.key", key)):
        path = data / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        os.chown(path, data.stat().st_uid, data.stat().st_gid)
    database.execute(
        "ALTER SYSTEM SET ssl_cert_file = 'test.crt'",
        "ALTER SYSTEM SET ssl_key_file = 'test.key'",
        "ALTER SYSTEM SET ssl = on",
        "SELECT pg_reload_conf()",
        "SELECT pg_sleep(0.3)",
    )
    return x509.load_pem_x509_certificate(certificate)


def only_tls(database: Database) -> None:
    """Let a PostgreSQL server take TCP connections by TLS alone."""
    file = database.server.root / "data" / "pg_hba.conf"
    file.write_text("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n", encoding="utf-8")
    database.execute("SELECT pg_reload_conf()", "SELECT pg_sleep(0.3)")


def _sign(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    hosts: list[str],
    *,
    ca: bool = False,
    expired: bool = False,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 10 * _DAY)
        .not_valid_after(now - _DAY if expired else now + _DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if hosts:
        names = [_general_name(host) for host in hosts]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(by, hashes.SHA256())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
