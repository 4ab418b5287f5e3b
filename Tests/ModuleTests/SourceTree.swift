import Foundation

/// The project's sources, as far as these tests look at them.
struct SourceTree {
    /// One target of Package.swift.
    struct Module {
        let name: String
        let floor: Int
        let dependencies: Set<String>
        let folder: URL
        /// Whether it stands in Sources: the stand-ins and the benchmarks don't.
        var isOfTrunk: Bool { folder.path.contains("/Sources/") }
    }

    /// One import line.
    struct Import: CustomStringConvertible {
        let module: Module
        let file: String
        let imported: String
        var description: String { "\(module.name)/\(file) imports \(imported)" }
    }

    let modules: [String: Module]
    let imports: [Import]

    static let shared = SourceTree()

    private init() {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let manifest = (try? String(contentsOf: root.appending(path: "Package.swift"), encoding: .utf8)) ?? ""
        let modules = Self.modules(in: manifest, root: root)
        self.modules = Dictionary(uniqueKeysWithValues: modules.map { ($0.name, $0) })
        imports = modules.flatMap(Self.imports)
    }

    /// Reads the targets and the floor that the comment above them states.
    private static func modules(in manifest: String, root: URL) -> [Module] {
        var modules: [Module] = []
        var floor = 0
        var statement = ""
        for line in manifest.components(separatedBy: "targets: [\n").dropFirst().joined().split(separator: "\n") {
            let line = line.trimmingCharacters(in: .whitespaces)
            // A target may take several lines, and ends where the next thing begins.
            if line.prefixMatch(of: /\/\/|module\(|program\(|\.systemLibrary\(|tests\(|\.testTarget\(/) != nil {
                if let module = module(in: statement, floor, root) { modules.append(module) }
                statement = ""
            }
            if let match = line.prefixMatch(of: /\/\/ Floor (\d)/) { floor = Int(match.1) ?? floor }
            statement += line
        }
        return modules
    }

    private static func module(in statement: String, _ floor: Int, _ root: URL) -> Module? {
        guard let head = statement.prefixMatch(of: /(?:module|program|\.systemLibrary)\((?:name: )?"([\w-]+)"/) else { return nil }
        let rest = statement[head.range.upperBound...]
        let path = rest.firstMatch(of: /path: "([\w\/-]+)"/).map { String($0.1) }
        let names = rest.matches(of: /"([\w-]+)"|\b(yams|logging|arguments)\b/).map { String($0.1 ?? $0.2!) }
        let name = String(head.1)
        return Module(
            name: name, floor: floor, dependencies: Set(names.filter { $0 != path }),
            folder: root.appending(path: path ?? "Sources/\(name)"))
    }

    private static func imports(of module: Module) -> [Import] {
        let line = /(?m)^[ \t]*(?:@\w+(?:\([^)\n]*\))? +)*(?:(?:public|package|internal|fileprivate|private) +)?import +(?:(?:struct|class|enum|protocol|func|var|let|typealias) +)?(\w+)/
        return files(of: module).flatMap { file in
            file.text.matches(of: line).map { Import(module: module, file: file.name, imported: String($0.1)) }
        }
    }

    /// Every Swift file of a module, by its path below the module's folder.
    static func files(of module: Module) -> [(name: String, text: String)] {
        guard let found = FileManager.default.enumerator(at: module.folder, includingPropertiesForKeys: nil) else { return [] }
        return found.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }.map { file in
            (file.lastPathComponent, (try? String(contentsOf: file, encoding: .utf8)) ?? "")
        }
    }
}
