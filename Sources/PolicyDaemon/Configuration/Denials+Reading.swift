import Policy
import Settings

/// How denials are answered, as it is configured: by kind, or all of them in one format.
struct DenialSettings {
    private enum Format: String, CaseIterable {
        case json
        case problem
    }

    private var format = Format.json
    private var responses: [DenialKind: DenialResponse] = [:]

    static let usual = DenialSettings()

    var denials: Denials { responses.isEmpty ? .usual : Denials(responses) }

    /// Reads `denials`. A kind that is given is given whole; the others stay as they are, but for another format.
    ///
    /// - Parameters:
    ///   - standard: what holds where the section says nothing.
    ///   - path: the rule's, whose captures may stand in templates.
    static func read(_ section: Section, inheriting standard: DenialSettings = .usual, path: PathPattern? = nil) -> DenialSettings {
        let denials = section.section("denials")
        var settings = standard
        denials.read("format", .choice, into: &settings.format)
        for kind in DenialKind.allCases {
            let options = denials.section(kind.rawValue)
            var status: Int?
            options.read("status", .integer(400...599), into: &status)
            var (body, contentType): (String?, String?)
            options.read("body", .text, into: &body)
            options.read("content_type", .line, into: &contentType)
            let headers = HeaderOperation.readAll(options, set: "headers", remove: nil, path: path, isDenial: true)
            if (body == nil) != (contentType == nil) {
                options.report("has one of body and content_type", accepted: "both, or neither")
            }
            guard denials.has(kind.rawValue) || settings.format != standard.format else { continue }
            let form: DenialResponse.Body = if let body, let contentType {
                .custom(contentType: contentType, text: body)
            } else {
                settings.format == .problem ? .problem : .json
            }
            let response = options.attempt { () throws(RuleMistake) in
                try DenialResponse(kind, status: status, body: form, headers: headers, path: path)
            }
            if let response { settings.responses[kind] = response }
        }
        return settings
    }
}
