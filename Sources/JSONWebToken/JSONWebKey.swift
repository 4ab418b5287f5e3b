import JSON

/// A key as JSON (RFC 7517, RFC 7518 §6, RFC 8037 §2), read strictly.
struct JSONWebKey {
    let members: JSONObject
    let id: String?

    init(_ members: JSONObject) throws(UnusableKey) {
        self.members = members
        id = try members.text("kid")
    }

    /// Its public half, or its secret. Private members are not looked at.
    func verificationKey() throws(UnusableKey) -> VerificationKey {
        try checkUse()
        let key: VerificationKey =
            switch try type() {
            case .octets: try VerificationKey(secret: try members.octets("k"), id: id)
            case .parts(let parts): try VerificationKey(parts, id: id)
            }
        guard let algorithm = try members.text("alg") else { return key }
        guard let admitted = SignatureAlgorithm(rawValue: algorithm), key.algorithms.contains(admitted) else {
            throw UnusableKey(
                "a key whose alg is \(algorithm.debugDescription)", accepted: "for its type: \(SignatureAlgorithm.names(key.algorithms))")
        }
        return key.narrowed(to: [admitted])
    }

    /// Both halves, for a key that signs.
    func privateParts() throws(UnusableKey) -> KeyParts {
        guard case .parts(let parts) = try type() else { throw UnusableKey("a secret where a private key should be") }
        let d = try members.octets("d")
        switch parts {
        case .rsa(let modulus, let exponent, _): return .rsa(modulus: modulus, exponent: exponent, privateExponent: d)
        case .elliptic(let curve, let x, let y, _): return .elliptic(curve, x: x, y: y, d: try exactly(curve.coordinateBytes, d, "d"))
        case .edwards(let curve, let x, _): return .edwards(curve, x: x, d: try exactly(curve.keyBytes, d, "d"))
        }
    }

    private enum KeyType {
        case octets
        case parts(KeyParts)
    }

    private func type() throws(UnusableKey) -> KeyType {
        switch try members.text("kty") {
        case "oct": return .octets
        case "RSA": return .parts(.rsa(modulus: try members.integer("n"), exponent: try members.integer("e")))
        case "EC":
            let curve: EllipticCurve = try curve()
            let (x, y) = (try members.octets("x"), try members.octets("y"))
            return .parts(
                .elliptic(curve, x: try exactly(curve.coordinateBytes, x, "x"), y: try exactly(curve.coordinateBytes, y, "y")))
        case "OKP":
            let curve: EdwardsCurve = try curve()
            return .parts(.edwards(curve, x: try exactly(curve.keyBytes, try members.octets("x"), "x")))
        case let other:
            throw UnusableKey(
                other.map { "a key of the type \($0.debugDescription)" } ?? "a key without kty", accepted: "oct, RSA, EC or OKP")
        }
    }

    private func curve<Curve: RawRepresentable<String> & CaseIterable>() throws(UnusableKey) -> Curve {
        let name = try members.text("crv")
        guard let curve = name.flatMap(Curve.init(rawValue:)) else {
            let accepted = Curve.allCases.map(\.rawValue).joined(separator: ", ")
            throw UnusableKey(name.map { "a key on the curve \($0.debugDescription)" } ?? "a key without crv", accepted: accepted)
        }
        return curve
    }

    private func exactly(_ count: Int, _ bytes: [UInt8], _ name: String) throws(UnusableKey) -> [UInt8] {
        guard bytes.count == count else { throw UnusableKey("a key whose \(name) has \(bytes.count) bytes", accepted: "\(count)") }
        return bytes
    }

    /// RFC 7517 §4.2 and §4.3: a key that says what it is for must be for signatures.
    private func checkUse() throws(UnusableKey) {
        if let use = try members.text("use"), use != "sig" {
            throw UnusableKey("a key for the use \(use.debugDescription)", accepted: "sig")
        }
        guard let operations = members["key_ops"] else { return }
        guard case .array(let elements) = operations else { throw UnusableKey("a key whose key_ops is no list") }
        let names = elements.compactMap(\.string)
        guard names.count == elements.count, Set(names).count == names.count else {
            throw UnusableKey("a key whose key_ops is no list of different strings")
        }
        let isPrivate = members["d"] != nil || members["k"] != nil
        guard names.contains("verify") || isPrivate && names.contains("sign") else {
            throw UnusableKey("a key whose key_ops has no verify: [\(names.joined(separator: ", "))]")
        }
    }
}

extension JSONObject {
    /// A member that must be a string where it is there.
    fileprivate func text(_ name: String) throws(UnusableKey) -> String? {
        guard let value = self[name] else { return nil }
        guard let text = value.string else { throw UnusableKey("a key whose \(name) is no string") }
        return text
    }

    fileprivate func octets(_ name: String) throws(UnusableKey) -> [UInt8] {
        guard let text = try text(name) else { throw UnusableKey("a key without \(name)") }
        let units = Array(text.utf8)
        guard let bytes = Base64URL.decode(units.span) else {
            throw UnusableKey("a key whose \(name) is not base64url", accepted: "RFC 7515 §2: no padding, no stray bits")
        }
        return bytes
    }

    /// A Base64urlUInt (RFC 7518 §2): as few bytes as the number takes.
    fileprivate func integer(_ name: String) throws(UnusableKey) -> [UInt8] {
        let bytes = try octets(name)
        guard let first = bytes.first, first != 0 else {
            throw UnusableKey("a key whose \(name) is empty or begins with a zero byte", accepted: "as few bytes as the number takes")
        }
        return bytes
    }
}
