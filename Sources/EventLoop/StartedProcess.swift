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

    /// The absolute path that this process was started from, where there may be a newer program later. To be asked for at the start: a path
    /// that was relative is one from the working directory of now, by that directory's name and not by wherever it is moved.
    public static var programPath: String {
        let path = unsafe linux_program_path().map { unsafe String(cString: $0) } ?? ""
        let directory = unsafe getcwd(nil, 0)
        defer { unsafe free(directory) }
        return absolutePath(
            of: path, name: CommandLine.arguments.first ?? "", in: unsafe directory.map { unsafe String(cString: $0) } ?? "/")
    }

    /// - Parameters:
    ///   - path: what was executed (execve(2)).
    ///   - name: the first of the program's arguments.
    static func absolutePath(of path: String, name: String, in directory: String) -> String {
        // A service manager may have opened the program first (fexecve(3)). Then its name is all that there is.
        let path = path.isEmpty || path.hasPrefix("/dev/fd/") ? name : path
        return path.hasPrefix("/") ? path : "\(directory)/\(path)"
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
