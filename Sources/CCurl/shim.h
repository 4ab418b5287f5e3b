#pragma once
#include <curl/curl.h>

// curl_easy_setopt and curl_easy_getinfo are variadic: one shim for each type of argument. The macros that check the type
// want a constant option, so the functions behind them are called.
static inline CURLcode curl_set_text(CURL *handle, CURLoption option, const char *text) {
    return (curl_easy_setopt)(handle, option, text);
}
static inline CURLcode curl_set_number(CURL *handle, CURLoption option, long number) {
    return (curl_easy_setopt)(handle, option, number);
}
static inline CURLcode curl_set_list(CURL *handle, CURLoption option, struct curl_slist *list) {
    return (curl_easy_setopt)(handle, option, list);
}
// `option` is CURLOPT_WRITEFUNCTION or CURLOPT_HEADERFUNCTION, `context_option` the one of its last argument.
static inline CURLcode curl_set_receiver(
    CURL *handle, CURLoption option, curl_write_callback receiver, CURLoption context_option, void *context) {
    CURLcode code = (curl_easy_setopt)(handle, option, receiver);
    return code == CURLE_OK ? (curl_easy_setopt)(handle, context_option, context) : code;
}
// `room` must have CURL_ERROR_SIZE bytes and outlive the handle.
static inline CURLcode curl_set_error_buffer(CURL *handle, char *room) {
    return (curl_easy_setopt)(handle, CURLOPT_ERRORBUFFER, room);
}
static inline long curl_response_code(CURL *handle) {
    long code = 0;
    (curl_easy_getinfo)(handle, CURLINFO_RESPONSE_CODE, &code);
    return code;
}
