import CLinux

/// A thread that runs one loop, or anything else that needs a thread of its own.
@safe public final class SystemThread: @unchecked Sendable {
    private let handle: pthread_t

    /// Starts a thread with the given name (15 bytes are shown) that runs `body` and ends.
    public init(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        let box = unsafe Unmanaged.passRetained(Body(name: name, run: body))
        var handle = pthread_t()
        let code = unsafe pthread_create(&handle, nil, { argument in
            let body = unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue()
            unsafe linux_name_thread(String(body.name.prefix(15)))
            body.run()
            return nil
        }, box.toOpaque())
        guard code == 0 else {
            unsafe box.release()
            throw SystemError("pthread_create", code: code)
        }
        self.handle = handle
    }

    /// Has the calling thread, which runs no loop, pause.
    public static func pause(milliseconds: UInt32) { usleep(milliseconds * 1000) }

    /// Lets it end by itself, where nobody is to wait for that.
    public func detach() { pthread_detach(handle) }

    /// Waits for the thread's end.
    public func join() { pthread_join(handle, nil) }

    private final class Body {
        let name: String
        let run: @Sendable () -> Void
        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }
}
