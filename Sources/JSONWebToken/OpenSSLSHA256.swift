import Bytes
import COpenSSL

/// A SHA-256 digest (FIPS 180-4): how a secret is kept that is only ever compared.
@safe public struct SHA256Digest: Hashable, Sendable {
    public static let byteCount = 32

    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// The digest of `bytes`.
    public init(of bytes: Span<UInt8>) {
        let isDone = unsafe bytes.withUnsafeBufferPointer { bytes in
            unsafe withUnsafeMutableBytes(of: &words) { room in
                unsafe EVP_Digest(bytes.baseAddress, bytes.count, room.baseAddress, nil, OpenSSLDigest.fetched(.sha256).pointer, nil) == 1
            }
        }
        // A digest that could not be made must equal no other.
        guard isDone else { fatalError("OpenSSL has no SHA-256") }
    }

    /// Reads 64 hexadecimal digits of either case. Nil for anything else.
    public init?(hexadecimal text: String) {
        let digits = Array(text.utf8)
        guard digits.count == Self.byteCount * 2 else { return nil }
        for index in 0..<Self.byteCount {
            guard let high = digits[index * 2].hexadecimalValue, let low = digits[index * 2 + 1].hexadecimalValue else { return nil }
            unsafe withUnsafeMutableBytes(of: &words) { unsafe $0[index] = high << 4 | low }
        }
    }

    /// 64 hexadecimal digits in lower case, as ASCII.
    public var hexadecimal: [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        return unsafe withUnsafeBytes(of: words) { bytes in
            unsafe bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 0xF)]] }
        }
    }

    /// Compares in a time that does not tell where two digests differ.
    public static func == (left: SHA256Digest, right: SHA256Digest) -> Bool {
        unsafe withUnsafeBytes(of: left.words) { left in
            unsafe withUnsafeBytes(of: right.words) { right in
                unsafe CRYPTO_memcmp(left.baseAddress, right.baseAddress, byteCount) == 0
            }
        }
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
        hasher.combine(words.2)
        hasher.combine(words.3)
    }
}
