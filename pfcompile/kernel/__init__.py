"""The Linux kernel: sockets with filters, and packets from an interface.

::

    interfaces ── what there is ──> hardware_types ── what their packets begin with
                                          │
    socket_filter  a program on a socket  │   cooked  the header that some of them lack
            └──────────> packet_socket <──┴──────┘
    bpf        maps, programs, links and events in the kernel
    netlink    programs attached where there are no links
    ring       the same through memory that the kernel shares, and blocks: the packets in it
    opening    what both begin and end with
    refusals   why the kernel says no, as rows
    abi        numbers and layouts
"""
