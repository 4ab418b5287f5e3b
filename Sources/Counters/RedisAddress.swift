import TLS

/// Where a Redis or Valkey is, one server or many, and as whom to go there.
public struct RedisAddress: Sendable, Equatable, CustomStringConvertible {
    public enum Place: Sendable, Hashable, CustomStringConvertible {
        case tcp(host: String, port: Int)
        case unix(path: String)

        public var description: String {
            switch self {
            case .tcp(let host, let port): "\(host.contains(":") ? "[\(host)]" : host):\(port)"
            case .unix(let path): "unix:\(path)"
            }
        }
    }

    public enum Topology: Sendable, Equatable {
        /// One server.
        case single(Place)
        /// The server that sentinels, asked in this order, call the master of this name.
        case sentinel([Place], master: String)
        /// A cluster, which one of these servers at least knows.
        case cluster([Place])
    }

    public var topology: Topology
    public var user: String?
    public var password: String?
    /// Always 0 in a cluster, which has no other.
    public var database = 0
    /// As whom to go to the sentinels.
    public var sentinelUser: String?
    public var sentinelPassword: String?
    /// Nil for connections without TLS. Sentinels are talked to as servers are.
    public var tls: RedisTLS?

    public init(_ topology: Topology, user: String? = nil, password: String? = nil, database: Int = 0, tls: RedisTLS? = nil) {
        self.topology = topology
        self.user = user
        self.password = password
        self.database = database
        self.tls = tls
    }

    public init(place: Place, user: String? = nil, password: String? = nil, database: Int = 0) {
        self.init(.single(place), user: user, password: password, database: database)
    }

    /// For logs: without users and passwords.
    public var description: String {
        switch topology {
        case .single(let place):
            if case .unix = place { place.description } else { "\(place)/\(database)" }
        case .sentinel(let places, let master): "sentinels \(Self.list(places)), master \(master)/\(database)"
        case .cluster(let places): "cluster \(Self.list(places))"
        }
    }

    private static func list(_ places: [Place]) -> String { places.map(\.description).joined(separator: ",") }
}

/// How a server shows that it is the right one, and how we do.
public struct RedisTLS: Sendable, Equatable {
    /// A PEM file with the authorities that may have signed the servers' certificates; nil for the system's.
    public var authoritiesFile: String?
    /// PEM files with our own certificate and its key; both or none.
    public var certificateFile: String?
    public var keyFile: String?
    /// The name that every server's certificate is for; nil where it is for the host that is connected to.
    public var serverName: String?

    public init(
        authoritiesFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil, serverName: String? = nil
    ) {
        self.authoritiesFile = authoritiesFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.serverName = serverName
    }

    /// Reads the files, which are read again when connections are made.
    ///
    /// - Throws: which of them can't be used, and why.
    public func check() throws(TLSFailure) { _ = try context() }

    func context() throws(TLSFailure) -> TLSContext {
        try TLSContext(client: TLSClientSettings(
            authoritiesFile: authoritiesFile, certificateFile: certificateFile, keyFile: keyFile))
    }
}
