import ArgumentParser

/// Which daemon's, or proxy's, admin listener a command asks.
struct AdminOptions: ParsableArguments {
    @Option(help: "The admin listener, as admin.listen says: 127.0.0.1:9464, [::1]:9464 or unix:/path.")
    var admin = AdminPlace(argument: "127.0.0.1:9464")!
}
