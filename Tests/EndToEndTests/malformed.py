"""Requests that two parsers could read differently, and some that are only odd: raw bytes, by what is wrong with them.

`AUTH` stands where a valid token's field goes, so that each can be sent with and without one."""

from wire import AUTH, END, HOST

GET = b"GET /api/projects HTTP/1.1\r\n"
POST = b"POST /api/projects HTTP/1.1\r\n"


def get(*lines, start=GET, body=b""):
    return start + HOST + AUTH + b"".join(lines) + END + body


def post(*lines, body=b""):
    return POST + HOST + AUTH + b"".join(lines) + END + body


def target(path):
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + AUTH + END


def host(*lines, start=GET):
    return start + AUTH + b"".join(lines) + END


SMUGGLED = b"GET /api/users/smuggled HTTP/1.1\r\nHost: gateway\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

FRAMING = {
    "CL.TE": post(b"Content-Length: 6\r\n", CHUNKED, body=b"0\r\n\r\nG" + SMUGGLED),
    "TE.CL": post(CHUNKED, b"Content-Length: 4\r\n", body=b"5c\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"),
    "both lengths on a GET": get(b"Content-Length: 0\r\n", CHUNKED, body=b"0\r\n\r\n"),
    "CL and TE identity": post(b"Content-Length: 2\r\n", b"Transfer-Encoding: identity\r\n", body=b"ab"),
    "CL.TE with TE in odd case": post(b"content-length: 6\r\n", b"tRANSFER-eNCODING: CHUNKED\r\n", body=b"0\r\n\r\nG"),
    "TE.TE identity behind": post(b"Transfer-Encoding: chunked, identity\r\n", body=b"0\r\n\r\n"),
    "TE.TE identity before": post(b"Transfer-Encoding: identity, chunked\r\n", body=b"0\r\n\r\n"),
    "TE.TE in two fields": post(CHUNKED, b"Transfer-Encoding: identity\r\n", body=b"0\r\n\r\n"),
    "TE.TE in two fields, chunked last": post(b"Transfer-Encoding: x\r\n", CHUNKED, body=b"0\r\n\r\n"),
    "TE chunked twice": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "TE chunked, chunked": post(b"Transfer-Encoding: chunked, chunked\r\n", body=b"0\r\n\r\n"),
    "TE with an empty element before": post(b"Transfer-Encoding: , chunked\r\n", body=b"0\r\n\r\n"),
    "TE with an empty element behind": post(b"Transfer-Encoding: chunked,\r\n", body=b"0\r\n\r\n"),
    "TE gzip": post(b"Transfer-Encoding: gzip\r\n", body=b"ab"),
    "TE gzip, chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", body=b"0\r\n\r\n"),
    "TE xchunked": post(b"Transfer-Encoding: xchunked\r\n", body=b"0\r\n\r\n"),
    "TE chunkedx": post(b"Transfer-Encoding: chunkedx\r\n", body=b"0\r\n\r\n"),
    "TE chunked with a parameter": post(b"Transfer-Encoding: chunked;q=1\r\n", body=b"0\r\n\r\n"),
    "TE quoted": post(b'Transfer-Encoding: "chunked"\r\n', body=b"0\r\n\r\n"),
    "TE empty": post(b"Transfer-Encoding:\r\n", body=b"0\r\n\r\n"),
    "TE identity": post(b"Transfer-Encoding: identity\r\n"),
    "TE with a vertical tab": post(b"Transfer-Encoding: \x0bchunked\r\n", body=b"0\r\n\r\n"),
    "TE with a NUL": post(b"Transfer-Encoding: chunked\x00\r\n", body=b"0\r\n\r\n"),
    "TE with a no-break space": post(b"Transfer-Encoding: \xa0chunked\r\n", body=b"0\r\n\r\n"),
    "TE folded": post(b"Transfer-Encoding:\r\n chunked\r\n", body=b"0\r\n\r\n"),
    "TE with a space before its colon": post(b"Transfer-Encoding : chunked\r\n", body=b"0\r\n\r\n"),
    "TE with a tab before its colon": post(b"Transfer-Encoding\t: chunked\r\n", body=b"0\r\n\r\n"),
    "TE behind a bare LF": post(b"X: y\nTransfer-Encoding: chunked\r\n", body=b"0\r\n\r\n"),
    "TE behind a bare CR": post(b"X: y\rTransfer-Encoding: chunked\r\n", body=b"0\r\n\r\n"),
    "TE behind a space": post(b"X: y\r\n Transfer-Encoding: chunked\r\n", body=b"0\r\n\r\n"),
    "TE in HTTP/1.0": b"POST /api/projects HTTP/1.0\r\n" + HOST + AUTH + CHUNKED + END + b"0\r\n\r\n",
    "TE and CL in HTTP/1.0": b"POST /api/projects HTTP/1.0\r\n" + HOST + AUTH + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "CLs that differ": post(b"Content-Length: 2\r\n", b"Content-Length: 3\r\n", body=b"abc"),
    "CLs that differ in one field": post(b"Content-Length: 2, 3\r\n", body=b"abc"),
    "CL list of the same": post(b"Content-Length: 5, 5\r\n", body=b"abcde"),
    "CL with a leading comma": post(b"Content-Length: ,5\r\n", body=b"abcde"),
    "CL +5": post(b"Content-Length: +5\r\n", body=b"abcde"),
    "CL -5": post(b"Content-Length: -5\r\n", body=b"abcde"),
    "CL -0": post(b"Content-Length: -0\r\n"),
    "CL 0x5": post(b"Content-Length: 0x5\r\n", body=b"abcde"),
    "CL 5a": post(b"Content-Length: 5a\r\n", body=b"abcde"),
    "CL 5.0": post(b"Content-Length: 5.0\r\n", body=b"abcde"),
    "CL 5e0": post(b"Content-Length: 5e0\r\n", body=b"abcde"),
    "CL 1 2": post(b"Content-Length: 1 2\r\n", body=b"abcdefghijkl"),
    "CL with a tab inside": post(b"Content-Length: 1\t2\r\n", body=b"abcdefghijkl"),
    "CL 5;": post(b"Content-Length: 5;\r\n", body=b"abcde"),
    "CL quoted": post(b'Content-Length: "5"\r\n', body=b"abcde"),
    "CL empty": post(b"Content-Length:\r\n"),
    "CL blank": post(b"Content-Length:  \t \r\n"),
    "CL 1_0": post(b"Content-Length: 1_0\r\n", body=b"abcdefghij"),
    "CL in Arabic digits": post("Content-Length: ٥\r\n".encode(), body=b"abcde"),
    "CL of 2^63": post(b"Content-Length: 9223372036854775808\r\n"),
    "CL of 2^64": post(b"Content-Length: 18446744073709551616\r\n"),
    "CL of 2^64 + 5": post(b"Content-Length: 18446744073709551621\r\n", body=b"abcde"),
    "CL of 30 digits": post(b"Content-Length: " + b"9" * 30 + b"\r\n"),
    "CL folded": post(b"Content-Length: 1\r\n 0\r\n", body=b"abcdefghij"),
    "CL with a space before its colon": post(b"Content-Length : 5\r\n", body=b"abcde"),
    "CL with a NUL": post(b"Content-Length: 5\x00\r\n", body=b"abcde"),
}

