"""Shows that fake_vault.py is taken for Azure Key Vault by Microsoft's own client, azure-keyvault-secrets 4.12.0.

The client goes its whole way: TLS with a certificate for the vault's name, the challenge and the check that its
resource is of the vault's own domain, and the listings, waits and retries that are its own. Prints a line for each
thing that was shown, and fails at the first that does not hold.

Usage: qualify.py CERTIFICATE KEY AUTHORITY
  CERTIFICATE, KEY  for holdfast-test.vault.azure.net and holdfast-test.private.example
  AUTHORITY         who signed that certificate
"""

import http.client
import json
import socket
import ssl
import sys
import threading
import urllib.parse
from datetime import datetime, timedelta, timezone

from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError, HttpResponseError, ResourceExistsError, ResourceNotFoundError)
from azure.keyvault.secrets import ApiVersion, SecretClient

from fake_vault import FakeVault, serve

HOST, OTHER = "holdfast-test.vault.azure.net", "holdfast-test.private.example"
TENANT = "00000000-1111-2222-3333-444444444444"
shown = []


def show(what, holds):
    if not holds:
        raise SystemExit(f"does not hold: {what}")
    shown.append(what)


def refusal(kind, call):
    """The failure of that kind that a call ends with."""
    try:
        call()
    except kind as error:
        return error
    raise SystemExit(f"no {kind.__name__}")


def inner(error):
    return json.loads(error.response.text())["error"].get("innererror", {}).get("code")


class Credential:
    """A workload identity, at the place that gives tokens beside the vault."""

    def __init__(self, authority, port):
        self.authority, self.port, self.asked, self.assertion = authority, port, [], "signed"

    def get_token(self, *scopes, **options):
        self.asked.append((scopes, options.get("tenant_id")))
        trust = ssl.create_default_context(cafile=self.authority)
        trust.check_hostname = False
        way = http.client.HTTPSConnection("127.0.0.1", self.port, context=trust)
        form = urllib.parse.urlencode({
            "grant_type": "client_credentials", "client_id": "officer", "scope": scopes[0],
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self.assertion})
        way.request("POST", f"/{TENANT}/oauth2/v2.0/token", form)
        answer = json.loads(way.getresponse().read())
        return AccessToken(answer["access_token"], 4102444800)


def lead_home(port):
    """Every name of the tests leads to the fake, also through the port that goes without saying."""
    known = socket.getaddrinfo

    def find(host, *rest, **more):
        if host in (HOST, OTHER):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        return known(host, *rest, **more)

    socket.getaddrinfo = find


def secrets_and_versions(client):
    first = client.set_secret("app-db", "one", content_type="text/plain", tags={"team": "db"})
    show("a secret is set", first.value == "one" and first.properties.enabled and len(first.properties.version) == 32)
    second = client.set_secret(
        "app-db", "two", not_before=datetime(2025, 1, 1, tzinfo=timezone.utc),
        expires_on=datetime(2030, 1, 1, tzinfo=timezone.utc))
    show("another version is the current one", client.get_secret("app-db").value == "two")
    old = client.get_secret("app-db", first.properties.version)
    show("a version keeps its value and attributes", old.value == "one" and old.properties.tags == {"team": "db"}
         and old.properties.content_type == "text/plain" and old.properties.created_on is not None)
    show("dates have whole seconds", second.properties.expires_on == datetime(2030, 1, 1, tzinfo=timezone.utc)
         and second.properties.created_on.microsecond == 0)
    versions = {one.version: one for one in client.list_properties_of_secret_versions("app-db")}
    show("versions are listed", set(versions) == {first.properties.version, second.properties.version})
    show("of a secret that is not there none is", not list(client.list_properties_of_secret_versions("none")))
    changed = client.update_secret_properties("app-db", first.properties.version, enabled=False, tags={"a": "b"})
    show("attributes are updated", not changed.enabled and changed.tags == {"a": "b"}
         and changed.content_type == "text/plain")
    error = refusal(HttpResponseError, lambda: client.get_secret("app-db", first.properties.version))
    show("a disabled version is refused", error.status_code == 403 and inner(error) == "SecretDisabled")
    kept = client.update_secret_properties("app-db", second.properties.version, content_type="text/x")
    show("what is not named stays", kept.expires_on == second.properties.expires_on)
    error = refusal(ResourceNotFoundError, lambda: client.get_secret("app-db", "0" * 32))
    show("an unknown version is not found", error.error.code == "SecretNotFound")
    error = refusal(HttpResponseError, lambda: client.set_secret("app-db", "x" * (25 * 1024 + 1)))
    show("a value over 25 KiB is refused", error.status_code == 400 and error.error.code == "BadParameter")
    error = refusal(HttpResponseError, lambda: client.set_secret("app-db", "x", tags={str(n): "" for n in range(16)}))
    show("more than 15 tags are refused", error.status_code == 400)
    error = refusal(HttpResponseError, lambda: client.set_secret("a_b", "x"))
    show("a name with other characters is refused", error.status_code == 400)


