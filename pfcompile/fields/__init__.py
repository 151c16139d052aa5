"""What header fields are called: the names that pcap-filter(7) and the RFCs give packet bytes."""