LINES = {
    "bare LF everywhere": b"GET /api/projects HTTP/1.1\nHost: gateway\n" + AUTH + b"\n",
    "bare LF behind the request line": b"GET /api/projects HTTP/1.1\nHost: gateway\r\n" + AUTH + END,
    "bare LF behind a field": get(b"X: y\n"),
    "bare LF as the empty line": GET + HOST + AUTH + b"\n",
    "LF CR": GET + HOST + AUTH + b"\n\r",
    "bare CR behind the request line": b"GET /api/projects HTTP/1.1\rHost: gateway\r\n" + AUTH + END,
    "bare CR behind a field": get(b"X: y\rY: z\r\n"),
    "bare CR before CRLF": get(b"X: y\r\r\n"),
    "bare CR in a name": get(b"X\rY: z\r\n"),
    "bare CR as the empty line": GET + HOST + AUTH + b"\r\r\n",
    "bare CR before the empty line": GET + HOST + AUTH + b"\rX: y\r\n\r\n",
    "CR CR LF behind the request line": b"GET /api/projects HTTP/1.1\r\r\nHost: gateway\r\n" + AUTH + END,
    "obs-fold with a space": get(b"X: y\r\n z\r\n"),
    "obs-fold with a tab": get(b"X: y\r\n\tz\r\n"),
    "obs-fold with an empty continuation": get(b"X: y\r\n \r\n"),
    "a folded first line": GET + b" X: y\r\n" + HOST + AUTH + END,
    "a folded first line with a tab": GET + b"\tX: y\r\n" + HOST + AUTH + END,
    "a space before the colon": get(b"X : y\r\n"),
    "a tab before the colon": get(b"X\t: y\r\n"),
    "a space before the colon of Host": host(b"Host : gateway\r\n"),
    "a space in a name": get(b"X Y: z\r\n"),
    "no colon": get(b"X\r\n"),
    "no colon, with text": get(b"no colon here\r\n"),
    "an empty name": get(b": y\r\n"),
    "only a colon": get(b":\r\n"),
    "a second request line among the fields": get(b"GET /api/users HTTP/1.1\r\n"),
    "a name in parentheses": get(b"(X): y\r\n"),
    "a name with a slash": get(b"X/Y: z\r\n"),
    "a name with a brace": get(b"X{: z\r\n"),
    "a name with an @": get(b"X@Y: z\r\n"),
    "a name in quotes": get(b'"X": y\r\n'),
    "a name with a comma": get(b"X,Y: z\r\n"),
    "a name with a semicolon": get(b"X;Y: z\r\n"),
    "a name with a backslash": get(b"X\\Y: z\r\n"),
    "a name with an equals sign": get(b"X=Y: z\r\n"),
    "a name with a question mark": get(b"X?: z\r\n"),
    "a name in brackets": get(b"[X]: z\r\n"),
    "a name of UTF-8": get("Ä: z\r\n".encode()),
    "a name with 0xFF": get(b"X\xff: z\r\n"),
}
LINES |= {f"0x{byte:02x} in a name": get(b"X" + bytes([byte]) + b"Y: z\r\n")
    for byte in (0, 1, 8, 0x0b, 0x0c, 0x1b, 0x7f, 0x80)}
