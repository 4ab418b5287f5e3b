import JSON
import Testing

@Test func `JSON can be written as literals`() throws {
    let value: JSONValue = ["sub": "ada", "age": -7, "admin": true, "roles": ["a", ["b": []]], "none": .null, "empty": [:]]
    let text = #"{"sub":"ada","age":-7,"admin":true,"roles":["a",{"b":[]}],"none":null,"empty":{}}"#
    #expect(try value == JSONValue.parse(Array(text.utf8).span))
    let object: JSONObject = ["a": 1]
    #expect(object["a"] == 1)
}
