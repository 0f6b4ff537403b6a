"""A stand-in for Azure Key Vault's secrets and for the places that give tokens to it, for the tests alone.

No server of Key Vault can be run by others than Microsoft. This one answers as the service does where the service says
how it does so: the API's description and examples (versions 7.4 to 2026-04-01), and what Microsoft published of calls
to the real one. `qualify.py` drives it by Microsoft's own client.

What it is not: there are no certificates and keys, no replication, no firewall, no other tenant. A removal, a recovery
and a purge take one look to be seen, where the service takes seconds.

Usage: fake_vault.py PORT [--certificate PEM --key PEM] [--roles JSON] [--tick] [--purge-protection]
"""

import argparse
import base64
import json
import re
import secrets
import ssl
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = 25
LARGEST_VALUE = 25 * 1024
MOST_TAGS = 15
RETENTION = 90 * 86400
VERSIONS = {"7.4", "7.5", "7.6", "2025-07-01", "2026-04-01"}
ACTION = "Microsoft.KeyVault/vaults/secrets/"
# Identities by the id of their client: what they may do, and secrets that they may not read.
EVERYTHING = {"actions": [ACTION + "*"], "denied": []}


class Refusal(Exception):
    def __init__(self, status, code, message, inner=None, headers=()):
        self.status, self.headers = status, dict(headers)
        self.body = {"error": {"code": code, "message": message}}
        if inner:
            self.body["error"]["innererror"] = {"code": inner}


def bad(message):
    return Refusal(400, "BadParameter", message)


class Secret:
    def __init__(self, name):
        self.name = name
        self.versions = []
        self.removed = None  # when
        self.passing = None  # "removing" or "recovering", until somebody looked