LINES |= {f"0x{byte:02x} in a value": get(b"X: a" + bytes([byte]) + b"b\r\n")
          for byte in range(0x20) if byte not in (9, 10, 13)} | {"0x7f in a value": get(b"X: a\x7fb\r\n")}
LINES |= {f"0x{byte:02x} at the start of a value": get(b"X:" + bytes([byte]) + b"b\r\n") for byte in (0, 0x0b, 0x0c)}
LINES |= {f"0x{byte:02x} at the end of a value": get(b"X: b" + bytes([byte]) + b"\r\n") for byte in (0, 0x0b, 0x0c, 0x7f)}

HOSTS = {
    "no Host": host(),
    "two Hosts": host(b"Host: gateway\r\nHost: gateway\r\n"),
    "two Hosts that differ": host(b"Host: gateway\r\nHost: evil\r\n"),
    "two Hosts in odd case": host(b"HOST: gateway\r\nhost: gateway\r\n"),
    "an empty Host and another": host(b"Host:\r\nHost: gateway\r\n"),
    "two Hosts in HTTP/1.0": host(b"Host: a\r\nHost: b\r\n", start=b"GET /api/projects HTTP/1.0\r\n"),
} | {
    f"Host {value.decode('latin-1')!r}": host(b"Host: " + value + b"\r\n") for value in (
        b"", b"a b", b"a/b", b"user@host", b"user:password@host", b"[::1", b"::1", b"[::1]x", b"[]", b"[zz::1]", b"[::1]:99999",
        b"a:99999", b"a:65536", b"a:80a", b"a:-1", b"a:+80", b"a:8 0", b":80", b":", b"a:80:80", b"a, a",
        b"http://gateway", b"gateway?x", b"gateway#x", b"gate\\way", b"gate<way", b'"gateway"', b"a%", b"a%zz", b"a\tb",
        b"\xe4", "höst".encode(), b"a^b", b"a|b", b"{a}", b"a:80/", b"a]", b"[a", b"a;b c")
}

