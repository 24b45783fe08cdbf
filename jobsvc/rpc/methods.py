"""From the contract to handlers: every method of every service is there, answered or refused in so many words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from jobsvc.rpc.errors import MethodNotAvailable
from jobsvc.rpc.guard import GARBAGE, Context, Guard


def service_handler(
    service: ServiceDescriptor, methods: Mapping[str, Callable[..., Any]], guard: Guard
) -> grpc.GenericRpcHandler:
    """Make the handler of a service.

    Args:
        service: From the contract.
        methods: What answers, by the method's name; the others are refused as not available yet.
        guard: Surrounds each of them.
    """
    unknown = methods.keys() - {method.name for method in service.methods}
    if unknown:
        raise ValueError(f"{service.full_name} has no method {', '.join(sorted(unknown))}")
    handlers = {method.name: _handler(method, methods.get(method.name), guard) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _handler(method: MethodDescriptor, run: Callable[..., Any] | None, guard: Guard) -> Any:
    name = f"{method.containing_service.name}/{method.name}"
    # a refusal does not look at requests, so it is the same for one request and for a stream of them
    wrap: Callable[..., Any] = guard.wrap_stream if run and method.client_streaming else guard.wrap
    make = _MAKERS[method.client_streaming, method.server_streaming]
    return make(
        wrap(name, run or _refusal(method)),
        request_deserializer=_decoder(GetMessageClass(method.input_type)),
        response_serializer=_encode,
    )


_MAKERS: Mapping[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def _encode(message: Any) -> bytes:
    # what many streams are told is encoded once, by who tells it
    encoded: bytes = message if message.__class__ is bytes else message.SerializeToString()
    return encoded


def _decoder(message_class: Any) -> Callable[[bytes], Any]:
    """Decode, and hand on a mark for what cannot be: gRPC itself would send the parser's text to the client."""
    parse = message_class.FromString

    def decode(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError:
            return GARBAGE

    return decode


def _refusal(method: MethodDescriptor) -> Callable[[Any, Context], Any]:
    name = f"{method.containing_service.name}.{method.name}"

    async def refuse(request: Any, context: Context) -> None:
        raise MethodNotAvailable(f"{name} is not available in this version of the server", method=name)

    return refuse
