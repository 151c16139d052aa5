"""The Linux kernel: sockets with filters, and packets from an interface.

::

    interfaces ── what there is ──> hardware_types ── what their packets begin with
                                          │
    socket_filter  a program on a socket  │   cooked  the header that some of them lack
            └──────────> packet_socket <──┴──────┘
    refusals   why the kernel says no, as rows
    abi        numbers and layouts
"""
