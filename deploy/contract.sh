# `deploy/demo --check`: the contract that clients rely on, walked with real requests. Sourced by deploy/demo, which
# has started everything.

passed=0
failed=0

no_token='{"error":"Unauthorized","message":"No token provided. Include Authorization: Bearer <token> in your request."}'
invalid_token='{"error":"Unauthorized","message":"Invalid token. Authentication failed."}'
expired_token='{"error":"Unauthorized","message":"Token has expired. Please re-authenticate."}'

check_contract() {
    say
    check_health
    check_routes
    check_identity
    check_missing_tokens
    check_refused_tokens
    check_limit
    check_malformed_requests
    check_log
    check_tool
    check_lost_upstream
    check_impatient_proxy
    check_lost_policy_daemon
    check_start_and_end

    say
    say "$passed passed, $failed failed"
    ((failed == 0))
}

# ── Asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

# ask CURL-ARGUMENT…: sends one request and keeps `status`, `headers` and `body`, byte for byte.
ask() {
    rm -f "$runtime/headers" "$runtime/body"
    status=$(curl --noproxy '*' --path-as-is -s -m 10 -D "$runtime/headers" -o "$runtime/body" -w '%{http_code}' "$@") || true
    headers=$(tr -d '\r' 2>/dev/null <"$runtime/headers") || true
    body=""
    # Unlike $(…), this keeps a line break at the end, which the contract does not have.
    [[ ! -e $runtime/body ]] || IFS= read -r -d '' body <"$runtime/body" || true
}

# ask_as TOKEN CURL-ARGUMENT…
ask_as() { ask -H "Authorization: Bearer $1" "${@:2}"; }

