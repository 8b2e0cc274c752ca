"""Registers a plugin by a socket of its own, as a driver's node-driver-registrar does: Debian's gRPC."""
import pathlib
import queue
from concurrent import futures

import grpc

from messages import messages_of

MESSAGES = messages_of("""
Empty
Info type=1 name=2 endpoint=3 supported_versions=4:*
Status plugin_registered=1:bool error=2
""")


class Registration:
    """Serves pluginregistration.v1 at <folder>/<file>; what the node makes of it comes in `told`: "" when it is registered, else its error."""

    def __init__(self, folder, file, kind, name, endpoint, versions):
        self.told = queue.Queue()
        self.info = MESSAGES["Info"](type=kind, name=name, endpoint=str(endpoint), supported_versions=versions)
        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        unary = lambda method, request, reply: grpc.unary_unary_rpc_method_handler(method, MESSAGES[request].FromString, MESSAGES[reply].SerializeToString)
        methods = {"GetInfo": unary(lambda request, context: self.info, "Empty", "Info"),
                   "NotifyRegistrationStatus": unary(self.notified, "Status", "Empty")}
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("pluginregistration.Registration", methods),))
        self.path = pathlib.Path(folder) / file
        self.server.add_insecure_port(f"unix:{self.path}")
        self.server.start()

    def notified(self, request, context):
        self.told.put("" if request.plugin_registered else request.error)
        return MESSAGES["Empty"]()

    def close(self):
        self.server.stop(0).wait()
        self.path.unlink(missing_ok=True)
