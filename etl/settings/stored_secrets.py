"""The layer of settings that stores of secrets hold: a setting names what is to be fetched."""

from dataclasses import replace

from etl.cloud.secrets import PREFIX, SecretStores
from etl.errors import ETLError
from etl.settings.clouds import access_of
from etl.settings.layers import Given, Layers


def with_secrets(layers: Layers) -> tuple[Layers, list[str]]:
    """Return the layers with the secrets in the place of their addresses.

    Each secret is asked for once, however many settings take a part of it.

    Args:
        layers: what was given.

    Returns:
        The layers, and a line for each secret that cannot be had.
    """
    named = {
        name: given for name, given in layers.given.items() if str(given.value).startswith(PREFIX)
    }
    if not named:
        return layers, []
    stores, problems = SecretStores(access_of(layers)), list[str]()
    given = {name: each for name, each in layers.given.items() if name not in named}
    for name, each in named.items():
        try:
            given[name] = _fetched(layers, name, each, stores)
        except ETLError as error:
            problems.append(f"{name} ({each.origin}): {error}")
    return replace(layers, given=given), problems


def _fetched(layers: Layers, name: str, given: Given, stores: SecretStores) -> Given:
    if not layers.settings[name].secret:
        raise ETLError(
            "only passwords, tokens and connection strings come from a store of secrets",
            next_step="write the value itself",
        )
    return Given(stores.value(str(given.value).strip()), f"{given.origin}, {given.value}")
