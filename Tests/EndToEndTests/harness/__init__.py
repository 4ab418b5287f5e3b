"""What the end-to-end tests stand on: real processes, raw sockets, and a strict reader of what comes back.

Every wait here asks for the thing waited for, with a deadline; nothing sleeps for time to pass.
"""

from .activation import ActivatedGateway, listen_tcp, listen_unix, start_with
from .admin import Admin
from .authority import Authority, Identity
from .gateway import Gateway
from .http1 import Connection, MalformedResponse, Response, exchange, raw, request_bytes
from .process import Process, free_port, until, whole_lines
from .redis import Redis
from .relay import Relay
from .tls_gateway import TLSGateway, listeners_yaml, tls_yaml
from .tokens import SECRET, decode_segment, encode_segment, sign, token
from .upstream import Request, ScriptedUpstream, UpstreamConnection, answer, respond

__all__ = [
    "SECRET", "ActivatedGateway", "Admin", "Authority", "Connection", "Gateway", "Identity", "MalformedResponse", "Process", "Redis", "Relay",
    "Request", "Response", "ScriptedUpstream", "TLSGateway", "UpstreamConnection", "answer", "decode_segment", "encode_segment", "exchange", "free_port",
    "listen_tcp", "listen_unix", "listeners_yaml", "raw", "request_bytes", "respond", "sign", "start_with", "tls_yaml", "token", "until",
    "whole_lines",
]