class FakeVault:
    def __init__(self, roles=None, tick=False, purge_protection=False):
        self.lock = threading.RLock()
        self.roles = roles or {}
        self.tick, self.offset = tick, 0
        self.level = "Recoverable" if purge_protection else "Recoverable+Purgeable"
        self.secrets = {}
        self.tokens = {}
        self.throttled = 0
        self.calls = []

    def now(self):
        return int(time.time()) + self.offset

    # Tokens

    def grant(self, identity, resource, life=3600):
        token = "hunter2token-" + secrets.token_hex(24)
        self.tokens[token] = (identity, resource.rstrip("/"), time.time() + life)
        return token

    def identity(self, token, resource):
        found = self.tokens.get(token)
        if found is None or found[2] < time.time() or found[1] != resource:
            return None
        return self.roles.get(found[0], EVERYTHING if not self.roles else {"actions": [], "denied": []})

    # Secrets

    def attributes(self, version):
        own = {key: version[key] for key in ("enabled", "nbf", "exp", "created", "updated") if version[key] is not None}
        return {**own, "recoveryLevel": self.level, "recoverableDays": RETENTION // 86400}

    def bundle(self, base, secret, version, value=False, versionless=False):
        found = {"value": version["value"]} if value else {}
        found["id"] = f"{base}/secrets/{secret.name}" + ("" if versionless else "/" + version["id"])
        found["attributes"] = self.attributes(version)
        for key in ("contentType", "tags", "managed", "kid"):
            if version.get(key):
                found[key] = version[key]
        return found

    def removal(self, base, secret, listed=False):
        found = self.bundle(base, secret, secret.versions[-1], versionless=listed)
        return {
            "recoveryId": f"{base}/deletedsecrets/{secret.name}", "deletedDate": secret.removed,
            "scheduledPurgeDate": secret.removed + RETENTION, **found,
        }

    def live(self, name):
        secret = self.secrets.get(name.lower())
        if secret is None or secret.removed is not None:
            raise self.missing(name)
        if secret.passing:
            secret.passing = None
            raise self.missing(name)
        return secret

    def missing(self, name):
        return Refusal(
            404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault. If you recently "
            "deleted this secret you may be able to recover it using the correct recovery command.")

    def deleted(self, name):
        secret = self.secrets.get(name.lower())
        if secret is None or secret.removed is None or secret.passing:
            if secret is not None and secret.removed is not None:
                secret.passing = None
            raise Refusal(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        return secret

    def version(self, secret, id):
        for version in secret.versions:
            if version["id"] == id:
                return version
        raise self.missing(f"{secret.name}/{id}")

    def set(self, base, name, body):
        value = body.get("value")
        if not isinstance(value, str):
            raise bad("Property has invalid value: value")
        if len(value.encode()) > LARGEST_VALUE:
            raise bad("The secret value is over the limit of 25k bytes.")
        secret = self.secrets.get(name.lower())
        if secret is not None and secret.passing:
            raise Refusal(409, "Conflict", f"Secret {name} is currently being changed.",
                          "ObjectIsBeingDeleted" if secret.removed is not None else "ObjectIsBeingRecovered")
        if secret is not None and secret.removed is not None:
            raise Refusal(409, "Conflict", f"Secret {name} is currently in a deleted but recoverable state, and its "
                          "name cannot be reused; in this state, the secret can only be recovered or purged.",
                          "ObjectIsDeletedButRecoverable")
        version = {"id": secrets.token_hex(16), "value": value, "enabled": True, "nbf": None, "exp": None,
                   "contentType": None, "tags": None, "created": self.now(), "updated": self.now()}
        self.take(version, body)
        if secret is None:
            secret = self.secrets[name.lower()] = Secret(name)
        secret.versions.append(version)
        self.step()
        return self.bundle(base, secret, version, value=True)

    def take(self, version, body):
        tags, kind, attributes = body.get("tags"), body.get("contentType"), body.get("attributes") or {}
        if tags is not None:
            if len(tags) > MOST_TAGS:
                raise bad("A secret has 15 tags at most.")
            if any(len(key) > 512 or not isinstance(text, str) or len(text) > 256 for key, text in tags.items()):
                raise bad("A tag is too long.")
            version["tags"] = dict(tags)
        if kind is not None:
            if len(kind) > 255:
                raise bad("The content type is too long.")
            version["contentType"] = kind
        # What is not named stays: a date can be changed, and not be taken away.
        for key in ("enabled", "nbf", "exp"):
            if attributes.get(key) is not None:
                version[key] = attributes[key]

    def step(self):
        if self.tick:
            self.offset += 1

    def update(self, base, name, id, body):
        secret = self.live(name)
        version = self.version(secret, id) if id else secret.versions[-1]
        changed = dict(version)
        self.take(changed, body)
        changed["updated"] = self.now()
        version.update(changed)
        return self.bundle(base, secret, version)

    def get(self, base, name, id):
        secret = self.live(name)
        version = self.version(secret, id) if id else secret.versions[-1]
        if not version["enabled"]:
            raise Refusal(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return self.bundle(base, secret, version, value=True)

    def remove(self, base, name):
        secret = self.live(name)
        secret.removed, secret.passing = self.now(), "removing"
        return self.removal(base, secret)

    def recover(self, base, name):
        secret = self.deleted(name)
        secret.removed, secret.passing = None, "recovering"
        return self.bundle(base, secret, secret.versions[-1])

    def purge(self, name):
        self.deleted(name)
        if "Purgeable" not in self.level:
            raise Refusal(403, "Forbidden", "Operation \"purge\" is not allowed because purge protection is enabled.")
        del self.secrets[name.lower()]

    def back_up(self, name):
        secret = self.live(name)
        blob = json.dumps({"name": secret.name, "versions": secret.versions})
        return {"value": base64.urlsafe_b64encode(blob.encode()).decode().rstrip("=")}

    def restore(self, base, body):
        text = body.get("value") or ""
        try:
            blob = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except ValueError:
            raise bad("Property has invalid value: value") from None
        if blob["name"].lower() in self.secrets:
            raise Refusal(409, "Conflict", f"Secret {blob['name']} is there.")
        secret = self.secrets[blob["name"].lower()] = Secret(blob["name"])
        secret.versions = blob["versions"]
        return self.bundle(base, secret, secret.versions[-1])

    def page(self, base, path, query, keyed):
        """A part of a listing that is in the order of its keys, which stand in the mark for the next part."""
        most = int(query.get("maxresults", PAGE))
        if not 1 <= most <= PAGE:
            raise bad("The request query parameter maxresults is out of range.")
        after = base64.b64decode(query["$skiptoken"]).decode() if "$skiptoken" in query else ""
        rest = sorted((key, item) for key, item in keyed if key > after)
        found = {"value": [item() for _, item in rest[:most]], "nextLink": None}
        if len(rest) > most:
            mark = base64.b64encode(rest[most - 1][0].encode()).decode()
            # The service names the port also where it goes without saying.
            port = "" if base.rpartition(":")[2].isdigit() else ":443" if base.startswith("https:") else ":80"
            found["nextLink"] = (f"{base}{port}{path}?api-version={query['api-version']}"
                                 f"&$skiptoken={urllib.parse.quote(mark)}&maxresults={most}")
        return found

    def list(self, base, query):
        shown = [secret for secret in self.secrets.values() if secret.removed is None and not secret.passing]
        return self.page(base, "/secrets", query, [
            (one.name, lambda one=one: self.bundle(base, one, one.versions[-1], versionless=True)) for one in shown])

    def list_deleted(self, base, query):
        shown = [secret for secret in self.secrets.values() if secret.removed is not None and not secret.passing]
        return self.page(base, "/deletedsecrets", query, [
            (one.name, lambda one=one: self.removal(base, one, listed=True)) for one in shown])

    def list_versions(self, base, name, query):
        secret = self.secrets.get(name.lower())
        if secret is None or secret.removed is not None or secret.passing:
            if secret is not None and secret.removed is None:
                secret.passing = None
            return {"value": [], "nextLink": None}
        return self.page(base, f"/secrets/{name}/versions", query, [
            (one["id"], lambda one=one: self.bundle(base, secret, one)) for one in secret.versions])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    vault = None

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return super().date_time_string(self.vault.now() if timestamp is None else timestamp)

    def do_any(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path, _, text = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(text, keep_blank_values=True))
        try:
            with self.vault.lock:
                found = self.token(path, query, body) or self.answer(path, query, body)
            self.reply(*found)
        except Refusal as refusal:
            self.reply(refusal.status, refusal.body, refusal.headers)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_any

    def reply(self, status, body, headers=()):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        if body is not None:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    # Who gives tokens

    def token(self, path, query, body):
        if path == "/metadata/identity/oauth2/token":
            return self.machine_token(query)
        if path == "/msi/token":
            if self.headers.get("X-IDENTITY-HEADER") != "hunter2header" or query.get("api-version") != "2019-08-01":
                return 401, {"error": {"code": "Unauthorized", "message": "no"}}
            return self.given(query.get("client_id", "system"), query["resource"], ("expires_on",))
        found = re.fullmatch(r"/([0-9a-f-]{36})/oauth2/v2\.0/token", path)
        return self.signed_token(urllib.parse.parse_qs(body.decode())) if found else None

    def machine_token(self, query):
        if self.headers.get("Metadata") != "true" or self.headers.get("X-Forwarded-For"):
            return 400, {"error": "invalid_request", "error_description": "Required metadata header not specified"}
        if query.get("api-version") != "2018-02-01" or "resource" not in query:
            return 400, {"error": "invalid_request", "error_description": "Required query variable is missing"}
        identity = query.get("client_id", "system")
        if identity == "unknown":
            return 400, {"error": "invalid_request", "error_description": "Identity not found"}
        return self.given(identity, query["resource"], ("expires_in", "expires_on"))

    def given(self, identity, resource, fields):
        token = self.vault.grant(identity, resource)
        times = {"expires_in": "3600", "expires_on": str(int(time.time()) + 3600)}
        return 200, {"access_token": token, "client_id": identity, "resource": resource, "token_type": "Bearer",
                     **{field: times[field] for field in fields}}

    def signed_token(self, form):
        one = {key: values[0] for key, values in form.items()}
        fit = (one.get("grant_type") == "client_credentials" and one.get("client_assertion_type")
               == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        scope, assertion = one.get("scope", ""), one.get("client_assertion", "")
        if not fit or not scope.endswith("/.default") or not assertion:
            return 400, {"error": "invalid_request", "error_description": "AADSTS900144: a parameter is missing"}
        if assertion == "expired":
            return 401, {"error": "invalid_client", "error_description": "AADSTS700024: not within its time range"}
        token = self.vault.grant(one.get("client_id"), scope.removesuffix("/.default"))
        return 200, {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token}

    # The vault

    def resource(self):
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        label, _, domain = host.partition(".")
        return "https://" + (domain if domain.startswith("vault.") else host)

    def base(self):
        return ("https" if isinstance(self.connection, ssl.SSLSocket) else "http") + f"://{self.headers.get('Host')}"

    def answer(self, path, query, body):
        if self.vault.throttled > 0:
            self.vault.throttled -= 1
            raise Refusal(429, "Throttled", "Request was not processed because too many requests were received.",
                          headers={"Retry-After": "1"})
        rights = self.who()
        if query.get("api-version") not in VERSIONS:
            raise bad("The specified version is not recognized.")
        self.vault.calls.append((self.command, path))
        parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
        try:
            data = json.loads(body) if body else {}
        except ValueError:
            raise bad("The request body is not properly formatted.") from None
        return self.dispatch(rights, parts, query, data)

    def who(self):
        challenge = (f'Bearer authorization="{self.authority()}/00000000-1111-2222-3333-444444444444", '
                     f'resource="{self.resource()}"')
        words = (self.headers.get("Authorization") or "").split(" ")
        if words[0] != "Bearer" or len(words) != 2:
            raise Refusal(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.",
                          headers={"WWW-Authenticate": challenge})
        rights = self.vault.identity(words[1], self.resource())
        if rights is None:
            raise Refusal(401, "Unauthorized", "Error validating token: IDX10223",
                          headers={"WWW-Authenticate": challenge + ', error="invalid_token"'})
        return rights

    def authority(self):
        return "https://login.microsoftonline.com"

    def dispatch(self, rights, parts, query, data):
        vault, base = self.vault, self.base()
        name = parts[1] if len(parts) > 1 else None
        if name is not None and name != "restore" and not re.fullmatch("[0-9a-zA-Z-]{1,127}", name):
            raise bad(f"The request URI contains an invalid name: {name}")

        def may(action):
            allowed = any(re.fullmatch(re.escape(one).replace(r"\*", ".*"), ACTION + action)
                          for one in rights["actions"])
            if not allowed or (action == "getSecret/action" and name in rights.get("denied", ())):
                raise Refusal(403, "Forbidden", "Caller is not authorized to perform action on resource.",
                              "ForbiddenByRbac")

        match (self.command, parts[0], *parts[2:]):
            case ("GET", "secrets") if name is None:
                may("readMetadata/action")
                return 200, vault.list(base, query)
            case ("GET", "deletedsecrets") if name is None:
                may("readMetadata/action")
                return 200, vault.list_deleted(base, query)
            case ("GET", "deletedsecrets"):
                may("readMetadata/action")
                return 200, vault.removal(base, vault.deleted(name))
            case ("GET", "secrets", "versions"):
                may("readMetadata/action")
                return 200, vault.list_versions(base, name, query)
            case ("GET", "secrets") | ("GET", "secrets", _):
                may("getSecret/action")
                return 200, vault.get(base, name, parts[2] if len(parts) > 2 else None)
            case ("PUT", "secrets"):
                may("setSecret/action")
                return 200, vault.set(base, name, data)
            case ("PATCH", "secrets") | ("PATCH", "secrets", _):
                may("update/action")
                return 200, vault.update(base, name, parts[2] if len(parts) > 2 else None, data)
            case ("DELETE", "secrets"):
                may("delete")
                return 200, vault.remove(base, name)
            case ("POST", "deletedsecrets", "recover"):
                may("recover/action")
                return 200, vault.recover(base, name)
            case ("DELETE", "deletedsecrets"):
                may("purge/action")
                vault.purge(name)
                return 204, None
            case ("POST", "secrets", "backup"):
                may("backup/action")
                return 200, vault.back_up(name)
            case ("POST", "secrets") if name == "restore":
                may("restore/action")
                return 200, vault.restore(base, data)
        raise Refusal(404, "ResourceNotFound", "No HTTP resource was found.")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve(vault, port, certificate=None, key=None):
    server = Server(("127.0.0.1", port), type("OwnHandler", (Handler,), {"vault": vault}))
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--roles", type=json.loads)
    parser.add_argument("--tick", action="store_true")
    parser.add_argument("--purge-protection", action="store_true")
    options = parser.parse_args()
    vault = FakeVault(options.roles, options.tick, options.purge_protection)
    serve(vault, options.port, options.certificate, options.key).serve_forever()


if __name__ == "__main__":
    main()
