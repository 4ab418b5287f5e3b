import EventLoop
import Logging
import Settings
import TLS
import Telemetry

/// Swaps the configuration of a running proxy, whole or not at all. For the main thread, as the listening sockets are.
final class ProxyReloader {
    private(set) var setup: ProxySetup
    private(set) var admin: AdminListener?
    private(set) var watch: CertificateWatch?
    /// What the admin listener asks for.
    let requests = ReloadRequests()
    private var listeners: [ListenerSetup]
    private let sockets: ListeningSockets
    private let workers: [ProxyWorker]
    private let keeper: UpstreamKeeper
    private let readAgain: @Sendable () throws(InvalidConfiguration) -> ProxyConfiguration
    private var logger: Logger

    /// Opens the admin listener, and begins to watch the certificates.
    init(
        _ setup: ProxySetup, at entrances: [Entrance], of sockets: ListeningSockets, workers: [ProxyWorker], keeper: UpstreamKeeper,
        readAgain: @escaping @Sendable () throws(InvalidConfiguration) -> ProxyConfiguration
    ) throws {
        self.setup = setup
        self.sockets = sockets
        self.workers = workers
        self.keeper = keeper
        self.readAgain = readAgain
        logger = setup.logger
        listeners = entrances.map(\.setup)
        watch = try CertificateWatch(listeners.compactMap(\.certificates), logger: logger)
        admin = try makeAdmin(setup)
    }

    /// Reads the configuration and has every worker begin requests under it. What is in flight is finished under the one before.
    ///
    /// - Returns: nil, or why the old configuration stays.
    func reload() -> String? {
        do {
            let next = try setup.replaced(by: try readAgain())
            try sockets.replace { try adopt(next) }
            let level = next.configuration.logLevel
            // Said if it is worth a line by either of the two.
            logger.logLevel = min(level, logger.logLevel)
            logger.notice("reloaded: \(next.configuration.routes.count) routes")
            logger.logLevel = level
            return nil
        } catch {
            logger.error("not reloaded, the configuration before is still in force:\n\(error)")
            return "\(error)"
        }
    }

    /// - Throws: before anything has changed.
    private func adopt(_ next: ProxySetup) throws {
        var next = next
        let entrances = try Entrance.all(in: next.configuration, of: sockets, replacing: listeners)
        let (certificates, admin) = (entrances.compactMap(\.setup.certificates), try followingAdmin(next))
        do {
            if watch == nil { watch = try CertificateWatch(certificates, logger: logger) }
            if admin !== self.admin { try admin?.start() }
            if next.configuration.accessLogPath != setup.configuration.accessLogPath {
                try next.logWriter.move(to: next.configuration.accessLogPath)
            }
            try declareMetrics(of: &next)
        } catch {
            if admin !== self.admin { admin?.retire() }
            throw error
        }
        for worker in workers { Task(executorPreference: worker.loop) { [next] in await worker.adopt(next, entrances) } }
        Task(executorPreference: keeper.loop) { [keeper, next] in await keeper.adopt(next.upstreams) }
        watch?.watch(certificates)
        next.connections.setMaximum(next.configuration.limits.connections)
        next.streams.setMaximum(next.configuration.limits.mostRequests)
        if admin !== self.admin { replaceAdmin(by: admin) }
        tellOfChanges(next.configuration)
        (setup, listeners) = (next, entrances.map(\.setup))
    }

    /// The last that can fail: what is declared replaces what the workers count by.
    private func declareMetrics(of next: inout ProxySetup) throws {
        do {
            try next.declareMetrics()
        } catch {
            try? next.logWriter.move(to: setup.configuration.accessLogPath)
            throw error
        }
    }

    // MARK: The admin listener

    private func makeAdmin(_ setup: ProxySetup) throws -> AdminListener? {
        guard let address = setup.configuration.admin, let observation = setup.observation else { return nil }
        let routes = [.metrics(observation.registry), .live, observation.readiness.route, .reload { [requests] in requests.ask() }]
        return try AdminListener(on: address, of: sockets, routes: routes, logger: logger)
    }

    /// The admin listener of another configuration: the present one, where its address is the same.
    private func followingAdmin(_ next: ProxySetup) throws -> AdminListener? {
        guard let admin, let address = next.configuration.admin, address == setup.configuration.admin else { return try makeAdmin(next) }
        _ = try address.listen(of: sockets)
        return admin
    }

    /// The one before may be about to answer who has asked for this, so that nothing waits for its end.
    private func replaceAdmin(by admin: AdminListener?) {
        self.admin?.retire()
        self.admin = admin
        if let admin { logger.notice("metrics at \(admin.address)") }
    }

    // MARK: What is said

    private func tellOfChanges(_ next: ProxyConfiguration) {
        let former = setup.configuration
        if next.allListeners.map(\.url) != former.allListeners.map(\.url) {
            logger.notice("listening on \(next.allListeners.map(\.url).joined(separator: ", "))")
        }
        // A connection can't move to another thread, so that one less would have to wait for its last client.
        if next.workers != workers.count { logger.warning("reloaded, but for what needs a restart: workers") }
    }
}