TARGETS = {
    "dot segment": b"/api/projects/./x", "dot segments": b"/api/projects/../users", "dots at the start": b"/../api/projects",
    "dots at the end": b"/api/projects/..", "a dot at the end": b"/api/projects/.", "only dots": b"/..", "only a dot": b"/.",
    "dots beyond the root": b"/api/../../../etc/passwd",
    "dots before a query": b"/api/projects/..?x=1",
    "escaped dots": b"/api/projects/%2e%2e/users", "escaped dots, upper": b"/api/projects/%2E%2E/users",
    "half escaped dots": b"/api/projects/.%2e/users", "half escaped dots, other half": b"/api/projects/%2e./users",
    "an escaped dot": b"/api/projects/%2e/x", "an escaped dot at the end": b"/api/projects/%2e",
    "dots with a parameter": b"/api/projects/..;/users", "a dot with a parameter": b"/api/projects/.;x/y",
    "an empty segment": b"/api//projects", "an empty segment at the start": b"//api/projects", "only slashes": b"//",
    "an authority without a scheme": b"//evil/api/projects", "an empty segment at the end": b"/api/projects//",
    "an empty segment before a query": b"/api/projects//?x=1", "three slashes": b"/api/projects///x",
    "an escaped slash": b"/api/projects%2fx", "an escaped slash, upper": b"/api/projects%2Fx",
    "escaped slash and dots": b"/api/projects/..%2fusers", "an escaped slash at the start": b"/%2fapi/projects",
    "an escaped backslash": b"/api/projects%5cx", "an escaped backslash, upper": b"/api/projects%5Cx",
    "an escaped NUL": b"/api/projects/%00", "an escaped NUL behind a name": b"/api/projects%00.html",
    "an escaped LF": b"/api/projects/%0a", "an escaped CR": b"/api/projects/%0d%0aX:y", "an escaped tab": b"/api/projects/%09",
    "an escaped 0x7f": b"/api/projects/%7f", "an escaped 0x1f": b"/api/projects/%1f",
    "a doubled escape of a slash": b"/api/projects%252fx", "the same, upper": b"/api/projects%252Fx",
    "a doubled escape of a dot": b"/api/projects/%252e%252e/users", "the same dot, upper": b"/api/projects/%252E/x",
    "a doubled escape of a backslash": b"/api/projects%255cx", "a doubled escape of a NUL": b"/api/projects/%2500",
    "a tripled escape of a slash": b"/api/projects%25252fx", "a tripled escape of a dot": b"/api/projects/%25252e",
    "an escape inside an escape": b"/api/projects/%2%66x",
    "an escaped percent before escaped digits": b"/api/projects/%25%32%66x",
    "an escaped percent before a half escaped pair": b"/api/projects/%252%65",
    "a broken escape": b"/api/projects/%zz", "a broken escape, one digit": b"/api/projects/%2",
    "a lone percent": b"/api/projects/%",
    "a percent in the middle": b"/api/projects/100%/x", "a broken second digit": b"/api/projects/%2g",
    "a broken %u escape": b"/api/projects/%u002e",
    "a signed escape": b"/api/projects/%+2f", "a spaced escape": b"/api/projects/%-1",
    "a backslash": b"/api\\projects", "a backslash and dots": b"/api/projects/..\\users",
    "a backslash at the start": b"\\api\\projects",
    "a byte of 0x80": b"/api/projects/\x80", "a byte of 0xff": b"/api/projects/\xff", "UTF-8": "/api/projects/ä".encode(),
    "an overlong slash": b"/api/projects/\xc0\xaf", "an overlong dot": b"/api/projects/\xc0\xae\xc0\xae",
    "a byte of 0x80 in the query": b"/api/projects?x=\x80", "UTF-8 in the query": "/api/projects?x=ä".encode(),
    "a NUL in the query": b"/api/projects?x=\x00", "a fragment": b"/api/projects#x",
    "a fragment in the query": b"/api/projects?a#x",
    "a tab in the query": b"/api/projects?x=\ty", "a space in the query": b"/api/projects?x= y",
    "a 0x7f in the query": b"/api/projects?x=\x7f",
    "a broken escape behind dots": b"/api/projects/..%",
    "no slash at the start": b"api/projects", "a dot and no slash": b"./api/projects", "only a query": b"?x=1",
    "an asterisk with GET": b"*",
    "an asterisk and more": b"*/api/projects", "an empty target": b"", "an authority form": b"gateway:80",
    "absolute-form of another host": b"http://evil/api/projects",
    "absolute-form with another port": b"http://gateway:81/api/projects",
    "absolute-form with userinfo": b"http://user@gateway/api/projects",
    "absolute-form without an authority": b"http:///api/projects",
    "absolute-form with one slash": b"http:/api/projects", "absolute-form with no slash": b"http:api/projects",
    "absolute-form of another scheme": b"ftp://gateway/api/projects", "absolute-form of no scheme": b"://gateway/api/projects",
    "absolute-form of file": b"file:///api/projects", "absolute-form with a dot segment": b"http://gateway/api/../projects",
    "absolute-form with an empty segment": b"http://gateway//api/projects",
    "absolute-form with a backslash": b"http://gateway\\@evil/api",
    "absolute-form with a space": b"http://gate way/api/projects",
    "absolute-form with a longer host": b"http://gateway.evil/api/projects",
    "absolute-form with a shorter host": b"http://gatewa/api/projects",
    "absolute-form with a bad port": b"http://gateway:x/api/projects",
    "absolute-form with a fragment": b"http://gateway#/api/projects",
} | {f"0x{byte:02x} in the path": b"/api/projects/a" + bytes([byte]) + b"b" for byte in (0, 1, 9, 0x0b, 0x0c, 0x1f, 0x20, 0x7f)}

