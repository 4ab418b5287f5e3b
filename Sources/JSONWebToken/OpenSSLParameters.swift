import COpenSSL

/// A list of `OSSL_PARAM`s with the memory that they point to, names included: OpenSSL copies none of it.
@safe final class OpenSSLParameters {
    private var list: [OSSL_PARAM] = unsafe []
    private var memory: [UnsafeMutableRawBufferPointer] = unsafe []

    deinit {
        for unsafe block in unsafe memory {
            // Private keys are among them.
            unsafe OPENSSL_cleanse(block.baseAddress, block.count)
            unsafe block.deallocate()
        }
    }

    func add(_ name: String, text: String) {
        unsafe list.append(OSSL_PARAM_construct_utf8_string(keep(name).baseAddress, keep(text).baseAddress, 0))
    }

    func add(_ name: String, octets: [UInt8]) {
        let block = unsafe keep(octets)
        unsafe list.append(OSSL_PARAM_construct_octet_string(keep(name).baseAddress, block.baseAddress, block.count))
    }

    /// - Parameter number: big-endian.
    func add(_ name: String, number: [UInt8]) {
        let isLittleEndian = 1.littleEndian == 1
        let block = unsafe keep(isLittleEndian ? number.reversed() : number)
        unsafe list.append(
            OSSL_PARAM_construct_BN(
                keep(name).baseAddress, block.baseAddress?.assumingMemoryBound(to: UInt8.self), block.count))
    }

    /// Ends the list and lends it.
    func withList<Result>(_ body: (UnsafeMutablePointer<OSSL_PARAM>?) -> Result) -> Result {
        var ended = unsafe list + [OSSL_PARAM_construct_end()]
        return unsafe ended.withUnsafeMutableBufferPointer { unsafe body($0.baseAddress) }
    }

    private func keep(_ bytes: [UInt8]) -> UnsafeMutableRawBufferPointer {
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
        unsafe block.copyBytes(from: bytes)
        unsafe memory.append(block)
        return unsafe block
    }

    private func keep(_ text: String) -> UnsafeMutableBufferPointer<CChar> {
        unsafe keep(text.utf8 + [0]).assumingMemoryBound(to: CChar.self)
    }
}
