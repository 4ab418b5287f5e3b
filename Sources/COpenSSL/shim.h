#pragma once
#include <stdbool.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static inline int openssl_key_selection(bool with_private_half) {
    return with_private_half ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
}

// Macros that Swift can't import.
static const uint64_t openssl_no_renegotiation = SSL_OP_NO_RENEGOTIATION;
static inline int openssl_set_minimum_version(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_min_proto_version(context, version);
}
static inline void openssl_set_mode(SSL_CTX *context, long mode) { SSL_CTX_set_mode(context, mode); }
static inline int openssl_set_server_name(SSL *session, const char *name) {
    return (int)SSL_set_tlsext_host_name(session, name);
}
