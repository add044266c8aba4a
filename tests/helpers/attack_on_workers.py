"""Another user of this machine tries every port of a sweep: dask's own protocols, a certificate of theirs, plain HTTP.

Run by ``test_private_workers.py`` with the ports. Prints JSON: the user, what the same attempt does to a cluster
without protection, and for each port what got through. Everything is imported before the change of user, who may not
be able to read the environment.
"""

import asyncio
import http.client
import json
import os
import sys

from distributed import LocalCluster
from distributed.core import rpc
from distributed.protocol.pickle import dumps
from distributed.security import Security

NOBODY = 65534
NOTHING = {"args": dumps(()), "kwargs": dumps({})}


def ran(address, security=None):
    """Have a scheduler, nanny or worker run a function; returns the user that it ran as, None where it is refused."""

    async def ask(operation):
        named = security.get_connection_args("client") if security else {}
        async with rpc(address, timeout=2, connection_args=named) as other:
            asked = getattr(other, operation)(function=dumps(os.getuid), wait=True, **NOTHING)
            return (await asyncio.wait_for(asked, 2))["result"]

    for operation in ("run_function", "run"):  # of a scheduler, of a nanny or worker
        try:
            return asyncio.run(ask(operation))
        except Exception:  # noqa: BLE001 - whatever a refused connection raises
            continue
    return None


def page(port):
    """Ask for a page; returns the status, or None where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/json/counts.json")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def main(ports):
    own_certificate = Security.temporary()
    with LocalCluster(
        n_workers=1, processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0", scheduler_port=0
    ) as unprotected:
        scheduler, (worker,) = unprotected.scheduler, unprotected.workers.values()
        control = [ran(scheduler.address), ran(worker.address), page(scheduler.services["dashboard"].port)]
        ran(scheduler.address.replace("tcp", "tls"), own_certificate)
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    through = {
        port: [
            ran(f"tcp://127.0.0.1:{port}"),
            ran(f"tls://127.0.0.1:{port}", own_certificate),
            page(port),
        ]
        for port in ports
    }
    print(json.dumps({"user": os.getuid(), "control": control, "through": through}))


if __name__ == "__main__":
    main([int(port) for port in sys.argv[1:]])