START_LINES = {
    "two spaces before the version": b"GET /api/projects  HTTP/1.1",
    "two spaces before the target": b"GET  /api/projects HTTP/1.1",
    "a tab before the target": b"GET\t/api/projects HTTP/1.1", "a tab before the version": b"GET /api/projects\tHTTP/1.1",
    "a space at the start": b" GET /api/projects HTTP/1.1", "a space at the end": b"GET /api/projects HTTP/1.1 ",
    "a tab at the end": b"GET /api/projects HTTP/1.1\t", "no version (HTTP/0.9)": b"GET /api/projects", "only a method": b"GET",
    "no method": b"/api/projects HTTP/1.1", "an empty method": b" /api/projects HTTP/1.1",
    "a method with a slash": b"GE/T /api/projects HTTP/1.1", "a method with a colon": b"GET: /api/projects HTTP/1.1",
    "a method with a NUL": b"GE\x00T /api/projects HTTP/1.1", "a method in parentheses": b"(GET) /api/projects HTTP/1.1",
    "a method with 0xff": b"GET\xff /api/projects HTTP/1.1", "a method with a comma": b"GET,POST /api/projects HTTP/1.1",
    "a method with an equals sign": b"GET=1 /api/projects HTTP/1.1", "a method in brackets": b"[GET] /api/projects HTTP/1.1",
    "a method in quotes": b'"GET" /api/projects HTTP/1.1',
    "a version in lower case": b"GET /api/projects http/1.1", "no minor version": b"GET /api/projects HTTP/1",
    "no dot": b"GET /api/projects HTTP/11",
    "three parts": b"GET /api/projects HTTP/1.1.1", "two minor digits": b"GET /api/projects HTTP/1.10",
    "a padded major": b"GET /api/projects HTTP/01.1",
    "a padded minor": b"GET /api/projects HTTP/1.01", "a comma in the version": b"GET /api/projects HTTP/1,1",
    "a letter": b"GET /api/projects HTTP/1.x",
    "a sign": b"GET /api/projects HTTP/+1.1", "nothing behind the slash": b"GET /api/projects HTTP/",
    "another protocol": b"GET /api/projects RTSP/1.0",
    "HTTPS": b"GET /api/projects HTTPS/1.1", "an x behind the version": b"GET /api/projects HTTP/1.1x",
    "HTTP 1.1": b"GET /api/projects HTTP 1.1",
    "a NUL in the version": b"GET /api/projects HTTP/1.\x00", "a NUL behind the version": b"GET /api/projects HTTP/1.1\x00",
    "four words": b"GET /api/projects HTTP/1.1 HTTP/1.1", "only spaces": b"   ", "a response": b"HTTP/1.1 200 OK",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "a lone NUL": b"\x00",
}

