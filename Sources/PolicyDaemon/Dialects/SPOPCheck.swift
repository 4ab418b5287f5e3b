import Bytes
import HTTPMessage

/// A NOTIFY's payload: exactly one message `check`, whose arguments describe the request to judge.
///
/// | argument | what | HAProxy's sample |
/// | --- | --- | --- |
/// | `method` | string | `method` |
/// | `target` | string: path and query | `pathq` |
/// | `address` | IPv4 or IPv6; null where the client has none | `src` |
/// | `headers` | binary: names and values | `req.hdrs_bin` |
///
/// All headers in one argument rather than one argument for each, since a header that came more than once is there as often.
struct SPOPCheck {
    private var method = SPOPValue?.none
    private var target = SPOPValue?.none
    private var address = SPOPValue?.none
    private var headers = Range<Int>?.none

    /// - Throws: where this is not such a message: HAProxy is configured otherwise, and no other NOTIFY of it will be one.
    static func parse(_ bytes: Span<UInt8>, _ payload: Range<Int>) throws(SPOPError) -> SPOPCheck {
        var check = SPOPCheck()
        var reader = SPOPReader(payload)
        let name = bytes.extracting(try reader.string(bytes))
        guard name.equals("check") else {
            throw SPOPError(.frameInvalid, "a message \(name.text.debugDescription), accepted: one, whose name is check")
        }
        for _ in 0..<(try reader.byte(bytes)) {
            let name = bytes.extracting(try reader.string(bytes))
            try check.take(name, try reader.value(bytes))
        }
        guard reader.isAtEnd else { throw SPOPError(.frameInvalid, "a NOTIFY with more than one message, accepted: one, check") }
        guard check.method != nil, check.target != nil, check.address != nil, check.headers != nil else {
            throw SPOPError(.frameInvalid, "a message check without all of method, target, address and headers")
        }
        return check
    }

    private mutating func take(_ name: Span<UInt8>, _ value: SPOPValue) throws(SPOPError) {
        switch name.count {
        case 6 where method == nil && name.equals("method"): method = value
        case 6 where target == nil && name.equals("target"): target = value
        case 7 where address == nil && name.equals("address"): address = value
        case 7 where headers == nil && value.binary != nil && name.equals("headers"): headers = value.binary
        default:
            throw SPOPError(
                .frameInvalid,
                "an argument \(name.text.debugDescription) that is unknown, repeated or of another type, "
                    + "accepted: method, target, address, and headers as req.hdrs_bin")
        }
    }

    /// Fills `draft` with the request to judge.
    ///
    /// - Parameter bytes: those that were parsed.
    /// - Throws: `SPOPError` for headers that HAProxy would not have written so, which ends the connection; `MessageRefusal` for a request
    ///   that is to be denied.
    func read(_ bytes: Span<UInt8>, into draft: RequestDraft) throws {
        draft.begin()
        guard case .string(let method) = method else { throw MessageRefusal("There is no method.") }
        // Where a target has no path, `pathq` has no value.
        guard case .string(let target) = target else { throw MessageRefusal("There is no path in the request target.") }
        try draft.setMethod(bytes.extracting(method))
        try draft.setAuthority(bytes.extracting(try readHeaders(bytes, into: draft)))
        try draft.setTarget(bytes.extracting(target))
        switch address {
        case .address(let range): draft.setClientAddress(binary: bytes.extracting(range))
        case .null: break
        default: throw MessageRefusal("The client's address is no IP address.")
        }
    }

    /// - Returns: where the value of the one `Host` lies; empty where there is none.
    private func readHeaders(_ bytes: Span<UInt8>, into draft: RequestDraft) throws -> Range<Int> {
        var host = 0..<0
        var count = 0
        var reader = SPOPReader(headers ?? 0..<0)
        while let (name, value) = try nextHeader(&reader, bytes) {
            if bytes.extracting(name).equalsIgnoringCase("host") {
                count += 1
                host = value
            }
            try draft.addHeader(bytes.extracting(name), bytes.extracting(value))
        }
        guard count <= 1 else { throw MessageRefusal("There is more than one Host.") }
        return host
    }

    /// The next header; nil at the pair of empty strings that ends them.
    private func nextHeader(_ reader: inout SPOPReader, _ bytes: Span<UInt8>) throws(SPOPError) -> (Range<Int>, Range<Int>)? {
        let name = try reader.string(bytes)
        let value = try reader.string(bytes)
        guard name.isEmpty else { return (name, value) }
        guard value.isEmpty, reader.isAtEnd else {
            throw SPOPError(.frameInvalid, "headers with a header of no name, or with bytes behind their end")
        }
        return nil
    }
}
