"""From the file's tables to the rows that are kept: numbers normalised, money exact."""

from sipcore.numbering import normalise
from sipcore.rating.money import yuan
from sipcore.store.forms import (
    AccountForm,
    CarrierForm,
    CustomerForm,
    ExtensionForm,
    LoginForm,
    NumberForm,
    OptionForm,
    Placed,
    TrunkForm,
)
from sipcore.store.rows import (
    AccountRow,
    CarrierRow,
    CredentialRow,
    CustomerRow,
    ExtensionRow,
    FeeRow,
    LoginRow,
    NumberRow,
    OptionRow,
    RegisterRow,
    Site,
    TrunkRow,
)
from sipcore.store.secrets import ha1s
from sipcore.store.values import uri_host

HEALTH_S = 30  # `health = true`

Row = CarrierRow | CustomerRow | AccountRow | NumberRow | ExtensionRow | TrunkRow


def row_of(placed: Placed, site: Site) -> Row:
    """Return the row of a table. Secrets are left out."""
    form, customer = placed.form, placed.customer
    match form:
        case CarrierForm():
            return _carrier(form)
        case CustomerForm():
            return CustomerRow(
                form.id,
                form.name,
                form.domain.lower().rstrip("."),
                form.verified,
                form.industry,
                form.purpose,
                form.language,
            )
        case AccountForm():
            return _account(form, customer)
        case NumberForm():
            return NumberRow(_e164(form.number, site), customer, form.account, form.to)
        case ExtensionForm():
            shown = form.display_number
            return ExtensionRow(
                customer,
                form.number,
                form.account,
                form.name,
                None if shown is None else _e164(shown, site),
                form.device,
                form.record,
                form.digest,
            )
        case TrunkForm():
            return TrunkRow(
                form.id,
                customer,
                form.account,
                form.channels,
                form.uri,
                form.accept_from,
                form.user,
                _health_s(form.health),
                form.over_mtu,
                form.profile,
                _names(form.tls_names),
                _login(form.login),
            )


def _carrier(form: CarrierForm) -> CarrierRow:
    return CarrierRow(
        form.id,
        form.uri,
        form.priority,
        form.weight,
        form.channels,
        form.accept_from,
        form.allow,
        _register(form),
        _health_s(form.health),
        form.demote,
        form.over_mtu,
        form.profile,
        _names(form.tls_names),
        _login(form.login),
    )


def _names(said: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(one.lower().rstrip(".") for one in said)


def _login(form: LoginForm | None) -> LoginRow | None:
    return None if form is None else LoginRow(form.user, "")


def _health_s(said: bool | int) -> int:
    return HEALTH_S * said if isinstance(said, bool) else said


def _register(form: CarrierForm) -> RegisterRow | None:
    asked = form.register
    if asked is None:
        return None
    domain = asked.domain or uri_host(form.uri)
    return RegisterRow(asked.user, "", domain, asked.expires, asked.auth_user)


def _account(form: AccountForm, customer: str) -> AccountRow:
    options = (one if isinstance(one, OptionForm) else OptionForm(id=one) for one in form.options)
    return AccountRow(
        form.id,
        customer,
        form.payment,
        form.prepay,
        form.plans,
        form.opened,
        yuan(form.deposit),
        None if form.credit_limit is None else yuan(form.credit_limit),
        form.term_months,
        tuple(OptionRow(one.id, one.count, one.ordered or form.opened) for one in options),
        tuple(FeeRow(one.id, one.count, one.use) for one in form.fees),
        form.closed,
    )


def _e164(number: str, site: Site) -> str:
    """Normalise. What is no number stays as it is: it is on its way to be refused."""
    return normalise(number, site.home) or number


def credential_of(placed: Placed, domain: str, site: Site) -> CredentialRow | None:
    """Return the digest hashes of an extension or of a trunk that has a password."""
    form = placed.form
    if isinstance(form, ExtensionForm):
        kind, name, user, password = "extension", form.number, form.number, form.password
    elif isinstance(form, TrunkForm) and form.user is not None and form.password is not None:
        kind, name, user, password = "trunk", form.id, form.user, form.password
    else:
        return None
    hashes = ha1s(user, domain, site.realm, password)
    return CredentialRow(
        placed.customer,
        user,
        "extension" if kind == "extension" else "trunk",
        name,
        site.realm,
        hashes.md5,
        hashes.md5_domain,
        hashes.sha256,
        hashes.sha256_domain,
    )
