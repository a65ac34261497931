"""``lab.topology()``: looks at the cluster and the clients, and says who is connected to what."""

from collections.abc import Callable
from urllib.parse import urlsplit

from course.workbench.client import LabClient
from course.workbench.cluster import Cluster
from course.workbench.process import InstanceProcess
from course.workbench.views.topology import ClientAt, InstanceAt, Topology

LEFT = ("closed, 1000", "closed, 1001")
"""How a connection ends when its client wanted it to."""


def topology_of(cluster: Cluster, clients: list[LabClient], name_of: Callable[[str | None], str]) -> Topology:
    """How it is now. Clients that said goodbye are not in it; those that were cut off are."""
    return Topology(
        [
            InstanceAt(
                f"instance-{number}",
                _state_of(process),
                cluster.links[number].state if number in cluster.links else "whole",
                [ClientAt(c.user, name_of(c.conversation_id), c.state) for c in _clients_of(number, clients)],
            )
            for number, process in enumerate(cluster.instances)
        ],
        (cluster.redis.choice.kind, "hangs" if cluster.redis.is_paused else "running"),
        urlsplit(cluster.database_url or "").scheme.partition("+")[0],
    )


def _clients_of(number: int, clients: list[LabClient]) -> list[LabClient]:
    """Without those that wanted to go, and without earlier connections of who is back."""
    back = {(client.user, client.conversation_id) for client in clients if client.is_open}
    return [
        client
        for client in clients
        if client.instance == number
        and client.state not in LEFT
        and (client.is_open or (client.user, client.conversation_id) not in back)
    ]


def _state_of(process: InstanceProcess) -> str:
    if process.is_running:
        return "running"
    return {None: "not started", 0: "drained", -9: "killed"}.get(process.returncode, f"ended: {process.returncode}")
