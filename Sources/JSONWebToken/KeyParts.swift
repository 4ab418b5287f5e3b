/// What a public key consists of, and the private half where it is to sign.
enum KeyParts {
    /// Big-endian integers without leading zeros; `privateExponent` is empty in a public key.
    case rsa(modulus: [UInt8], exponent: [UInt8], privateExponent: [UInt8] = [])
    /// Coordinates of the curve's length; `d` is empty in a public key.
    case elliptic(EllipticCurve, x: [UInt8], y: [UInt8], d: [UInt8] = [])
    case edwards(EdwardsCurve, x: [UInt8], d: [UInt8] = [])

    var algorithms: Set<SignatureAlgorithm> {
        switch self {
        case .rsa: SignatureAlgorithm.rsa
        case .elliptic(let curve, _, _, _): [curve.algorithm]
        case .edwards: [.eddsa]
        }
    }

    var signatureBytes: Int {
        switch self {
        case .rsa(let modulus, _, _): modulus.count
        case .elliptic(let curve, _, _, _): curve.coordinateBytes * 2
        case .edwards(let curve, _, _): curve.signatureBytes
        }
    }
}

/// What an RSA key must be (RFC 7518 §3.3), within what OpenSSL verifies with.
enum RSABounds {
    /// OpenSSL verifies with nothing longer.
    static let modulusBits = 2048...16_384
    /// OpenSSL's bound for long moduli. An exponent as long as the modulus would make each verification as dear as a signature.
    static let maximumExponentBits = 64

    static func check(modulus: [UInt8], exponent: [UInt8]) throws(UnusableKey) {
        let bits = bitCount(modulus)
        guard modulusBits.contains(bits) else {
            throw UnusableKey("an RSA key of \(bits) bits", accepted: "\(modulusBits.lowerBound) to \(modulusBits.upperBound)")
        }
        guard modulus.last.map({ $0 & 1 == 1 }) == true else { throw UnusableKey("an RSA key whose modulus is even") }
        guard exponent.last.map({ $0 & 1 == 1 }) == true, exponent != [1], bitCount(exponent) <= maximumExponentBits else {
            throw UnusableKey(
                "an RSA key whose exponent is even, 1 or too long", accepted: "an odd one from 3, of at most \(maximumExponentBits) bits")
        }
    }

    private static func bitCount(_ integer: [UInt8]) -> Int {
        guard let first = integer.first else { return 0 }
        return integer.count * 8 - first.leadingZeroBitCount
    }
}
