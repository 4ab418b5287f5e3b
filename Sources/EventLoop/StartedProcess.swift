import CLinux

/// A descriptor to be passed to another process, and what it is called there.
public struct PassedDescriptor: Sendable {
    let number: Int32
    let name: String

    init(_ number: Int32, name: String) {
        self.number = number
        self.name = name
    }
}

/// A process that this one has started, as its sibling: the same parent waits for the end of both. So a service manager follows it as
/// it has followed this one.
public final class StartedProcess: Sendable {
    public let number: Int32
    /// A descriptor that stands for this process, and no other one that may get its number.
    let handle: Int32

    private init(_ number: Int32, handle: Int32) {
        self.number = number
        self.handle = handle
    }

    deinit { close(handle) }

    /// Whether this process is the first of its namespace, a container's as a rule.
    public static var isFirst: Bool { getpid() == 1 }

    /// Starts the program again that this process runs: from the same path, where there may be a newer one by now, with the same
    /// arguments and environment. Beside the standard ones it has the descriptors that it is passed, and no others.
    public static func startAgain(passing descriptors: [PassedDescriptor]) throws(SystemError) -> StartedProcess {
        let arguments = CommandLine.arguments
        let path = unsafe linux_program_path().map { unsafe String(cString: $0) } ?? ""
        // A service manager may have opened the program first (fexecve(3)). Then its name is all that there is.
        return try start(path.isEmpty || path.hasPrefix("/dev/fd/") ? arguments[0] : path, arguments, passing: descriptors)
    }

    /// Starts the program at `path`, which is told of what it is passed as sd_listen_fds(3) has it.
    ///
    /// - Parameter arguments: from its name on.
    public static func start(
        _ path: String, _ arguments: [String], passing descriptors: [PassedDescriptor]
    ) throws(SystemError) -> StartedProcess {
        // Moved out of the way of the numbers that they get.
        let minimum = PassedDescriptors.first + Int32(descriptors.count)
        var moved: [Int32] = []
        defer { for descriptor in moved { close(descriptor) } }
        for descriptor in descriptors {
            moved.append(try SystemError.check(linux_duplicate(descriptor.number, minimum), "duplicate a descriptor"))
        }
        let addressee = "LISTEN_PID="
        // First, with room for the number that it will have.
        let texts = [addressee + String(repeating: " ", count: 16), "LISTEN_FDS=\(descriptors.count)",
            "LISTEN_FDNAMES=\(descriptors.map(\.name).joined(separator: ":"))"] + environment.filter { !$0.hasPrefix("LISTEN_") }
        var handle: Int32 = -1
        let number = unsafe withCStrings(arguments) { arguments in
            unsafe withCStrings(texts) { texts in
                guard let place = unsafe texts[0] else { return -ENOMEM }
                return unsafe linux_start(
                    path, arguments, texts, place + addressee.utf8.count, moved, Int32(moved.count), &handle)
            }
        }
        return StartedProcess(try SystemError.check(number, "start \(path)"), handle: handle)
    }

    private static var environment: [String] {
        var texts: [String] = []
        var next = unsafe linux_environment()
        while let entry = unsafe next?.pointee {
            unsafe texts.append(String(cString: entry))
            unsafe next = next?.successor()
        }
        return texts
    }

    /// Lends the texts as C has them: an array of pointers with a null at its end.
    private static func withCStrings(
        _ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Int32
    ) -> Int32 {
        var pointers = unsafe texts.map { unsafe strdup($0) } + [nil]
        defer { for unsafe pointer in unsafe pointers { unsafe free(pointer) } }
        return unsafe body(&pointers)
    }

    /// Waits for its end, no longer than `milliseconds`; false where it runs on. Blocks.
    public func awaitEnding(milliseconds: Int32) -> Bool {
        while true {
            let found = linux_await_readable(handle, -1, milliseconds)
            if found != -EINTR { return found > 0 }
        }
    }

    /// Ends it at once, and waits for that. Harmless where it has ended.
    public func kill() {
        guard linux_end_process(handle) == 0 else { return }
        _ = awaitEnding(milliseconds: -1)
    }
}
