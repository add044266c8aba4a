"""Another user of this machine tries every port of a sweep: dask's own protocols, a certificate of theirs, plain HTTP.

Run by ``test_private_workers.py`` with the ports. Prints JSON: the user, what the same attempt does to a cluster
without protection, and for each port what got through. Everything is imported before the change of user, who may not
be able to read the environment.
"""

import http.client
import json
import os
import sys

from distributed import Client, LocalCluster
from distributed.security import Security

NOBODY = 65534


def submitted(address, security=None):
    """Run a task through a port; returns the user that it ran as, or None where that was refused."""
    try:
        with Client(address, security=security, timeout=2, set_as_default=False) as client:
            return client.submit(os.getuid, pure=False).result(timeout=2)
    except Exception:
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
    ) as open_cluster:
        address = open_cluster.scheduler.address
        control = [submitted(address), page(open_cluster.scheduler.services["dashboard"].port)]
        submitted(address.replace("tcp", "tls"), own_certificate)
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    through = {
        port: [
            submitted(f"tcp://127.0.0.1:{port}"),
            submitted(f"tls://127.0.0.1:{port}", own_certificate),
            page(port),
        ]
        for port in ports
    }
    print(json.dumps({"user": os.getuid(), "control": control, "through": through}))


if __name__ == "__main__":
    main([int(port) for port in sys.argv[1:]])
