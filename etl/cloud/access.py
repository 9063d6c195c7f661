"""How the clouds are reached: what is not set here, their own libraries find by themselves."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CloudAccess:
    """Where the services are, and with which credentials they are asked.

    Attributes:
        aws_region: such as `eu-central-1`; empty: as AWS's own settings say.
        aws_endpoint_url: of another service with AWS's interfaces; empty: AWS itself.
        aws_access_key_id: empty: environment, profile or role, as AWS's libraries find them.
        aws_secret_access_key: of that key.
        aws_session_token: of a key that lasts some hours.
        azure_storage: connection string of a storage account; empty: the identity that Azure's
            library finds.
        max_retries: further attempts after an error that may pass.
        backoff_factor: how many times longer each wait is than the one before.
    """

    aws_region: str = ""
    aws_endpoint_url: str = ""
    aws_access_key_id: str = field(default="", repr=False)
    aws_secret_access_key: str = field(default="", repr=False)
    aws_session_token: str = field(default="", repr=False)
    azure_storage: str = field(default="", repr=False)
    max_retries: int = 3
    backoff_factor: float = 2.0


BY_THEMSELVES = CloudAccess()
