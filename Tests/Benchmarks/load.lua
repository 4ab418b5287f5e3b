-- One user's token after another, the same for every contender: wrk -s load.lua URL -- TOKENS_FILE
-- Requests are formatted once, so that a request costs wrk one table lookup.

local requests = {}
local position = 0

function init(arguments)
    for token in io.lines(arguments[1]) do
        requests[#requests + 1] = wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. token })
    end
end

function request()
    position = position % #requests + 1
    return requests[position]
end

-- The last line of wrk's output is for load.py to read.
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"not_2xx":%d,"broken":%d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
