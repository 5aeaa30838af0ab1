"""Provisioning files with one mistake each, and how it must be told."""

from tests.store.files import account, acme, carrier, customer, extension, number, trunk

HERE = "HERE"  # the line on which a mistake must be told ends so


FAULTS = {
    "unknown-table": ("[codec]  #HERE\n", "unknown table `codec`"),
    "carrier-no-array": ("[carrier]  #HERE\nid = 1\n", "write [[carrier]] for each one"),
    "extension-no-array": (
        customer("acme") + "extension = 3  #HERE\n",
        "write [[customer.extension]] for each one",
    ),
    "unknown-key": (carrier("a", "colour = 1  #HERE\n"), "unknown key `colour`"),
    "missing-keys": ("[[carrier]]  #HERE\nid = 'a'\nuri = 'sip:a'\n", "missing key `channels`"),
    "wrong-type": (carrier("a", "priority = 'x'  #HERE\n"), "priority: Expected `int`, got `str`"),
    "over-mtu": (
        carrier("a", "over_mtu = 'sctp'  #HERE\n"),
        "over_mtu: Invalid enum value 'sctp'",
    ),
    "out-of-range": (carrier("a", "weight = -1  #HERE\n"), "weight: Expected `int` >= 0"),
    "carrier-twice": (
        carrier("a") + "[[carrier]]\nid = 'a'  #HERE\nuri = 'sip:a'\nchannels = 1\n",
        "carrier a stands twice",
    ),
    "id": (
        "[[carrier]]\nid = 'a b'  #HERE\nuri = 'sip:a'\nchannels = 1\n",
        "id: 'a b' is not an id: letters, digits, . _ -, at most 64",
    ),
    "uri-port": (
        "[[carrier]]\nid = 'a'\nuri = 'sip:a:70000'  #HERE\nchannels = 1\n",
        "uri: port 70000 is not 1 to 65535",
    ),
    "uri-host": (
        "[[carrier]]\nid = 'a'\nuri = 'sip:a_b'  #HERE\nchannels = 1\n",
        "uri: 'a_b' is neither an address nor a domain name",
    ),
    "uri-address": (
        "[[carrier]]\nid = 'a'\nuri = 'sip:127.0.0.300'  #HERE\nchannels = 1\n",
        "uri: '127.0.0.300' is neither an address nor a domain name",
    ),
    "uri-address-6": (
        "[[carrier]]\nid = 'a'\nuri = 'sip:[::1::]'  #HERE\nchannels = 1\n",
        "uri: '[::1::]' is neither an address nor a domain name",
    ),
    "uri-transport": (
        "[[carrier]]\nid = 'a'\nuri = 'sip:a;transport=sctp'  #HERE\nchannels = 1\n",
        "uri: transport 'sctp' is not udp, tcp or tls",
    ),
    "accept-from": (
        carrier("a", "accept_from = ['10.0.0.1']  #HERE\n"),
        "accept_from: '10.0.0.1' is not ADDRESS/BITS or ADDRESS:PORT"
        " (neither ADDRESS/BITS nor ADDRESS:PORT)",
    ),
    "accept-from-bits": (
        carrier("a", "accept_from = ['10.0.0.1/24']  #HERE\n"),
        "accept_from: '10.0.0.1/24' is not ADDRESS/BITS or ADDRESS:PORT"
        " (10.0.0.1/24 has host bits set)",
    ),
    "accept-from-twice-in-one": (
        carrier("a", "accept_from = ['10.0.0.0/8', '10.0.0.0/8']  #HERE\n"),
        "accept_from: 10.0.0.0/8 is carrier a's already",
    ),
    "accept-from-equal": (
        carrier("a", "accept_from = ['[2001:db8::1]:5060']\n")
        + acme(trunk("pbx", "acme-1", "accept_from = ['[2001:DB8:0::1]:5060']  #HERE\n")),
        "accept_from: [2001:DB8:0::1]:5060 is carrier a's already",
    ),
    "class-unknown": (
        carrier("a", "allow = ['natonal']  #HERE\n"),
        "allow: there is no destination class natonal",
    ),
    "class-none": (carrier("a", "allow = []  #HERE\n"), "allow: names no destination class"),
    "class-shape": (
        carrier("a", "allow = ['a b']  #HERE\n"),
        "allow: 'a b' is not an id: letters, digits, . _ -, at most 64",
    ),
    "register-user": (
        carrier("a", "register = { user = '', password = 'x' }  #HERE\n"),
        "register: '' is not a user name",
    ),
    "register-name-with-domain": (
        carrier("a", "register = { user = 'u@x.example', password = 'x' }  #HERE\n"),
        "register: 'u@x.example' is not a user name; a name with @ goes into auth_user",
    ),
    "register-password": (
        carrier("a", "register = { user = 'u', password = '' }  #HERE\n"),
        "register: password is empty",
    ),
    "register-domain": (
        carrier("a", "register = { user = 'u', password = 'x', domain = '-' }  #HERE\n"),
        "register: '-' is neither an address nor a domain name",
    ),
    "register-key": (
        carrier("a", "register = { user = 'u' }  #HERE\n"),
        "register: Object missing required field `password`",
    ),
    "customer-twice": (
        customer("acme") + "[[customer]]\nid = 'acme'  #HERE\nname='b'\ndomain='b.example'\n",
        "customer acme stands twice",
    ),
    "customer-name": (
        "[[customer]]\nid = 'a'\nname = ' '  #HERE\ndomain = 'a.example'\n",
        "name: must be printable, not empty, at most 128 characters",
    ),
    "domain": (
        "[[customer]]\nid = 'a'\nname = 'A'\ndomain = 'a..b'  #HERE\n",
        "domain: 'a..b' is not a domain name",
    ),
    "domain-address": (
        "[[customer]]\nid = 'a'\nname = 'A'\ndomain = '127.0.0.1'  #HERE\n",
        "domain: 127.0.0.1 is an address, not a domain name",
    ),
    "language": (
        customer("acme", "language = 'fr'  #HERE\n"),
        "language: Invalid enum value 'fr'",
    ),
    "account-of-another": (
        acme() + customer("beta", "[[customer.account]]\nid = 'acme-1'  #HERE\nplans = ['a39']\n"
                                  "opened = 2026-11-22\n"),
        "account acme-1 stands twice",
    ),
    "plan-none": (
        customer("acme", "[[customer.account]]\nid = 'a'\nplans = []  #HERE\nopened=2026-11-22\n"),
        "plans: names no plan",
    ),
    "plan-option": (
        customer("acme", "[[customer.account]]\nid = 'a'\nplans = ['a39', 'ringback']  #HERE\n"
                         "opened = 2026-11-22\n"),
        "plans: ringback is an option, not a plan",
    ),
    "option": (
        customer("acme", account("a", more="options = ['a39']  #HERE\n")),
        "options: the tariff has no option a39",
    ),
    "option-twice": (
        customer("acme", account("a", more="options = ['ringback', {id='ringback'}]  #HERE\n")),
        "options: ringback stands twice",
    ),
    "fee": (
        customer("acme", account("a", more="fees = [{ id = 'bribe' }]  #HERE\n")),
        "fees: the tariff has no fee bribe",
    ),
    "fee-use": (
        customer("acme", account("a", more="fees = [{id='install-phone', use='x'}]  #HERE\n")),
        "fees: Invalid enum value 'x' (at [0].use)",
    ),
    "opened": (
        customer("acme", "[[customer.account]]\nid='a'\nplans=['a39']\nopened = 3  #HERE\n"),
        "opened: Expected `date`, got `int`",
    ),
    "closed": (
        customer("acme", account("a", more="closed = 2026-11-21  #HERE\n")),
        "closed: 2026-11-21 is before opened, 2026-11-22",
    ),
    "postpaid": (
        customer("acme", account("a", more="payment = 'postpaid'  #HERE\n")),
        "payment: postpaid needs a credit_limit",
    ),
    "prepaid": (
        customer("acme", account("a", more="credit_limit = 10  #HERE\n")),
        "credit_limit: a prepaid account has none",
    ),
    "deposit": (
        customer("acme", account("a", more="deposit = 1.00001  #HERE\n")),
        "deposit: 1.00001 has more than 4 decimals",
    ),
    "pin": (
        customer("acme", account("a", more="hotline_password = 'abcd'  #HERE\n")),
        "hotline_password: must be 4 to 12 digits: it is entered on a phone's keys",
    ),
    "number": (
        acme("[[customer.number]]\nnumber = '10086'  #HERE\naccount = 'acme-1'\nto = '8001'\n",
             extension("8001", "acme-1")),
        "number: '10086' is not a number of the public network",
    ),
    "number-twice": (
        acme(number("02136413501", "acme-1", "hotline"))
        + customer("beta", account("beta-1"),
                   "[[customer.number]]\nnumber = '36413501'  #HERE\naccount = 'beta-1'\n"
                   "to = 'hotline'\n"),
        "number +862136413501 stands twice",
    ),
    "number-account": (
        acme("[[customer.number]]\nnumber = '36413501'\naccount = 'x'  #HERE\nto = 'hotline'\n"),
        "account: customer acme has no account x",
    ),
    "number-to-extension": (
        acme("[[customer.number]]\nnumber = '36413501'\naccount = 'acme-1'\nto = '8001'  #HERE\n"),
        "to: customer acme has no extension 8001",
    ),
    "number-to-group": (
        acme("[[customer.number]]\nnumber='36413501'\naccount='acme-1'\nto = 'group:sales'#HERE\n"),
        "to: customer acme has no group sales",
    ),
    "number-to-anything": (
        acme("[[customer.number]]\nnumber='36413501'\naccount='acme-1'\nto = 'moon'  #HERE\n"),
        "to: 'moon' is neither an extension nor group:, ivr:, queue:, trunk:ID or hotline",
    ),
    "extension": (
        acme("[[customer.extension]]\nnumber='8'  #HERE\npassword='x'\naccount='acme-1'\n"),
        "number: '8' is not an extension number: 2 to 8 digits",
    ),
    "extension-hotline": (
        acme("[[customer.extension]]\nnumber='10088'  #HERE\npassword='x'\naccount='acme-1'\n"),
        "number: 10088 is the hotline's number",
    ),
    "extension-twice": (
        acme(extension("8001", "acme-1"),
             "[[customer.extension]]\nnumber='8001'  #HERE\npassword='x'\naccount='acme-1'\n"),
        "extension 8001 stands twice",
    ),
    "password": (
        acme("[[customer.extension]]\nnumber='8001'\npassword=''  #HERE\naccount='acme-1'\n"),
        "password: is empty",
    ),
    "password-control": (
        acme('[[customer.extension]]\nnumber="8001"\npassword="\\u0000"  #HERE\n'
             'account="acme-1"\n'),
        "password: has control characters",
    ),
    "display-number": (
        acme(extension("8001", "acme-1", more="display_number = '36413599'  #HERE\n")),
        "display_number of 8001: +862136413599 is not a number of account acme-1",
    ),
    "digest": (
        acme(extension("8001", "acme-1", more="digest = ['MD5', 'MD5']  #HERE\n")),
        "digest: an algorithm stands twice",
    ),
    "digest-unknown": (
        acme(extension("8001", "acme-1", more="digest = ['MD4']  #HERE\n")),
        "digest: Invalid enum value 'MD4' (at [0])",
    ),
    "trunk-user-extension": (
        acme(extension("8001", "acme-1"),
             trunk("pbx", "acme-1", "password = 'x'\nuser = '8001'  #HERE\n")),
        "user: 8001 is extension 8001's already",
    ),
    "trunk-user": (
        acme(trunk("pbx", "acme-1", "password = 'x'\nuser = 'a@b'  #HERE\n")),
        "user: 'a@b' is not a user name",
    ),
    "trunk-password": (
        acme("[[customer.trunk]]  #HERE\nid='p'\naccount='acme-1'\nchannels=1\nuri='sip:a'\n"
             "password='x'\n"),
        "user and password go together",
    ),
    "trunk-nowhere": (
        acme("[[customer.trunk]]  #HERE\nid='p'\naccount='acme-1'\nchannels=1\n"),
        "a trunk needs a uri to be called at, or a user to register as",
    ),
    "too-many-extensions": (
        customer("acme", "[[customer.account]]\nid='a'\nplans = ['ext-1']  #HERE\n"
                         "opened=2026-11-22\n",
                 extension("8001", "a"), extension("8002", "a")),
        "account a: 2 extensions, its plans grant 1",
    ),
    "too-many-numbers": (
        customer("acme", "[[customer.account]]\nid='a'\nplans = ['a39', 'trunk']  #HERE\n"
                         "opened=2026-11-22\n",
                 number("36413501", "a", "hotline"), number("36413502", "a", "hotline")),
        "account a: 2 display numbers, its plans grant 1",
    ),
}  # fmt: skip
