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
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static inline int openssl_key_selection(bool with_private_half) {
    return with_private_half ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
}

// Macros that Swift can't import.
static const uint64_t openssl_safe_options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION;
// RFC 4514's form, with UTF-8 as it is rather than escaped byte by byte.
static const unsigned long openssl_name_format = XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB;
static inline int openssl_set_minimum_version(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_min_proto_version(context, version);
}
static inline void openssl_set_mode(SSL_CTX *context, long mode) { SSL_CTX_set_mode(context, mode); }
static inline int openssl_set_server_name(SSL *session, const char *name) {
    return (int)SSL_set_tlsext_host_name(session, name);
}
static inline int openssl_set_groups(SSL_CTX *context, const char *names) { return (int)SSL_CTX_set1_groups_list(context, names); }
static inline void openssl_set_read_ahead(SSL_CTX *context) { SSL_CTX_set_read_ahead(context, 1); }
static inline void openssl_set_session_cache_off(SSL_CTX *context) { SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); }
// Those that servers give out go to the callback alone.
static inline void openssl_collect_sessions(SSL_CTX *context, int (*callback)(SSL *, SSL_SESSION *)) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, callback);
}
static inline void openssl_set_server_name_callback(SSL_CTX *context, int (*callback)(SSL *, int *, void *), void *argument) {
    SSL_CTX_set_tlsext_servername_callback(context, callback);
    SSL_CTX_set_tlsext_servername_arg(context, argument);
}
static inline void openssl_bio_will_retry(BIO *bio, bool reading) {
    BIO_clear_retry_flags(bio);
    if (reading) BIO_set_retry_read(bio);
    else BIO_set_retry_write(bio);
}
static inline void openssl_bio_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }
static inline int openssl_bio_type(void) { return BIO_get_new_index() | BIO_TYPE_SOURCE_SINK; }
static inline int openssl_general_name_count(const GENERAL_NAMES *names) { return sk_GENERAL_NAME_num(names); }
static inline int openssl_general_name_type(const GENERAL_NAMES *names, int index) { return sk_GENERAL_NAME_value(names, index)->type; }
// The text of a name that is one: DNS, email, URI.
static inline int openssl_general_name_text(const GENERAL_NAMES *names, int index, const unsigned char **first) {
    const ASN1_IA5STRING *text = sk_GENERAL_NAME_value(names, index)->d.ia5;
    *first = ASN1_STRING_get0_data(text);
    return ASN1_STRING_length(text);
}
// Here, since the names of parameters must outlive the list of them, which Swift's copies of such macros don't.
static inline int openssl_set_hmac_sha256_key(EVP_MAC_CTX *context, const unsigned char *key, size_t count) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key, count),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "sha256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(context, parameters);
}
