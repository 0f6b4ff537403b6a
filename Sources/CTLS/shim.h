// A client's side of TLS: the calls of OpenSSL's libssl that Swift cannot see, since they are macros.
#ifndef HOLDFAST_TLS_SHIM_H
#define HOLDFAST_TLS_SHIM_H

#include <openssl/err.h>
#include <openssl/ssl.h>

// TLS 1.2 or newer, with the system's certificates; a peer that they do not vouch for is refused.
static inline SSL_CTX *holdfast_tls_context(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) return NULL;
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 || SSL_CTX_set_default_verify_paths(context) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return context;
}

// A session over `socket` in which the peer will have to prove that it is `host`; SSL_connect is still to come. NULL when
// there is no room for it.
static inline SSL *holdfast_tls_session(SSL_CTX *context, int socket, const char *host) {
    SSL *session = SSL_new(context);
    if (session == NULL) return NULL;
    // A write that could take a part alone may be tried again from another buffer.
    SSL_set_mode(session, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_set_tlsext_host_name(session, host) == 1 && SSL_set1_host(session, host) == 1
        && SSL_set_fd(session, socket) == 1) {
        return session;
    }
    SSL_free(session);
    return NULL;
}

#endif
