import COpenSSL

/// SHA-1 (FIPS 180-4), for protocols that want it for no secret of theirs: 20 bytes; nil where this OpenSSL has none.
public func sha1(_ bytes: [UInt8]) -> [UInt8]? {
    var digest = [UInt8](repeating: 0, count: 20)
    return unsafe EVP_Digest(bytes, bytes.count, &digest, nil, EVP_sha1(), nil) == 1 ? digest : nil
}
