"""A certification authority of its own for each test, and what it issues."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BEGIN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2049, 1, 1, tzinfo=datetime.UTC)
Pair = tuple[str, str]


class Authority:
    """Issues certificates into a folder. `file` is its own, for those who believe it."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        builder = _builder(self._name, self._name, self._key).add_extension(basic, critical=True)
        self.file = str(folder / f"{name}.pem")
        _write(self.file, builder.sign(self._key, hashes.SHA256()))

    def issue(
        self, *names: str, file: str = "", end: datetime.datetime = END, common: str = "peer"
    ) -> Pair:
        """Issue for DNS names, addresses and `sip:` URIs; return the certificate's file and key's.

        `file` names the files, else the first name does.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(common), self._name, key, end)
        if names:
            others = x509.SubjectAlternativeName([_other(name) for name in names])
            builder = builder.add_extension(others, critical=False)
        stem = file or "".join(one if one.isalnum() else "-" for one in names[0])
        files = (str(self._folder / f"{stem}.pem"), str(self._folder / f"{stem}.key"))
        _write(files[0], builder.sign(self._key, hashes.SHA256()))
        Path(files[1]).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    end: datetime.datetime = END,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    return builder.not_valid_before(BEGIN).not_valid_after(end)


def _other(name: str) -> x509.GeneralName:
    if name.startswith("sip:"):
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(file: str, certificate: x509.Certificate) -> None:
    Path(file).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
