/// Keys as texts. One public key will do (RFC 8037 appendix A.2): what changes is its name.
enum KeyTexts {
    private static func key(_ id: String) -> String {
        #"{"kty":"OKP","crv":"Ed25519","kid":"\#(id)","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
    }

    static func set(_ ids: String...) -> String { #"{"keys":[\#(ids.map(key).joined(separator: ","))]}"# }

    /// A JWK Set with a symmetric key beside a public one.
    static func setWithSecret(_ id: String) -> String {
        #"{"keys":[{"kty":"oct","kid":"secret","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"},\#(key(id))]}"#
    }

    static let onlySecret = #"{"keys":[{"kty":"oct","kid":"secret","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"}]}"#

    static let pem = """
        -----BEGIN PUBLIC KEY-----
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
        -----END PUBLIC KEY-----
        """
}
