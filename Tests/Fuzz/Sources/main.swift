import Glibc

// fuzz DECODER [OPTIONS AND DIRECTORIES OF LIBFUZZER]; without any, the decoders' names. Tests/Fuzz/run builds and runs this.
guard CommandLine.arguments.count > 1 else {
    for name in Decoder.names { print(name) }
    exit(0)
}
guard let decoder = try Decoder.named(CommandLine.arguments[1]) else {
    print("\(CommandLine.arguments[1]) is no decoder; accepted is one of \(Decoder.names.joined(separator: ", "))")
    exit(2)
}
exit(Fuzzer.run(decoder))
