"""Secrets that a store of a cloud keeps: a setting names them, `secret://aws/prod/etl#password`."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from etl.cloud.access import CloudAccess
from etl.cloud.aws import aws_client, aws_refusals
from etl.cloud.azure_blobs import azure_refusals
from etl.cloud.faults import CloudError
from etl.cloud.libraries import AZURE, cloud_library
from etl.cloud.objects import retried

PREFIX = "secret://"
FORMS = (
    "secret://aws/NAME, secret://aws-ssm/NAME or secret://azure/VAULT/NAME, each with #KEY behind "
    "it for one value of a JSON document"
)
_ADDRESS = re.compile(r"secret://(?P<store>[a-z-]+)/(?P<name>[^#\s]+)(?:#(?P<key>[^#\s]+))?")
_VAULT_DOMAIN = ".vault.azure.net"


@dataclass
class SecretStores:
    """The stores, each secret of which is asked for once.

    Args:
        access: how the clouds are reached.
    """

    access: CloudAccess
    _known: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)

    def value(self, address: str) -> str:
        """Return what an address stands for.

        Args:
            address: such as `secret://aws/prod/etl#password`.

        Raises:
            CloudError: it is no such address, the store refuses, or the secret has no such key.
            ConfigurationError: the library of its store is not installed.
        """
        found = _ADDRESS.fullmatch(address)
        if found is None or found["store"] not in _STORES:
            raise CloudError(
                f"{_shown(address)} is no address of a secret", next_step=f"write {FORMS}"
            )
        place = (found["store"], found["name"])
        if place not in self._known:
            self._known[place] = self._fetched(*place)
        return _part(address, self._known[place], found["key"])

    def _fetched(self, store: str, name: str) -> str:
        return retried(self.access, lambda: _STORES[store](name, self.access))()


def _shown(address: str) -> str:
    """The store alone: behind it a password may stand by mistake."""
    return PREFIX + address.removeprefix(PREFIX).partition("/")[0] + "/..."


def _part(address: str, text: str, key: str | None) -> str:
    """The text, or one value of it; of a secret no more is shown than the names of its keys."""
    document = _document(text)
    if key is None:
        if document is None:
            return text
        what = f"{address} holds several values ({', '.join(document)})"
        raise CloudError(
            what, next_step=f"name one of them, such as {address}#{next(iter(document), 'KEY')}"
        )
    if document is None or key not in document:
        has = f"only {', '.join(document)}" if document else "no JSON document"
        raise CloudError(
            f"{address}: the secret has no {key!r}, {has}", next_step="correct the name behind #"
        )
    value = document[key]
    return value if isinstance(value, str) else json.dumps(value)


def _document(text: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


# --- the stores --------------------------------------------------------------------------


def _from_secrets_manager(name: str, access: CloudAccess) -> str:
    with aws_refusals(f"secret://aws/{name}"):
        found = aws_client("secretsmanager", access).get_secret_value(SecretId=name)
    if "SecretString" not in found:
        raise CloudError(f"secret://aws/{name} holds bytes", next_step="keep a text in it")
    return str(found["SecretString"])


def _from_parameter_store(name: str, access: CloudAccess) -> str:
    whole = f"/{name}" if "/" in name and not name.startswith(("/", "arn:")) else name
    with aws_refusals(f"secret://aws-ssm/{name}"):
        client = aws_client("ssm", access)
        return str(client.get_parameter(Name=whole, WithDecryption=True)["Parameter"]["Value"])


def _from_key_vault(name: str, _access: CloudAccess) -> str:
    vault, _, secret = name.partition("/")
    place = f"secret://azure/{name}"
    if not secret:
        raise CloudError(f"{place} names no vault and secret", next_step=f"write {FORMS}")
    host = vault if "." in vault else f"{vault}{_VAULT_DOMAIN}"
    identity = cloud_library("azure.identity", AZURE).DefaultAzureCredential()
    client = cloud_library("azure.keyvault.secrets", AZURE).SecretClient
    with azure_refusals(place), client(f"https://{host}", identity, retry_total=0) as vaults:
        return str(vaults.get_secret(secret).value)


_STORES: Mapping[str, Callable[[str, CloudAccess], str]] = {
    "aws": _from_secrets_manager,
    "aws-ssm": _from_parameter_store,
    "azure": _from_key_vault,
}
