"""What the services refuse, in words: one line each, with the next step.

A service says what is wrong in a code. Each code stands once in the table below, beside what it
means; whatever is in no line of it is shown as the service has put it.
"""

from dataclasses import dataclass

from etl.errors import ETLError

_RIGHTS = (
    "give the login, role or identity of this run the right to it: on S3 s3:GetObject and "
    "s3:ListBucket, s3:PutObject where it writes; on Azure 'Storage Blob Data Reader', or "
    "'… Contributor' where it writes"
)


class CloudError(ETLError):
    """A service did not do what it was asked.

    Args:
        what: what happened, and where.
        next_step: the one thing to do now.
        passes: whether the same call may succeed when it is made again.
    """

    def __init__(self, what: str, *, next_step: str = "", passes: bool = False) -> None:
        super().__init__(what, next_step=next_step, code="cloud")
        self.passes = passes


@dataclass(frozen=True)
class Meaning:
    """What a code means.

    Attributes:
        codes: of the services, S3's and Azure's, compared without case and underscores.
        words: what happened, behind the name of the object.
        step: the one thing to do now.
        passes: whether the same call may succeed when it is made again.
    """

    codes: str
    words: str
    step: str
    passes: bool = False


_MEANINGS = (
    Meaning(
        "NoSuchBucket ContainerNotFound",
        "there is no such bucket or container",
        "correct the name, or make it",
    ),
    Meaning(
        "AccessDenied AuthorizationFailure AuthorizationPermissionMismatch 403",
        "it may not be read or written with these credentials (access denied)",
        _RIGHTS,
    ),
    Meaning(
        "AccessDeniedException Forbidden ForbiddenByRbac",
        "it may not be used with these credentials (access denied)",
        "give the login, role or identity of this run the right to it, as docs/clouds.md says",
    ),
    Meaning(
        "ResourceNotFoundException ParameterNotFound SecretNotFound",
        "there is nothing of this name",
        "correct the name; at AWS it lies in the region that AWS_REGION says",
    ),
    Meaning(
        "NoRegion",
        "no region is set",
        "set AWS_REGION",
    ),
    Meaning(
        "InvalidAccessKeyId SignatureDoesNotMatch UnrecognizedClient InvalidClientTokenId "
        "UnrecognizedClientException InvalidSignatureException IncompleteSignature "
        "InvalidSignature AuthenticationFailed InvalidAuthenticationInfo 401",
        "the service does not know these credentials",
        "correct the keys, the profile or the role of this run",
    ),
    Meaning(
        "ExpiredToken ExpiredTokenException RequestExpired RequestTimeTooSkewed",
        "the credentials have expired, or the clock of this machine is wrong",
        "log in again, or use a role, whose credentials renew themselves",
    ),
    Meaning(
        "NoAuthenticationInformation NoCredentials CredentialUnavailable PublicAccessNotPermitted",
        "no credentials were found",
        "give the machine a role or identity, or set keys as docs/clouds.md says",
    ),
    Meaning(
        "PermanentRedirect AuthorizationHeaderMalformed IllegalLocationConstraintException 301",
        "the bucket lies in another region than the one that was asked",
        "set AWS_REGION to the region of the bucket",
    ),
    Meaning(
        "ConditionNotMet PreconditionFailed 412",
        "it was replaced while it was read",
        "run again once it is written",
    ),
    Meaning(
        "NetworkConnection RequestTimeout SlowDown Throttling ThrottlingException "
        "ServiceUnavailable InternalFailure InternalError ServerBusy OperationTimedOut "
        "ThrottledException TooManyRequestsException InternalServiceError "
        "ServiceUnavailableException InternalServerError 429 500 502 503 504",
        "the service did not answer as it should",
        "run again; if it stays, check the network, AWS_REGION and AWS_ENDPOINT_URL",
        passes=True,
    ),
)


def _plain(code: str) -> str:
    return code.replace("_", "").casefold()


_BY_CODE = {_plain(code): each for each in _MEANINGS for code in each.codes.split()}


def is_explained(code: str) -> bool:
    """Return whether the meaning of a code is known.

    Example:
        >>> is_explained("ACCESS_DENIED"), is_explained("UNKNOWN")
        (True, False)
    """
    return _plain(code) in _BY_CODE


def fault(place: object, codes: tuple[str, ...], detail: str) -> CloudError:
    """Return the error to raise for what a service said.

    Args:
        place: the object, secret or log.
        codes: what it said, the most precise code first.
        detail: its own words, of which the first line is shown.

    Example:
        >>> print(fault("s3://shop/a.csv", ("NO_SUCH_BUCKET",), "The bucket does not exist"))
        s3://shop/a.csv: there is no such bucket or container (NO_SUCH_BUCKET). Next: ...
    """
    code = next((code for code in codes if is_explained(code)), "")
    said = detail.strip().partition("\n")[0]
    if not code:
        return CloudError(f"{place}: {said}", next_step="see docs/clouds.md")
    known = _BY_CODE[_plain(code)]
    shown = f"{code}: {said}" if known.passes else code
    return CloudError(f"{place}: {known.words} ({shown})", next_step=known.step,
                      passes=known.passes)  # fmt: skip
