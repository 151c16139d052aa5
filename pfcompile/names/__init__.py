"""Names of hosts, networks, ports and protocols: looked up here and nowhere else."""
