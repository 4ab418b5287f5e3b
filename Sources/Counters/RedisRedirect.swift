/// A cluster's node says that another one serves a slot: `MOVED 3999 127.0.0.1:6381`, or, for this one command while the slot
/// is on its way, `ASK 3999 127.0.0.1:6381`.
struct RedisRedirect: Equatable {
    let isAsk: Bool
    let slot: Int
    /// Empty where it is the host of who says so.
    private let host: String
    private let port: Int

    /// - Parameter error: an error reply. Nil for one that is no redirection.
    init?(_ error: String) {
        let words = error.split(separator: " ")
        guard words.count >= 3, words[0] == "MOVED" || words[0] == "ASK", let slot = Int(words[1]),
            (0..<RedisSlot.count).contains(slot), let colon = words[2].lastIndex(of: ":"),
            let port = Int(words[2][words[2].index(after: colon)...]), (1...65535).contains(port)
        else { return nil }
        isAsk = words[0] == "ASK"
        self.slot = slot
        host = String(words[2][..<colon])
        self.port = port
    }

    /// Where to go, as told by the node at `place`.
    func target(from place: RedisAddress.Place) -> RedisAddress.Place {
        if host.isEmpty || host == "?", case .tcp(let same, _) = place { return .tcp(host: same, port: port) }
        return .tcp(host: host, port: port)
    }
}

/// What an error reply means for what was asked.
enum RedisErrorScope {
    /// This one key somebody has put to another use.
    case key
    /// This one command can't be done here and now, for the state its slot is in.
    case slot
    case redirect(RedisRedirect)
    /// Everything else would meet the next hit too: `READONLY`, `OOM`, `LOADING`, `MISCONF`, `NOAUTH`, `NOPERM`, `CLUSTERDOWN` …
    case store

    init(_ error: String) {
        if error.contains("WRONGTYPE") || error.hasPrefix("ERR value is not an integer")
            || error.hasPrefix("ERR increment or decrement would overflow")
        {
            self = .key
        } else if error.hasPrefix("TRYAGAIN") || error.hasPrefix("CLUSTERDOWN Hash slot") {
            self = .slot
        } else {
            self = RedisRedirect(error).map { .redirect($0) } ?? .store
        }
    }
}
