import COpenSSL

/// An `EVP_PKEY`. Never changed once made; OpenSSL counts its references, and what it caches in it, under locks of its own.
@safe final class OpenSSLKey: @unchecked Sendable {
    let pointer: OpaquePointer

    /// Takes over the reference.
    init(adopting pointer: OpaquePointer) { unsafe self.pointer = pointer }

    deinit { unsafe EVP_PKEY_free(pointer) }

    /// Refuses what is no key: an RSA key out of bounds, a point that is not on its curve.
    convenience init(_ parts: KeyParts) throws(UnusableKey) {
        let made: OpaquePointer?
        switch parts {
        case .rsa(let modulus, let exponent, let privateExponent):
            try RSABounds.check(modulus: modulus, exponent: exponent)
            unsafe made = Self.make(
                "RSA",
                numbers: [
                    (OSSL_PKEY_PARAM_RSA_N, modulus), (OSSL_PKEY_PARAM_RSA_E, exponent), (OSSL_PKEY_PARAM_RSA_D, privateExponent),
                ])
        case .elliptic(let curve, let x, let y, let d):
            // An uncompressed point (SEC 1 §2.3.3).
            unsafe made = Self.make("EC", group: curve.opensslName, point: [0x04] + x + y, numbers: [(OSSL_PKEY_PARAM_PRIV_KEY, d)])
        case .edwards(let curve, let x, let d):
            unsafe made =
                d.isEmpty
                ? EVP_PKEY_new_raw_public_key_ex(nil, curve.rawValue, nil, x, x.count)
                : EVP_PKEY_new_raw_private_key_ex(nil, curve.rawValue, nil, d, d.count)
        }
        guard let made = unsafe made else {
            ERR_clear_error()
            throw UnusableKey("a key that OpenSSL does not take", accepted: "numbers that make a key; a point on the curve")
        }
        unsafe self.init(adopting: made)
    }

    /// - Parameter numbers: big-endian; empty ones are left out.
    private static func make(
        _ type: String, group: String? = nil, point: [UInt8] = [], numbers: [(name: String, value: [UInt8])]
    ) -> OpaquePointer? {
        let parameters = OpenSSLParameters()
        if let group { parameters.add(OSSL_PKEY_PARAM_GROUP_NAME, text: group) }
        if !point.isEmpty { parameters.add(OSSL_PKEY_PARAM_PUB_KEY, octets: point) }
        let given = numbers.filter { !$0.value.isEmpty }
        for number in given { parameters.add(number.name, number: number.value) }
        let isPrivate = given.contains { [OSSL_PKEY_PARAM_PRIV_KEY, OSSL_PKEY_PARAM_RSA_D].contains($0.name) }
        let context = unsafe EVP_PKEY_CTX_new_from_name(nil, type, nil)
        defer { unsafe EVP_PKEY_CTX_free(context) }
        return unsafe parameters.withList { list in
            var key: OpaquePointer?
            guard unsafe EVP_PKEY_fromdata_init(context) == 1,
                unsafe EVP_PKEY_fromdata(context, &key, openssl_key_selection(isPrivate), list) == 1
            else { return nil }
            return unsafe key
        }
    }
}

extension OpenSSLKey {
    /// What a key that was read consists of.
    ///
    /// - Returns: nil for a key of the type RSASSA-PSS, whose parameters can't be had in parts.
    func publicParts() throws(UnusableKey) -> KeyParts? {
        switch typeName {
        case "RSA": return .rsa(modulus: try number(OSSL_PKEY_PARAM_RSA_N), exponent: try number(OSSL_PKEY_PARAM_RSA_E))
        case "RSA-PSS": return nil
        case "EC":
            var isExplicit: Int32 = 0
            unsafe EVP_PKEY_get_int_param(pointer, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &isExplicit)
            let name = groupName
            // RFC 5480 §2.1.1: named curves only; explicit parameters can name a base point for which anybody has the private key.
            guard isExplicit == 0, let curve = EllipticCurve.allCases.first(where: { $0.opensslName == name }) else {
                throw UnusableKey(
                    isExplicit == 0 ? "a key on the curve \(name)" : "a key with explicit curve parameters", accepted: "P-256, P-384, P-521")
            }
            return .elliptic(
                curve, x: try number(OSSL_PKEY_PARAM_EC_PUB_X, padTo: curve.coordinateBytes),
                y: try number(OSSL_PKEY_PARAM_EC_PUB_Y, padTo: curve.coordinateBytes))
        case "ED25519": return .edwards(.ed25519, x: try rawPublicKey(.ed25519))
        case "ED448": return .edwards(.ed448, x: try rawPublicKey(.ed448))
        case let other: throw UnusableKey("a key of the type \(other)", accepted: "RSA, RSA-PSS, EC, Ed25519 or Ed448")
        }
    }

    private var typeName: String { unsafe EVP_PKEY_get0_type_name(pointer).map { unsafe String(cString: $0) } ?? "unknown" }

    private var groupName: String {
        var length = 0
        var name = [CChar](repeating: 0, count: 64)
        guard unsafe EVP_PKEY_get_group_name(pointer, &name, name.count, &length) == 1 else { return "unknown" }
        return String(decoding: name.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// - Parameter byteCount: how long the big-endian number shall be; as short as it can be where that is 0.
    func number(_ name: String, padTo byteCount: Int = 0) throws(UnusableKey) -> [UInt8] {
        var integer: OpaquePointer?
        defer { unsafe BN_clear_free(integer) }
        guard unsafe EVP_PKEY_get_bn_param(pointer, name, &integer) == 1 else { throw UnusableKey("a key without its \(name)") }
        let length = max(byteCount, unsafe (Int(BN_num_bits(integer)) + 7) / 8)
        return unsafe [UInt8](unsafeUninitializedCapacity: length) { room, count in
            count = unsafe Int(max(0, BN_bn2binpad(integer, room.baseAddress, Int32(length))))
        }
    }

    private func rawPublicKey(_ curve: EdwardsCurve) throws(UnusableKey) -> [UInt8] {
        var length = curve.keyBytes
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: length) { room, count in
            count = unsafe EVP_PKEY_get_raw_public_key(pointer, room.baseAddress, &length) == 1 ? length : 0
        }
        guard bytes.count == curve.keyBytes else { throw UnusableKey("a key without a public half") }
        return bytes
    }
}