# ask_raw BYTES: what no client would send. `printf` expands the bytes' escapes. Keeps the same as `ask`, and `closed`.
ask_raw() {
    local answer=""
    closed=false
    exec 3<>"/dev/tcp/$address/$PORT"
    printf "$1" >&3
    timeout 5 cat <&3 >"$runtime/raw" && closed=true
    exec 3>&-
    answer=$(tr -d '\r' <"$runtime/raw")
    headers=${answer%%$'\n\n'*}
    body=${answer#*$'\n\n'}
    status=${headers#* }
    status=${status%% *}
}

# check NAME COMMAND…: one line. A failed one shows the last answer.
check() {
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        say "ok      $name"
    else
        failed=$((failed + 1))
        say "FAILED  $name"
        printf '%s\n\n%s\n' "$headers" "$body" | sed 's/^/            /'
    fi
}

# is STATUS BODY: the body is these bytes; a `*` stands for what differs each time.
is() { [[ $status == "$1" && $body == $2 ]] && { ((status < 400)) || has content-type application/json; }; }

# has NAME VALUE: a field of the last answer, `*` as above.
has() { [[ $(field "$1") == $2 ]]; }

field() { sed -n "s/^$1: *//Ip" <<<"$headers"; }

# ── Tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────────

# token USER: a good one, from the tool.
token() { "$bin/gatehouse" token --user "$1" --email "$1@example.com" --role admin --expires 1h; }

# sign CLAIMS [HEADER [DIGEST [KEY]]]: any token at all, without the tool, which mints no bad ones.
sign() {
    local header=${2:-'{"alg":"HS256","typ":"JWT"}'} digest=${3:-sha256} key=${4:-$JWT_SECRET} signed
    signed=$(printf %s "$header" | base64url).$(printf %s "$1" | base64url)
    printf '%s.%s' "$signed" "$(printf %s "$signed" | openssl dgst "-$digest" -hmac "$key" -binary | base64url)"
}

base64url() { base64 --wrap=0 | tr '+/' '-_' | tr -d '='; }

# ── The contract ────────────────────────────────────────────────────────────────────────────────────────────────────

check_health() {
    ask "$gateway/health"
    check "GET /health needs no token" is 200 '{"gateway":"ok","timestamp":"????-??-??T??:??:??.???Z"}'
    check "GET /health is not counted" has x-ratelimit-limit ""
}

check_routes() {
    local good service
    good=$(token usr_routes)
    for service in projects users analytics; do
        ask_as "$good" "$gateway/api/$service"
        check "GET /api/$service reaches its service" is 200 "{\"service\":\"$service\",*"
    done
    ask_as "$good" "$gateway/api/projects/7?x=1"
    check "what is below a route belongs to it" is 200 '{"service":"projects",*'
    ask_as "$good" "$gateway/api/projectsx"
    check "what only begins like a route is 404" is 404 '{"error":"Not Found","message":"No route configured for GET /api/projectsx"}'
    ask "$gateway/nowhere"
    check "no route and no token is 401" is 401 "$no_token"
    ask_as "$good" "$gateway/nowhere"
    check "no route with a token is 404" is 404 '{"error":"Not Found","message":"No route configured for GET /nowhere"}'
}

check_identity() {
    ask_as "$(token usr_9f3k2m)" "$gateway/api/projects"
    check "the upstream sees who asks" is 200 '*"user":"usr_9f3k2m","email":"usr_9f3k2m@example.com"*'
    ask_as "$(token usr_9f3k2m)" -H 'X-User-Id: usr_root' -H 'x_user_id: usr_root' "$gateway/api/projects"
    check "a client cannot say who it is" is 200 '*"user":"usr_9f3k2m"*'
    ask_as "$(sign '{"sub":"usr_sub"}')" "$gateway/api/projects"
    check "sub stands in for userId" is 200 '*"user":"usr_sub"*'
    ask_as "$(sign '{"userId":4711}')" "$gateway/api/projects"
    check "a numeric userId works" is 200 '*"user":"4711"*'
}

check_missing_tokens() {
    local good
    good=$(token usr_schemes)
    ask "$gateway/api/projects"
    check "no token" is 401 "$no_token"
    check "no token: WWW-Authenticate" has www-authenticate 'Bearer*'
    ask -H 'Authorization: Basic dXNlcjpwYXNz' "$gateway/api/projects"
    check "another scheme is no token" is 401 "$no_token"
    ask -H 'Authorization: Bearer ' "$gateway/api/projects"
    check "an empty token is no token" is 401 "$no_token"
    ask -H "Authorization: bEARER $good" "$gateway/api/projects"
    check "the scheme is matched in any case" is 200 '*'
    ask_as "$good" -H "Authorization: Bearer $good" "$gateway/api/projects"
    check "two Authorization fields are 400" is 400 '{"error":"Bad Request","message":"*"}'
}

check_refused_tokens() {
    local now=$EPOCHSECONDS claims='{"userId":"usr_refused"}' good
    good=$(sign "$claims")
    check_refused "bad form" "not.a-token"
    check_refused "bad signature" "${good%.*}.$(sign "$claims" '' sha256 another-key | cut -d. -f3)"
    check_refused "algorithm none" "$(sign "$claims" '{"alg":"none"}' | cut -d. -f1,2)."
    check_refused "another algorithm" "$(sign "$claims" '{"alg":"HS512"}' sha512)"
    check_refused "not yet valid" "$(sign "{\"userId\":\"usr_early\",\"nbf\":$((now + 600))}")"
    check_refused "neither userId nor sub" "$(sign '{"email":"ada@example.com"}')"
    check_refused "a claim that no header may carry" "$(sign '{"userId":"usr\r\nX-User-Role: admin"}')"
    ask_as "$(sign "{\"userId\":\"usr_late\",\"exp\":$((now - 60))}")" "$gateway/api/projects"
    check "expired" is 401 "$expired_token"
    check "expired: WWW-Authenticate" has www-authenticate 'Bearer*error="invalid_token"*'
}

# check_refused NAME TOKEN
check_refused() {
    ask_as "$2" "$gateway/api/projects"
    check "invalid token: $1" is 401 "$invalid_token"
}

check_limit() {
    local user user_token admitted minute reset
    # Requests on both sides of a minute's end say nothing about either: then once more, as somebody else.
    for user in usr_burst_1 usr_burst_2; do
        minute=$((EPOCHSECONDS / 60))
        user_token=$(token "$user")
        admitted=$(curl --noproxy '*' -s -o /dev/null -w '%{http_code}\n' -H "Authorization: Bearer $user_token" \
            "$gateway/api/projects?n=[1-105]" | grep --count '^200$') || true
        ask_as "$user_token" "$gateway/api/projects"
        ((minute == EPOCHSECONDS / 60)) && break
    done
    reset=$(field x-ratelimit-reset)
    check "100 of 105 requests within a minute are admitted" [ "$admitted" = 100 ]
    check "over the limit" is 429 "{\"error\":\"Too Many Requests\",\"message\":\"Rate limit exceeded. You are allowed 100 \
requests per minute.\",\"resetAt\":\"$(date --utc --date="@${reset:-0}" +%FT%T.000Z)\"}"
    check "over the limit: X-RateLimit-Limit" has x-ratelimit-limit 100
    check "over the limit: X-RateLimit-Remaining" has x-ratelimit-remaining 0
    check "over the limit: X-RateLimit-Reset is the end of the minute" [ "${reset:-0}" = $(((minute + 1) * 60)) ]
    check "over the limit: Retry-After" has retry-after '[1-9]*'
    [[ ! -S $runtime/redis.sock ]] || check_redis_key "ratelimit:$user:$minute"

    ask_as "$(token usr_other)" "$gateway/api/projects"
    check "each user has a limit of their own" has x-ratelimit-remaining 99
}

# check_redis_key KEY: of a user who is over the limit.
check_redis_key() {
    local ttl
    check "Redis: denied requests are given back" wait_until 2 redis_holds "$1" 100
    ttl=$(redis-cli -s "$runtime/redis.sock" ttl "$1")
    check "Redis: the key lives to the end of the next minute" [ "$ttl" -gt 0 -a "$ttl" -le 120 ]
}

redis_holds() { [[ $(redis-cli -s "$runtime/redis.sock" get "$1") == "$2" ]]; }

check_malformed_requests() {
    local long many
    ask "$gateway/api/../health"
    check "dot segments are refused" is 400 '{"error":"Bad Request","message":"*"}'
    ask "$gateway/api//projects"
    check "empty segments are refused" is 400 '{"error":"Bad Request","message":"*"}'
    ask "$gateway/api%2fprojects"
    check "encoded slashes are refused" is 400 '{"error":"Bad Request","message":"*"}'
    ask_raw 'GET /health HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'
    check "two lengths of one body are refused" is 400 '{"error":"Bad Request","message":"*"}'
    check "and the connection is closed" [ "$closed" = true ]
    ask_raw 'GET /health HTTP/1.1\r\n\r\n'
    check "a missing Host is refused" is 400 '{"error":"Bad Request","message":"*"}'
    ask_raw 'GET /health HTTP/2.0\r\nHost: gateway\r\n\r\n'
    check "another HTTP version is 505" is 505 '{"error":"HTTP Version Not Supported","message":"*"}'
    long=$(printf '%9000s' '' | tr ' ' a)
    ask "$gateway/$long"
    check "a long request line is 414" is 414 '{"error":"URI Too Long","message":"*"}'
    ask -H "X-1: $long" -H "X-2: $long" -H "X-3: $long" -H "X-4: $long" "$gateway/health"
    check "large headers are 431" is 431 '{"error":"Request Header Fields Too Large","message":"*"}'
    many=$(printf 'X-%d: 1\\r\\n' {1..101})
    ask_raw "GET /health HTTP/1.1\r\nHost: gateway\r\n$many\r\n"
    check "many headers are 431" is 431 '{"error":"Request Header Fields Too Large","message":"*"}'
}

check_log() {
    headers="" body=$(tail -n 5 "$runtime/proxy.log")
    check "log: the start" logged '[GATEWAY] APIForge API Gateway running on port '"$PORT"
    check "log: a request" logged '[GATEWAY] GET /api/projects 200 [0-9][0-9]*B [0-9.][0-9.]*ms user=usr_9f3k2m'
    check "log: a request without a token" logged '[GATEWAY] GET /api/projects 401 [0-9][0-9]*B [0-9.][0-9.]*ms user=unauthenticated'
    ask_as "$(token usr_9f3k2m)" "$gateway/log%0a%5bGATEWAY%5d%20GET%20/forged"
    check "log: no path forges a line" [ -z "$(grep '^\[GATEWAY\] GET /forged' "$runtime/proxy.log")" ]
}

# logged PATTERN: a whole line of the proxy's log, which may be written a moment after the answer.
logged() { wait_until 2 grep --quiet "^${1/#\[GATEWAY\]/\\[GATEWAY\\]}$" "$runtime/proxy.log"; }

check_tool() {
    headers="" body=""
    check "gatehouse check: a good token is allowed" exits_with 0 "$bin/gatehouse" check --token "$(token usr_tool)" --path /api/projects
    check "gatehouse check: a bad one is denied" exits_with 1 "$bin/gatehouse" check --token none --path /api/projects
    check "gatehouse check: nobody to ask" exits_with 2 env POLICY_SOCKET="$runtime/nobody.sock" \
        "$bin/gatehouse" check --token none --path /api/projects
}

# exits_with STATUS COMMAND…
exits_with() {
    local exit=0
    body=$(timeout 10 "${@:2}" 2>&1) || exit=$?
    ((exit == $1))
}

check_lost_upstream() {
    stop analytics || true
    ask_as "$(token usr_lost)" "$gateway/api/analytics"
    check "upstream down" is 502 '{"error":"Bad Gateway","message":"Upstream service at http://localhost:3003 is unavailable."}'
    start_stub analytics 3003
    ask_as "$(token usr_lost)" "$gateway/api/analytics"
    check "upstream back" is 200 '*'
}

# The same proxy, that need not be waited for so long, and that logs JSON.
check_impatient_proxy() {
    cat >"$runtime/impatient.yaml" <<'YAML'
limits:
  body_bytes: 1000
timeouts:
  head_milliseconds: 300
  upstream_response_milliseconds: 300
YAML
    check "SIGTERM drains the proxy, which exits with 0" ends_well proxy
    : >"$runtime/proxy.log"
    LOG_FORMAT=json start_proxy --config "$runtime/impatient.yaml"

    kill -STOP "${processes[analytics]}"
    ask_as "$(token usr_slow)" "$gateway/api/analytics"
    check "upstream too slow" is 504 '{"error":"Gateway Timeout","message":"Upstream service at http://localhost:3003 did not answer in time."}'
    kill -CONT "${processes[analytics]}"
    ask_raw 'GET /health HTTP/1.1\r\nHost: gate'
    check "a head that never ends is 408" is 408 '{"error":"Request Timeout","message":"*"}'
    ask_as "$(token usr_large)" --data "$(printf '%2000s' '')" "$gateway/api/projects"
    check "a body over its limit is 413" is 413 '{"error":"Content Too Large","message":"*"}'
    headers="" body=$(<"$runtime/proxy.log")
    check "log: as JSON, every line is an object" [ -z "$(grep --invert-match '^{.*}$' "$runtime/proxy.log")" ]
    check "log: as JSON, a request has its fields" logged '{.*"status":504.*"user":"usr_slow".*}'
}

ends_well() {
    local exit=0
    stop "$1" || exit=$?
    headers="exit status $exit" body=$(tail -n 5 "$runtime/$1.errors")
    ((exit == 0))
}

check_lost_policy_daemon() {
    check "SIGTERM drains the policy daemon, which exits with 0" ends_well policyd
    ask_as "$(token usr_lost)" "$gateway/api/projects"
    check "policy daemon down" is 503 '{"error":"Service Unavailable","message":"*"}'
    check "policy daemon down: Retry-After" has retry-after '[0-9]*'
    start_policy_daemon
    check "policy daemon back" wait_until 10 answers 401 "$gateway/api/projects"
}

check_start_and_end() {
    headers="" body=""
    check "without a key the policy daemon refuses to start" refuses_to_start_without_a_key
}

refuses_to_start_without_a_key() {
    ! exits_with 0 env -u JWT_SECRET POLICY_SOCKET="$runtime/other.sock" "$bin/gatehouse-policyd" && [[ $body == *JWT_SECRET* ]]
}
