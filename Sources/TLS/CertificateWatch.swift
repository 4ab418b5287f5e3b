import EventLoop
import Logging

/// Looks at the certificates' files every second, on a thread of its own since files may keep their reader waiting.
public actor CertificateWatch {
    public nonisolated let loop: EventLoop
    public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

    private static let intervalMilliseconds: Int64 = 1000

    private var certificates: [ServerCertificates]
    private let logger: Logger
    private let thread: SystemThread
    private var isOver = false

    /// Begins to watch. Nil where there is nothing to.
    public init?(_ certificates: [ServerCertificates], logger: Logger) throws(SystemError) {
        guard !certificates.isEmpty else { return nil }
        let loop = try EventLoop()
        self.loop = loop
        self.certificates = certificates
        self.logger = logger
        thread = try SystemThread(name: "certificates") { loop.run() }
        Task(executorPreference: loop) { await self.run() }
    }

    private func run() async {
        let waiter = Waiter(loop: loop)
        while !isOver {
            look(isForced: false)
            await waiter.sleep(milliseconds: Self.intervalMilliseconds, unless: { self.isOver })
        }
        loop.stop()
    }

    /// Reads the files, changed or not where `isForced`, and says what came of it.
    private func look(isForced: Bool) {
        for certificates in certificates {
            switch certificates.look(isForced: isForced) {
            case .unchanged: break
            case .read: logger.notice("the certificates of \(certificates.listener) have been read again")
            case .refused(let failure): logger.error("the certificates of \(certificates.listener) stay as they were: \(failure)")
            }
        }
    }

    /// Has all files read again, changed or not: for a reload.
    public nonisolated func lookNow() {
        Task(executorPreference: loop) { await self.look(isForced: true) }
    }

    /// Has others be watched instead.
    public nonisolated func watch(_ certificates: [ServerCertificates]) {
        Task(executorPreference: loop) { await self.replace(certificates) }
    }

    private func replace(_ certificates: [ServerCertificates]) { self.certificates = certificates }

    /// Ends the watch, and waits for that.
    public nonisolated func stop() {
        Task(executorPreference: loop) { await self.end() }
        thread.join()
    }

    private func end() {
        isOver = true
        loop.wakeAll()
    }
}