def listings(client, vault):
    for number in range(60):
        client.set_secret(f"many-{number}", f"{number}")
    vault.calls.clear()
    names = [one.name for one in client.list_properties_of_secrets()]
    show("all secrets are listed", len(names) == len(set(names)) == 61)
    show("in pages of 25", len(vault.calls) == 3
         and [len(list(page)) for page in client.list_properties_of_secrets().by_page()] == [25, 25, 11])
    pages = [list(page) for page in client.list_properties_of_secrets(max_page_size=10).by_page()]
    show("or smaller ones", [len(page) for page in pages] == [10] * 6 + [1])
    for number in range(30):
        client.set_secret("versions", f"{number}")
    vault.calls.clear()
    show("versions come in pages", len(list(client.list_properties_of_secret_versions("versions"))) == 30
         and len(vault.calls) == 2)


def removals(client):
    removal = client.begin_delete_secret("app-db", _polling_interval=0.1)
    removal.wait()
    removed = removal.result()
    span = removed.scheduled_purge_date - removed.deleted_date
    show("a secret is removed, and purged later", removed.recovery_id.endswith("/deletedsecrets/app-db")
         and span == timedelta(days=90))
    refusal(ResourceNotFoundError, lambda: client.get_secret("app-db"))
    show("removed secrets are listed", [one.name for one in client.list_deleted_secrets()] == ["app-db"]
         and "app-db" not in [one.name for one in client.list_properties_of_secrets()])
    error = refusal(ResourceExistsError, lambda: client.set_secret("app-db", "three"))
    show("nothing is put over it", inner(error) == "ObjectIsDeletedButRecoverable")
    client.begin_recover_deleted_secret("app-db", _polling_interval=0.1).wait()
    show("it is recovered, with its versions", client.get_secret("app-db").value == "two"
         and len(list(client.list_properties_of_secret_versions("app-db"))) == 2)
    blob = client.backup_secret("app-db")
    error = refusal(ResourceExistsError, lambda: client.restore_secret_backup(blob))
    show("a backup is not restored over it", error.status_code == 409)
    client.begin_delete_secret("app-db", _polling_interval=0.1).wait()
    client.purge_deleted_secret("app-db")
    refusal(ResourceNotFoundError, lambda: client.get_deleted_secret("app-db"))
    client.restore_secret_backup(blob)
    show("it is purged, and restored from its backup", client.get_secret("app-db").value == "two"
         and len(list(client.list_properties_of_secret_versions("app-db"))) == 2)


def faults(client, vault, credential, verify):
    vault.throttled = 1
    show("throttling is borne by asking again", client.get_secret("many-1").value == "1" and vault.throttled == 0)
    asked = len(credential.asked)
    vault.tokens.clear()
    show("a dead token is followed by another", client.get_secret("many-1").value == "1"
         and len(credential.asked) == asked + 1)
    vault.roles = {"officer": {"actions": ["Microsoft.KeyVault/vaults/secrets/readMetadata/action",
                                           "Microsoft.KeyVault/vaults/secrets/getSecret/action"],
                               "denied": ["many-2"]}}
    error = refusal(HttpResponseError, lambda: client.get_secret("many-2"))
    show("a right that is missing is told", error.status_code == 403 and inner(error) == "ForbiddenByRbac")
    error = refusal(HttpResponseError, lambda: client.set_secret("many-1", "x"))
    show("also to a writer", error.status_code == 403 and client.get_secret("many-1").value == "1")
    other = SecretClient(f"https://{OTHER}", credential, **verify)
    error = refusal(ValueError, lambda: other.get_secret("many-1"))
    show("a challenge for another domain is refused", "does not match the requested domain" in str(error))
    vault.roles = {"nobody": {"actions": []}}
    vault.identity = lambda token, resource: None
    error = refusal(ClientAuthenticationError, lambda: client.get_secret("many-1"))
    show("tokens that are refused for good end it", error.status_code == 401)


def main():
    certificate, key, authority = sys.argv[1:]
    vault = FakeVault(tick=True)
    server = serve(vault, 0, certificate, key)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    lead_home(port)
    credential = Credential(authority, port)
    verify = {"connection_verify": authority}
    for version in [ApiVersion.V7_4, None]:
        options = {"api_version": version} if version else {}
        client = SecretClient(f"https://{HOST}", credential, **options, **verify)
        show(f"it is asked in version {version.value if version else 'of the client'}",
             client.set_secret("versioned", "x").name == "versioned")
    show("the challenge names the scope and the tenant",
         credential.asked[0] == (("https://vault.azure.net/.default",), TENANT))
    client.begin_delete_secret("versioned", _polling_interval=0.1).wait()
    client.purge_deleted_secret("versioned")
    secrets_and_versions(client)
    listings(client, vault)
    removals(client)
    faults(client, vault, credential, verify)
    print("\n".join(shown))


if __name__ == "__main__":
    main()
