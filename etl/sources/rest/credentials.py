"""What is sent along to show who asks; none of it is ever shown."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from etl.errors import ConfigurationError
from etl.settings.connection_strings import masked, secrets_in
from etl.settings.rest_options import Auth

Find = Callable[[str], SecretStr | None]


@dataclass(frozen=True)
class Credentials:
    """What is sent along with each call.

    Attributes:
        headers, params: what is sent.
        secrets: texts that must not be shown.
        setting: where they were set, for messages.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    setting: str = ""

    def hidden(self, text: str) -> str:
        """Return a text without the secrets."""
        return masked(text, self.secrets)


NONE = Credentials()


def credentials_of(auth: Auth | None, find: Find) -> Credentials:
    """Return the credentials that a source declares.

    Args:
        auth: where they are; None: none are needed.
        find: returns the value of a setting.

    Raises:
        ConfigurationError: a setting has no value, or one that no header can carry.

    Example:
        >>> found = credentials_of(Auth(setting="TOKEN"), lambda name: SecretStr("abc"))
        >>> found.headers["Authorization"], found.hidden("abc is wrong"), found
        ('Bearer abc', '*** is wrong', Credentials(setting='TOKEN'))
    """
    if auth is None:
        return NONE
    secret = _value(auth.setting, find)
    user = _value(auth.username_setting, find) if auth.username_setting else ""
    login = b64encode(f"{user}:{secret}".encode()).decode()
    headers, params = _SENT[auth.kind](auth.name, secret, login)
    texts = (secret, user, login) if user else (secret,)
    return Credentials(headers, params, tuple(_longest_first(texts)), auth.setting)


def _value(setting: str, find: Find) -> str:
    secret = find(setting)
    if secret is None:
        raise ConfigurationError(
            f"{setting} is not set", next_step="set it in the environment or in .env"
        )
    text = secret.get_secret_value().strip()
    if not text.isprintable() or not text.isascii():
        raise ConfigurationError(f"{setting} has characters that no header can carry",
                                 next_step="copy it anew")  # fmt: skip
    return text


def _longest_first(texts: Iterable[str]) -> list[str]:
    return sorted({*texts, *secrets_in(texts)}, key=len, reverse=True)


_Sent = tuple[dict[str, str], dict[str, str]]
_SENT: dict[str, Callable[[str, str, str], _Sent]] = {
    "bearer": lambda _name, secret, _login: ({"Authorization": f"Bearer {secret}"}, {}),
    "basic": lambda _name, _secret, login: ({"Authorization": f"Basic {login}"}, {}),
    "header": lambda name, secret, _login: ({name: secret}, {}),
    "query": lambda name, secret, _login: ({}, {name: secret}),
}
