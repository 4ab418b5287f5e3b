/// A request made up to try rules with.
struct RuleSample {
    var method: [UInt8]
    var authority: [UInt8]
    var path: [UInt8]

    /// As in `GET example.com/api/x`.
    var text: String { String(decoding: method + [UInt8(ascii: " ")] + authority + path, as: UTF8.self) }
}

extension RequestMatcher {
    func matches(_ sample: RuleSample) -> Bool {
        matches(authority: sample.authority.span, method: sample.method.span, path: sample.path.span)
    }

    /// Requests of this matcher that are enough to know whether more specific rules match all of it: if one of them belongs to
    /// no other rule, the rule is reached, else it isn't.
    ///
    /// Where a matcher leaves the text open, the sample has one that no matcher may name: whatever matches that, matches any text.
    /// Only the empty last segment is a case of its own, and where `**` stands, each number of segments.
    ///
    /// - Parameter maximumDepth: the number of segments of the longest pattern.
    func samples(maximumDepth: Int) -> [RuleSample] {
        let methods = self.methods?.names ?? [Array("unknown".utf8)]
        let authority = host?.example(label: "\0") ?? []
        let paths = path?.samplePaths(maximumDepth: maximumDepth) ?? [[UInt8(ascii: "*")]]
        return methods.flatMap { method in paths.map { RuleSample(method: method, authority: authority, path: $0) } }
    }

    /// A request that both match, of which there is one unless their hosts, methods or paths have nothing in common.
    func commonRequest(_ other: RequestMatcher) -> RuleSample? {
        guard let method = commonMethod(other), let authority = commonHost(other), let path = commonPath(other) else { return nil }
        return RuleSample(method: method, authority: authority, path: path)
    }

    private func commonMethod(_ other: RequestMatcher) -> [UInt8]? {
        guard let methods, let others = other.methods else { return (methods ?? other.methods)?.names.first ?? Array("GET".utf8) }
        return methods.intersection(others).first
    }

    private func commonHost(_ other: RequestMatcher) -> [UInt8]? {
        guard let host, let otherHost = other.host else { return (host ?? other.host)?.example(label: "x") ?? [] }
        if host.covers(otherHost) { return otherHost.example(label: "x") }
        return otherHost.covers(host) ? host.example(label: "x") : nil
    }

    private func commonPath(_ other: RequestMatcher) -> [UInt8]? {
        guard let path, let otherPath = other.path else { return (path ?? other.path)?.example ?? Array("/".utf8) }
        return path.commonPath(otherPath)
    }

    /// Whether every request that `other` matches is matched by this.
    func covers(_ other: RequestMatcher) -> Bool {
        if let host {
            guard let otherHost = other.host, host.covers(otherHost) else { return false }
        }
        if let methods {
            guard let others = other.methods, others.names.allSatisfy(methods.names.contains) else { return false }
        }
        guard let path else { return true }
        return other.path.map(path.covers) ?? false
    }
}

extension HostPattern {
    fileprivate func example(label: String) -> [UInt8] { isWildcard ? Array(label.utf8) + name : name }
}

extension PathPattern {
    fileprivate static func join(_ segments: [[UInt8]]) -> [UInt8] {
        segments.flatMap { segment in [UInt8(ascii: "/")] + segment.flatMap(escaped) }
    }

    /// A byte as it stands in a normal path.
    private static func escaped(_ byte: UInt8) -> [UInt8] {
        guard byte <= 0x20 || byte >= 0x7f || byte == UInt8(ascii: "/") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#")
            || byte == UInt8(ascii: "%")
        else { return [byte] }
        let digits = Array("0123456789ABCDEF".utf8)
        return [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }

    /// No pattern's text.
    private static let unknown: [UInt8] = [0]

    fileprivate func samplePaths(maximumDepth: Int) -> [[UInt8]] {
        let fixed = segments.map { segment in
            if case .literal(let text) = segment { text } else { Self.unknown }
        }
        var paths = [fixed]
        if segments.last == .any { paths.append(fixed.dropLast() + [[]]) }
        guard isOpen else { return paths.map(Self.join) }
        if segments.isEmpty { paths = [] }
        // One more than any pattern has: behind that, all look alike.
        for length in 0...maximumDepth - min(maximumDepth, segments.count) + 1 {
            let longer = fixed + Array(repeating: Self.unknown, count: length)
            if length > 0 { paths.append(longer) }
            paths.append(longer + [[]])
        }
        return paths.map(Self.join)
    }

    fileprivate var example: [UInt8] {
        let segments = self.segments.map { segment in
            if case .literal(let text) = segment { text } else { Array("x".utf8) }
        }
        return segments.isEmpty ? Array("/".utf8) : Self.join(segments)
    }

    fileprivate func commonPath(_ other: PathPattern) -> [UInt8]? {
        let (short, long) = segments.count <= other.segments.count ? (self, other) : (other, self)
        guard short.segments.count == long.segments.count || short.isOpen else { return nil }
        var common: [[UInt8]] = []
        for (one, another) in zip(short.segments, long.segments) {
            switch (one, another) {
            case (.literal(let text), .literal(let otherText)):
                guard text == otherText else { return nil }
                common.append(text)
            case (.literal(let text), let wild), (let wild, .literal(let text)):
                guard !text.isEmpty || wild == .any else { return nil }
                common.append(text)
            default: common.append(Array("x".utf8))
            }
        }
        for segment in long.segments.dropFirst(short.segments.count) {
            if case .literal(let text) = segment { common.append(text) } else { common.append(Array("x".utf8)) }
        }
        return common.isEmpty ? Array("/".utf8) : Self.join(common)
    }

    /// Whether every path that `other` matches is matched by this.
    fileprivate func covers(_ other: PathPattern) -> Bool {
        guard isOpen ? other.segments.count >= segments.count : other.segments.count == segments.count && !other.isOpen else {
            return false
        }
        for (index, (segment, otherSegment)) in zip(segments, other.segments).enumerated() {
            let isLast = index == other.segments.count - 1 && !other.isOpen
            switch (segment, otherSegment) {
            case (.any, _), (.capture, .capture): continue
            // Only the last segment of a path may be empty.
            case (.capture, .any): guard !isLast else { return false }
            case (.capture, .literal(let text)): guard !text.isEmpty else { return false }
            case (.literal, _): guard segment == otherSegment else { return false }
            }
        }
        return true
    }
}
