// A decision as tests and tools look at it.

extension Decision {
    public var isAllowed: Bool { denial == nil }

    /// What becomes of a header of the request on its way to the upstream; nil where it isn't touched.
    ///
    /// - Parameter name: in lower case.
    public func requestHeader(_ name: String) -> HeaderChange? { last(name, prepared?.requestHeaders, changes.requestHeaders) }

    /// What a rule says of a header of the answer, be that the upstream's or a denial; nil where it isn't touched.
    ///
    /// - Parameter name: in lower case.
    public func responseHeader(_ name: String) -> HeaderChange? {
        isAllowed
            ? last(name, prepared?.responseHeaders, changes.responseHeaders) : last(name, changes.responseHeaders, denial?.headers ?? [])
    }

    /// Changes apply in their order.
    private func last(_ name: String, _ first: [HeaderChange]?, _ second: [HeaderChange]) -> HeaderChange? {
        ((first ?? []) + second).last { $0.name.elementsEqual(name.utf8) }
    }
}

extension HeaderChange {
    /// The value as text; nil where the header is removed.
    public var text: String? { value.map { String(decoding: $0, as: UTF8.self) } }
}

extension Denial {
    public var bodyText: String { String(decoding: body, as: UTF8.self) }
}