OTHERS = {
    "CONNECT authority": (405, b"CONNECT gateway:443 HTTP/1.1\r\nHost: gateway:443\r\n" + AUTH + END),
    "CONNECT path": (405, b"CONNECT /api/projects HTTP/1.1\r\n" + HOST + AUTH + END),
    "HTTP/2.0": (505, b"GET /api/projects HTTP/2.0\r\n" + HOST + AUTH + END),
    "HTTP/3.0": (505, b"GET /api/projects HTTP/3.0\r\n" + HOST + AUTH + END),
    "HTTP/0.9": (505, b"GET /api/projects HTTP/0.9\r\n" + HOST + AUTH + END),
    "the HTTP/2 preface, almost": (505, b"PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a request line over 8 KB": (414, target(b"/api/projects/" + b"a" * 8192)),
    "a request line of a megabyte": (414, target(b"/api/projects/" + b"a" * 1_000_000)),
    "a query over 8 KB": (414, target(b"/api/projects?" + b"a" * 8192)),
    "a method over 8 KB": (414, b"G" * 9000 + b" /api/projects HTTP/1.1\r\n" + HOST + AUTH + END),
    "a request line that never ends": (414, b"GET /" + b"a" * 20_000),
    "a field over 32 KB": (431, get(b"X: " + b"y" * 33_000 + b"\r\n")),
    "a field name over 32 KB": (431, get(b"X" * 33_000 + b": y\r\n")),
    "fields over 32 KB together": (431, get(*(b"X-%d: %s\r\n" % (i, b"y" * 1000) for i in range(40)))),
    "a field that never ends": (431, GET + HOST + AUTH + b"X: " + b"y" * 50_000),
    "101 fields": (431, get(*(b"X-%d: y\r\n" % i for i in range(101)))),
    "10,000 empty fields": (431, get(*(b"X:\r\n" for _ in range(10_000)))),
}

CASES = {name: (400, raw) for table in (FRAMING, LINES, HOSTS) for name, raw in table.items()}
CASES |= {f"target: {name}": (400, target(path)) for name, path in TARGETS.items()}
CASES |= {f"start line: {name}": (400, line + END + HOST + AUTH + END) for name, line in START_LINES.items()}
CASES |= OTHERS


# The same rules from the other side. A path, and what of it reaches the upstream:

ACCEPTED = {
    "a decoded escape": (b"/api/%70rojects/x", "/api/projects/x"),
    "every unreserved escape": (b"/api/projects/%41%7a%30%2d%5f%7e", "/api/projects/Az0-_~"),
    "a dot inside a segment": (b"/api/projects/a.b", "/api/projects/a.b"),
    "an escaped dot inside a segment": (b"/api/projects/a%2eb", "/api/projects/a.b"),
    "three dots": (b"/api/projects/...", "/api/projects/..."),
    "a name that begins with a dot": (b"/api/projects/.git", "/api/projects/.git"),
    "a percent sign": (b"/api/projects/100%25", "/api/projects/100%25"),
    "an escape of a reserved character": (b"/api/projects/a%3fb%23c%3Bd",
        ("/api/projects/a%3fb%23c%3Bd", "/api/projects/a%3Fb%23c%3Bd")),
    "an escape of a space": (b"/api/projects/a%20b", "/api/projects/a%20b"),
    "an escape of UTF-8": (b"/api/projects/%c3%a4", ("/api/projects/%c3%a4", "/api/projects/%C3%A4")),
    "reserved characters": (b"/api/projects/a;b=c,d@e:f!g$h&i'j(k)l*m+n", "/api/projects/a;b=c,d@e:f!g$h&i'j(k)l*m+n"),
    "a slash at the end": (b"/api/projects/", "/api/projects/"),
    "a query": (b"/api/projects?x=1&y=a%20b", "/api/projects?x=1&y=a%20b"),
    "an empty query": (b"/api/projects?", "/api/projects?"),
    "a query with everything a path may not have": (b"/api/projects?../a//b%2f%5c%252e%00/./?",
        "/api/projects?../a//b%2f%5c%252e%00/./?"),
    "a query that keeps its escapes": (b"/api/projects?%70=%41", "/api/projects?%70=%41"),
    "absolute-form": (b"http://gateway/api/projects?x", "/api/projects?x"),
    "absolute-form in odd case": (b"HTTP://GateWay/api/projects", "/api/projects"),
}

FINE_HEADS = {
    "blanks around a value": get(b"X: \t y \t\r\n"),
    "an empty value": get(b"X:\r\n"),
    "no blank behind the colon": get(b"X:y\r\n"),
    "a tab inside a value": get(b"X: a\tb\r\n"),
    "bytes from 0x80 in a value": get(b"X: \xe4\xff\x80\r\n"),
    "every token character in a name": get(b"!#$%&'*+-.^_`|~0aZ: y\r\n"),
    "a Host with a port": host(b"Host: gateway:3000\r\n"),
    "a Host of IPv4": host(b"Host: 127.0.0.1:3000\r\n"),
    "a Host of IPv6": host(b"Host: [::1]:3000\r\n"),
    "a Host of IPv6 without a port": host(b"Host: [2001:db8::1]\r\n"),
    "a Host with the largest port": host(b"Host: a:65535\r\n"),
    "a Host with an underscore": host(b"Host: my_host\r\n"),
    "a Host with blanks around it": host(b"Host: \t gateway \r\n"),
    "Host last": host(b"X: y\r\nHost: gateway\r\n"),
    "HTTP/1.0 without a Host": host(b"Connection: keep-alive\r\n", start=b"GET /api/projects HTTP/1.0\r\n"),
    "an unknown method": get(start=b"FROBNICATE /api/projects HTTP/1.1\r\n"),
    "100 fields": get(*(b"X-%d: y\r\n" % i for i in range(98))),
    "a request line of 8 KB": target(b"/api/projects/" + b"a" * (8192 - len("GET /api/projects/ HTTP/1.1"))),
    "an empty line before the request": b"\r\n" + get(),
    "Content-Length with zeros before": post(b"Content-Length: 0002\r\n", body=b"ab"),
    "chunked in odd case": post(b"Transfer-Encoding: cHuNkEd\r\n", body=b"0\r\n\r\n"),
    "chunked with blanks around": post(b"Transfer-Encoding: \tchunked \r\n", body=b"0\r\n\r\n"),
}

# Bodies that break the rules when their head may have gone on already.
BAD_CHUNKS = {
    "no size": b"\r\nab\r\n0\r\n\r\n", "a minus": b"-2\r\nab\r\n0\r\n\r\n", "a plus": b"+2\r\nab\r\n0\r\n\r\n",
    "0x2": b"0x2\r\nab\r\n0\r\n\r\n",
    "a g": b"g\r\nab\r\n0\r\n\r\n", "a space before": b" 2\r\nab\r\n0\r\n\r\n", "an h behind": b"2h\r\nab\r\n0\r\n\r\n",
    "16 digits too large": b"ffffffffffffffff\r\nab\r\n0\r\n\r\n", "2^64 + 2": b"10000000000000002\r\nab\r\n0\r\n\r\n",
    "2^63": b"8000000000000000\r\nab\r\n0\r\n\r\n", "a long row of zeros": b"0" * 70_000 + b"2\r\nab\r\n0\r\n\r\n",
    "a huge extension": b"2;x=" + b"y" * 100_000 + b"\r\nab\r\n0\r\n\r\n", "a bare LF behind the size": b"2\nab\r\n0\r\n\r\n",
    "a bare CR behind the size": b"2\rab\r\n0\r\n\r\n", "a bare LF in an extension": b"2;x\ny\r\nab\r\n0\r\n\r\n",
    "a NUL in an extension": b"2;x\x00\r\nab\r\n0\r\n\r\n", "no CRLF behind the data": b"2\r\nab0\r\n\r\n",
    "a bare LF behind the data": b"2\r\nab\n0\r\n\r\n",
    "too much data": b"2\r\nabc\r\n0\r\n\r\n", "a comma": b"2,3\r\nab\r\n0\r\n\r\n",
    "an underscore": b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
    "a bare LF behind the last chunk": b"2\r\nab\r\n0\n\r\n", "a bare LF as the end": b"2\r\nab\r\n0\r\n\n",
    "a trailer without a colon": b"2\r\nab\r\n0\r\nX\r\n\r\n",
    "a trailer with a space before its colon": b"2\r\nab\r\n0\r\nX : y\r\n\r\n",
    "a folded trailer": b"2\r\nab\r\n0\r\nX: y\r\n z\r\n\r\n", "a NUL in a trailer": b"2\r\nab\r\n0\r\nX: \x00\r\n\r\n",
    "a trailer behind a bare LF": b"2\r\nab\r\n0\r\nX: y\nZ: a\r\n\r\n",
    "Content-Length as a trailer, malformed": b"2\r\nab\r\n0\r\n\x01Content-Length: 2\r\n\r\n",
}
