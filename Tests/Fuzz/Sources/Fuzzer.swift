import Bytes

/// libFuzzer: feeds a decoder with what it makes of the seeds, guided by which code that reaches.
enum Fuzzer {
    /// What is fed. libFuzzer calls a function of C, which has no context; it does so on this thread alone.
    private nonisolated(unsafe) static var decoder: any Decoding = Nothing()

    /// Returns when the time that the options say is over, or no more: a trap ends the process, and leaves the input in a file.
    static func run(_ decoder: any Decoding) -> CInt {
        unsafe Self.decoder = decoder
        // Without the program's own name: libFuzzer skips the first one, here the decoder's.
        var count = CommandLine.argc - 1
        var arguments = unsafe CommandLine.unsafeArgv + 1
        return unsafe runDriver(&count, &arguments) { bytes, count in
            guard let bytes = unsafe bytes else { return 0 }
            unsafe Fuzzer.decoder.decode(Span(_unsafeStart: bytes, count: count))
            return 0
        }
    }

    private struct Nothing: Decoding {
        func decode(_ bytes: Span<UInt8>) {}
    }
}

/// https://llvm.org/docs/LibFuzzer.html, "Using libFuzzer as a library".
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt
