/// The two spellings of an ECDSA signature: JWS has both numbers at the curve's length, one behind the other (RFC 7518 §3.4),
/// OpenSSL has DER (RFC 3279 §2.2.3).
enum ECDSASignature {
    /// - Parameter raw: an even number of bytes.
    static func der(_ raw: [UInt8]) -> [UInt8] {
        let half = raw.count / 2
        var der: [UInt8] = []
        der.reserveCapacity(raw.count + 9)
        let (r, s) = (integer(raw[..<half]), integer(raw[half...]))
        let length = r.count + s.count
        der.append(0x30)
        // P-521's may need the long form.
        if length >= 0x80 { der.append(0x81) }
        der.append(UInt8(length))
        return der + r + s
    }

    /// - Parameter der: as OpenSSL writes it.
    static func raw(_ der: [UInt8], halfBytes: Int) -> [UInt8]? {
        var rest = der[...]
        guard rest.popFirst() == 0x30, let length = rest.popFirst() else { return nil }
        if length == 0x81 { rest = rest.dropFirst() }
        var raw: [UInt8] = []
        for _ in 0..<2 {
            guard rest.popFirst() == 0x02, let count = rest.popFirst() else { return nil }
            let number = rest.prefix(Int(count)).drop { $0 == 0 }
            guard number.count <= halfBytes else { return nil }
            raw += [UInt8](repeating: 0, count: halfBytes - number.count) + number
            rest = rest.dropFirst(Int(count))
        }
        return raw
    }

    private static func integer(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        let number = bytes.drop { $0 == 0 }
        // A number that begins with a set bit, or is 0, takes a zero byte in front.
        let needsZero = number.first.map { $0 >= 0x80 } ?? true
        return [0x02, UInt8(number.count + (needsZero ? 1 : 0))] + (needsZero ? [0] : []) + number
    }
}
