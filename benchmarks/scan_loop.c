/* The least that counts the packets of a capture with libpcap: `scan_loop FILE FILTER`. */

#include <pcap.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    char message[PCAP_ERRBUF_SIZE] = "usage: scan_loop FILE FILTER";
    struct pcap_pkthdr *header;
    struct bpf_program program;
    const unsigned char *data;
    unsigned long count = 0;
    int status;

    pcap_t *capture = argc == 3 ? pcap_open_offline(argv[1], message) : NULL;
    if (capture == NULL) {
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    if (pcap_compile(capture, &program, argv[2], 1, PCAP_NETMASK_UNKNOWN) != 0
        || pcap_setfilter(capture, &program) != 0) {
        fprintf(stderr, "%s\n", pcap_geterr(capture));
        return 1;
    }
    while ((status = pcap_next_ex(capture, &header, &data)) == 1)
        count++;
    if (status != PCAP_ERROR_BREAK) { /* which is how a file ends */
        fprintf(stderr, "%s\n", pcap_geterr(capture));
        return 1;
    }
    printf("%lu\n", count);
    return 0;
}
